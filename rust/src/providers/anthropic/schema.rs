//! JSON Schema in the form that `output_config.format` and strict tools take: closed objects, few keywords, no recursion.

use serde_json::{Map, Value as Json, json};

use super::super::recursion::is_recursive;

const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"];
/// Keywords that go through as they are.
const KEPT: [&str; 7] = ["type", "required", "enum", "const", "default", "description", "title"];

/// The supported form, or `None` if there is none: maps, Any, fixed-length arrays and recursive types have none. Keywords that are refused are told
/// to the model in the description, as the vendor's own libraries do.
pub(super) fn supported(schema: &Json) -> Option<Json> {
    if is_recursive(schema) { None } else { node(schema) }
}

fn node(schema: &Json) -> Option<Json> {
    let schema = schema.as_object().filter(|schema| !schema.is_empty())?;
    let mut out = Map::new();
    let mut told = Vec::new();
    for (key, value) in schema {
        match key.as_str() {
            key if KEPT.contains(&key) => _ = out.insert(key.to_owned(), value.clone()),
            "additionalProperties" if *value == json!(false) => {}
            "additionalProperties" | "prefixItems" => return None,
            "$ref" if !value.as_str().is_some_and(|to| to.starts_with("#/$defs/")) => return None,
            "$ref" => _ = out.insert(key.clone(), value.clone()),
            "items" => _ = out.insert(key.clone(), node(value)?),
            "anyOf" | "oneOf" => _ = out.insert("anyOf".to_owned(), all(value)?),
            "allOf" => _ = out.insert(key.clone(), all(value)?),
            "properties" | "$defs" => _ = out.insert(key.clone(), named(value)?),
            "format" if FORMATS.iter().chain(&["uuid"]).any(|known| value == known) => {
                out.insert(key.clone(), value.clone());
            }
            "minItems" if value.as_u64().is_some_and(|n| n <= 1) => {
                out.insert(key.clone(), value.clone());
            }
            _ => told.push(format!("{key}: {value}")),
        }
    }
    if schema.get("type") == Some(&json!("object")) {
        schema.get("properties")?;
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    if !told.is_empty() {
        let told = format!("{{{}}}", told.join(", "));
        let own = schema.get("description").and_then(Json::as_str);
        let text = own.map_or_else(|| told.clone(), |own| format!("{own}\n\n{told}"));
        out.insert("description".to_owned(), text.into());
    }
    Some(Json::Object(out))
}

fn all(members: &Json) -> Option<Json> {
    members.as_array()?.iter().map(node).collect::<Option<Vec<_>>>().map(Json::from)
}

fn named(schemas: &Json) -> Option<Json> {
    let pairs = schemas.as_object()?.iter();
    let pairs = pairs.map(|(name, schema)| Some((name.clone(), node(schema)?)));
    pairs.collect::<Option<Map<_, _>>>().map(Json::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    // providers.md 12.3
    #[test]
    fn objects_are_closed_and_refused_keywords_are_told() {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "A count", "minimum": 1, "maximum": 10},
                "s": {"type": "string", "format": "date", "pattern": "^x"},
                "c": {"oneOf": [{"type": "string"}, {"type": "null"}]},
                "l": {"type": "array", "items": {"$ref": "#/$defs/D"}, "minItems": 1, "maxItems": 3}
            },
            "required": ["n"],
            "$defs": {"D": {"type": "object", "properties": {"d": {"type": "string", "default": "x"}}}}
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "A count\n\n{minimum: 1, maximum: 10}"},
                "s": {"type": "string", "format": "date", "description": "{pattern: \"^x\"}"},
                "c": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "l": {"type": "array", "items": {"$ref": "#/$defs/D"}, "minItems": 1,
                    "description": "{maxItems: 3}"}
            },
            "required": ["n"],
            "$defs": {"D": {"type": "object", "additionalProperties": false,
                "properties": {"d": {"type": "string", "default": "x"}}}},
            "additionalProperties": false
        });
        assert_eq!(supported(&schema), Some(expected));
    }

    #[test]
    fn maps_any_and_recursion_have_no_supported_form() {
        let recursive = json!({"$ref": "#/$defs/A", "$defs": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
            "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
        }});
        for schema in [
            json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}}),
            json!({"type": "object", "properties": {"x": {}}}),
            json!({"type": "object", "properties": {"x": {"$ref": "#"}}}),
            json!({"type": "array", "prefixItems": []}),
            recursive,
        ] {
            assert_eq!(supported(&schema), None, "{schema}");
        }
    }
}
