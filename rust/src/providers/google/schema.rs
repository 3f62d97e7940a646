//! JSON Schema in the two forms that Gemini takes.

use serde_json::{Map, Value as Json, json};

use super::super::answer::put;
use super::super::recursion::is_recursive;

/// Keywords without effect that may be refused.
const DROPPED: [&str; 5] =
    ["$schema", "examples", "discriminator", "exclusiveMinimum", "exclusiveMaximum"];
/// Keywords of the older form that are written alike in both.
const SHARED: [&str; 9] = [
    "description",
    "title",
    "required",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
];

/// For `responseJsonSchema` and `parametersJsonSchema`: nearly all of JSON Schema.
pub(super) fn json(schema: &Json) -> Json {
    match schema {
        Json::Object(map) => Json::Object(
            map.iter()
                .filter(|(key, _)| !DROPPED.contains(&key.as_str()))
                .map(|(key, value)| match key.as_str() {
                    "const" => ("enum".to_owned(), json!([value])),
                    "oneOf" => ("anyOf".to_owned(), json(value)),
                    // Names here are of fields, whatever they are called.
                    "properties" | "$defs" => (key.clone(), named(value)),
                    "enum" | "default" => (key.clone(), value.clone()),
                    _ => (key.clone(), json(value)),
                })
                .collect(),
        ),
        Json::Array(items) => items.iter().map(json).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn named(schemas: &Json) -> Json {
    let pairs = schemas.as_object().into_iter().flatten();
    Json::Object(pairs.map(|(name, schema)| (name.clone(), json(schema))).collect())
}

/// For `responseSchema`: a subset of OpenAPI without references. `None` if the schema needs more: maps, Any, recursive types.
pub(super) fn open_api(schema: &Json) -> Option<Json> {
    if is_recursive(schema) {
        return None;
    }
    let nothing = Map::new();
    let definitions = schema.get("$defs").and_then(Json::as_object).unwrap_or(&nothing);
    node(schema, definitions)
}

fn node(schema: &Json, definitions: &Map<String, Json>) -> Option<Json> {
    let own = schema.as_object().filter(|own| !own.is_empty())?;
    if let Some(target) = own.get("$ref").and_then(Json::as_str) {
        let mut out = node(definitions.get(target.strip_prefix("#/$defs/")?)?, definitions)?;
        if let Some(text) = own.get("description") {
            put(&mut out, "description", text.clone());
        }
        return Some(out);
    }
    let mut out = Map::new();
    for key in SHARED {
        out.extend(own.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(members) = own.get("anyOf").or_else(|| own.get("oneOf")) {
        union(members.as_array()?, &mut out, definitions)?;
    }
    if let Some(kind) = own.get("type") {
        let words: Vec<&str> = match kind {
            Json::Array(words) => words.iter().filter_map(Json::as_str).collect(),
            word => word.as_str().into_iter().collect(),
        };
        let [word] = *words.iter().copied().filter(|word| *word != "null").collect::<Vec<_>>()
        else {
            return None;
        };
        out.insert("type".to_owned(), word.to_uppercase().into());
        if words.len() > 1 {
            out.insert("nullable".to_owned(), true.into());
        }
        contents(word, own, &mut out, definitions)?;
    }
    Some(Json::Object(out))
}

fn contents(
    kind: &str,
    own: &Map<String, Json>,
    out: &mut Map<String, Json>,
    definitions: &Map<String, Json>,
) -> Option<()> {
    match kind {
        "string" => {
            // Only texts may be listed.
            let one = own.get("const").map(|value| json!([value]));
            if let Some(values) = own.get("enum").cloned().or(one) {
                out.insert("format".to_owned(), "enum".into());
                out.insert("enum".to_owned(), values);
            }
        }
        "array" => _ = out.insert("items".to_owned(), node(own.get("items")?, definitions)?),
        "object" => {
            let properties = own.get("properties")?.as_object().filter(|all| !all.is_empty())?;
            let mut all = Map::new();
            for (name, schema) in properties {
                all.insert(name.clone(), node(schema, definitions)?);
            }
            let order: Vec<&String> = all.keys().collect();
            out.insert("propertyOrdering".to_owned(), json!(order));
            out.insert("properties".to_owned(), all.into());
        }
        _ => {}
    }
    Some(())
}

/// Null is not a member here but a mark; with one other member that one stands for the whole.
fn union(
    members: &[Json],
    out: &mut Map<String, Json>,
    definitions: &Map<String, Json>,
) -> Option<()> {
    let is_null = |member: &&Json| member.get("type") == Some(&json!("null"));
    let others: Option<Vec<Json>> =
        members.iter().filter(|m| !is_null(m)).map(|member| node(member, definitions)).collect();
    let mut others = others?;
    if members.iter().any(|member| is_null(&member)) {
        out.insert("nullable".to_owned(), true.into());
    }
    if let [Json::Object(only)] = others.as_mut_slice() {
        let own = std::mem::take(out);
        out.append(only);
        out.extend(own);
    } else {
        out.insert("anyOf".to_owned(), others.into());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Json {
        json!({
            "type": "object",
            "properties": {
                "const": {"type": "string", "const": "x"},
                "d": {"$ref": "#/$defs/D", "description": "Which one"},
                "u": {"oneOf": [{"type": "string"}, {"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]},
                "n": {"type": ["integer", "null"], "minimum": 1}
            },
            "required": ["d"],
            "additionalProperties": false,
            "$defs": {"D": {"type": "array", "items": {"type": "boolean"}, "examples": []}}
        })
    }

    // providers.md 12.4
    #[test]
    fn the_newer_form_keeps_nearly_all() {
        let expected = json!({
            "type": "object",
            "properties": {
                "const": {"type": "string", "enum": ["x"]},
                "d": {"$ref": "#/$defs/D", "description": "Which one"},
                "u": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
                "n": {"type": ["integer", "null"], "minimum": 1}
            },
            "required": ["d"],
            "additionalProperties": false,
            "$defs": {"D": {"type": "array", "items": {"type": "boolean"}}}
        });
        assert_eq!(json(&schema()), expected);
    }

    #[test]
    fn the_older_form_has_neither_references_nor_null() {
        let expected = json!({
            "type": "OBJECT",
            "properties": {
                "const": {"type": "STRING", "format": "enum", "enum": ["x"]},
                "d": {"type": "ARRAY", "items": {"type": "BOOLEAN"}, "description": "Which one"},
                "u": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": true},
                "n": {"type": "INTEGER", "nullable": true, "minimum": 1}
            },
            "required": ["d"],
            "propertyOrdering": ["const", "d", "u", "n"]
        });
        assert_eq!(open_api(&schema()), Some(expected));
        for beyond in [
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"type": "object", "properties": {"x": {}}}),
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}}),
        ] {
            assert_eq!(open_api(&beyond), None, "{beyond}");
        }
    }
}
