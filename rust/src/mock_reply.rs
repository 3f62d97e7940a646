//! What a mocked model answers, in-process and over HTTP (rule O-15): made from the question alone, so that runs repeat.

mod pattern;
mod script;

use serde_json::{Map, Value as Json, json};

pub(crate) use script::{Question, Script, Scripted};

/// Lists and texts are not made longer than this, whatever a schema asks for.
const MAX_PARTS: u64 = 10_000;

/// The answer to a prompt: its first 50 characters in a frame.
#[must_use]
pub fn text(prompt: &str) -> String {
    let start: String = prompt.chars().take(50).collect();
    format!("[mock response to: {start}]")
}

/// A value that fits a JSON Schema: first enum member, 0, 0.0, false, `[mock NAME]`, one item per array, nested objects; as near to that as the limits
/// of the schema allow. Null if the schema has no end.
#[must_use]
pub fn for_schema(schema: &Json) -> Json {
    Maker { root: schema, open: Vec::new() }.make(schema, "value").unwrap_or_default()
}

struct Maker<'a> {
    root: &'a Json,
    /// References that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Maker<'a> {
    /// `None` where a value would contain itself without end: then the optional field, array or other member around it does without.
    fn make(&mut self, schema: &'a Json, name: &str) -> Option<Json> {
        if let Some(path) = schema.get("$ref").and_then(Json::as_str) {
            return self.follow(path, name);
        }
        if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
            return Some(first.clone());
        }
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        let members = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array);
        if let Some(members) = members {
            return self.first_of(members, name);
        }
        match type_word(schema) {
            Some("string") => Some(string(schema, name)),
            Some("integer") => Some(whole(schema)),
            Some("number") => Some(number(schema)),
            Some("boolean") => Some(json!(false)),
            Some("array") => self.array(schema, name),
            Some("null") => Some(Json::Null),
            _ => self.object(schema, name),
        }
    }

    fn follow(&mut self, path: &'a str, name: &str) -> Option<Json> {
        if self.open.contains(&path) {
            return None;
        }
        let target = path.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))?;
        self.open.push(path);
        let made = self.make(target, name);
        self.open.pop();
        made
    }

    fn first_of(&mut self, members: &'a [Json], name: &str) -> Option<Json> {
        let is_null = |member: &Json| member.get("type") == Some(&json!("null"));
        let made = members.iter().filter(|m| !is_null(m)).find_map(|m| self.make(m, name));
        made.or_else(|| members.iter().any(is_null).then_some(Json::Null))
    }

    fn array(&mut self, schema: &'a Json, name: &str) -> Option<Json> {
        if let Some(parts) = schema.get("prefixItems").and_then(Json::as_array) {
            return parts.iter().map(|part| self.make(part, name)).collect();
        }
        let (least, most) = limits(schema, "minItems", "maxItems");
        let count = 1.max(least).min(most).min(MAX_PARTS);
        match schema.get("items").and_then(|items| self.make(items, name)) {
            Some(item) => Some((0..count).map(|_| item.clone()).collect()),
            None => (least == 0).then(|| json!([])),
        }
    }

    fn object(&mut self, schema: &'a Json, name: &str) -> Option<Json> {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Json::as_array);
        let properties = schema.get("properties").and_then(Json::as_object);
        for (key, value) in properties.into_iter().flatten() {
            match self.make(value, key) {
                Some(made) => {
                    object.insert(key.clone(), made);
                }
                None if required.is_some_and(|names| names.contains(&json!(key))) => return None,
                None => {}
            }
        }
        let (least, _) = limits(schema, "minProperties", "maxProperties");
        if let (Some(more), 1..) = (schema.get("additionalProperties"), least) {
            let made = self.make(more, name)?;
            for number in 1..=least.min(MAX_PARTS) {
                object.insert(format!("key {number}"), made.clone());
            }
        }
        Some(Json::Object(object))
    }
}

/// The type, null left out.
fn type_word(schema: &Json) -> Option<&str> {
    match schema.get("type") {
        Some(Json::Array(types)) => {
            types.iter().find(|ty| **ty != json!("null")).and_then(Json::as_str)
        }
        other => other.and_then(Json::as_str),
    }
}

fn limits(schema: &Json, least: &str, most: &str) -> (u64, u64) {
    let limit = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
    (limit(least).unwrap_or(0), limit(most).unwrap_or(u64::MAX))
}

/// 0, or the limit that is nearest to it.
fn whole(schema: &Json) -> Json {
    let limit = |keyword: &str| schema.get(keyword).and_then(Json::as_i64);
    match (limit("minimum"), limit("maximum")) {
        (Some(least), _) if least > 0 => json!(least),
        (_, Some(most)) if most < 0 => json!(most),
        _ => json!(0),
    }
}

fn number(schema: &Json) -> Json {
    let limit = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
    match (limit("minimum"), limit("maximum")) {
        (Some(least), _) if least > 0.0 => json!(least),
        (_, Some(most)) if most < 0.0 => json!(most),
        _ => json!(0.0),
    }
}

/// `[mock NAME]`, cut or filled up, or a text that the pattern accepts.
fn string(schema: &Json, name: &str) -> Json {
    let (least, most) = limits(schema, "minLength", "maxLength");
    let (least, most) =
        (least.min(MAX_PARTS) as usize, usize::try_from(most).unwrap_or(usize::MAX));
    let fitted = |text: &str| -> String {
        let cut: String = text.chars().take(most).collect();
        let missing = least.saturating_sub(cut.chars().count());
        cut + &"x".repeat(missing)
    };
    let plain = fitted(&format!("[mock {name}]"));
    let made = match schema.get("pattern").and_then(Json::as_str) {
        Some(text) => pattern::matching(text, &plain, least, most).unwrap_or(plain),
        None => plain,
    };
    Json::String(made)
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
    fn replies_keep_limits() {
        for (schema, expected) in [
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "integer", "minimum": -3, "maximum": -1}), json!(-1)),
            (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
            (json!({"type": "string", "minLength": 15}), json!("[mock value]xxx")),
            (json!({"type": "string", "maxLength": 3}), json!("[mo")),
            (json!({"type": "string", "pattern": "^[A-Z]{2}$"}), json!("AA")),
            (
                json!({"type": "array", "items": {"type": "null"}, "minItems": 2}),
                json!([null, null]),
            ),
            (json!({"type": "array", "items": {"type": "null"}, "maxItems": 0}), json!([])),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}),
                json!({"key 1": 0, "key 2": 0}),
            ),
        ] {
            assert_eq!(for_schema(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_ends_at_the_first_place_where_it_can() {
        let schema = |node: Json| json!({"$ref": "#/$defs/A", "$defs": {"A": node}});
        let own = json!({"$ref": "#/$defs/A"});
        for (node, expected) in [
            (json!({"type": "object", "properties": {"a": own}, "required": []}), json!({})),
            (json!({"type": "object", "properties": {"a": own}, "required": ["a"]}), Json::Null),
            (json!({"type": "array", "items": own}), json!([])),
            (
                json!({"type": "object", "properties": {"a": {"anyOf": [own, {"type": "null"}]}}, "required": ["a"]}),
                json!({"a": null}),
            ),
            (
                json!({"anyOf": [{"type": "array", "prefixItems": [own]}, {"type": "integer"}]}),
                json!(0),
            ),
        ] {
            assert_eq!(for_schema(&schema(node)), expected);
        }
    }

    #[test]
    fn the_text_quotes_fifty_characters() {
        assert_eq!(text("Hi"), "[mock response to: Hi]");
        assert_eq!(text(&"é".repeat(60)), format!("[mock response to: {}]", "é".repeat(50)));
    }
}
