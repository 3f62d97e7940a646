//! What a mocked model answers, in-process and over HTTP (rule O-15): made from the question alone, so that runs repeat.

use serde_json::{Map, Value as Json, json};

/// Deeper schemas are cut off.
const MAX_DEPTH: usize = 32;

/// The answer to a prompt: its first 50 characters in a frame.
#[must_use]
pub fn text(prompt: &str) -> String {
    let start: String = prompt.chars().take(50).collect();
    format!("[mock response to: {start}]")
}

/// A value that fits a JSON Schema: first enum member, 0, 0.0, false, `[mock NAME]`, one item per array, nested objects.
#[must_use]
pub fn for_schema(schema: &Json) -> Json {
    make(schema, schema, "value", 0)
}

fn make(schema: &Json, root: &Json, name: &str, depth: usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    if let Some(path) = schema.get("$ref").and_then(Json::as_str) {
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Json::Null, |target| make(target, root, name, depth + 1));
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(members) =
        schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array)
    {
        let is_null = |member: &&Json| member.get("type") == Some(&json!("null"));
        let member = members.iter().find(|member| !is_null(member)).or_else(|| members.first());
        return member.map_or(Json::Null, |member| make(member, root, name, depth + 1));
    }
    let ty = match schema.get("type") {
        Some(Json::Array(types)) => {
            types.iter().find(|ty| **ty != json!("null")).and_then(Json::as_str)
        }
        other => other.and_then(Json::as_str),
    };
    match ty {
        Some("string") => json!(format!("[mock {name}]")),
        Some("integer") => {
            schema.get("minimum").filter(|n| n.is_i64()).cloned().unwrap_or(json!(0))
        }
        Some("number") => json!(0.0),
        Some("boolean") => json!(false),
        Some("array") => match schema.get("prefixItems").and_then(Json::as_array) {
            Some(items) => items.iter().map(|item| make(item, root, name, depth + 1)).collect(),
            None => {
                let item = schema.get("items").map(|item| make(item, root, name, depth + 1));
                item.into_iter().collect()
            }
        },
        Some("null") => Json::Null,
        _ => {
            let mut object = Map::new();
            for (key, value) in
                schema.get("properties").and_then(Json::as_object).into_iter().flatten()
            {
                object.insert(key.clone(), make(value, root, key, depth + 1));
            }
            Json::Object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_fit_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "label": {"type": "string", "enum": ["a", "b"]},
                "name": {"type": ["string", "null"]},
                "n": {"type": "integer"}, "x": {"type": "number"}, "ok": {"type": "boolean"},
                "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
                "maybe": {"anyOf": [{"type": "null"}, {"type": "integer"}]}
            },
            "$defs": {"Item": {"type": "object", "properties": {"id": {"type": "string"}}}}
        });
        let expected = json!({
            "label": "a", "name": "[mock name]", "n": 0, "x": 0.0, "ok": false,
            "items": [{"id": "[mock id]"}], "maybe": 0
        });
        assert_eq!(for_schema(&schema), expected);
    }

    #[test]
    fn a_schema_without_end_is_cut() {
        let schema = json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}});
        assert!(for_schema(&schema).is_object());
    }

    #[test]
    fn the_text_quotes_fifty_characters() {
        assert_eq!(text("Hi"), "[mock response to: Hi]");
        assert_eq!(text(&"é".repeat(60)), format!("[mock response to: {}]", "é".repeat(50)));
    }
}
