//! JSON Schema in the strict form of OpenAI: every property required, optional ones nullable, no unknown properties, no other keywords.

use serde_json::{Map, Value as Json, json};

/// Keywords that the strict form drops: our validator checks them.
const DROPPED: [&str; 12] = [
    "default",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
];

/// The strict form, or `None` if there is none: maps, Any, fixed-length arrays, and unions whose objects begin with the same property have none.
pub(super) fn strict(schema: &Json) -> Option<Json> {
    node(schema, schema)
}

fn node(schema: &Json, root: &Json) -> Option<Json> {
    let Json::Object(schema) = schema else { return None };
    if schema.is_empty() || schema.contains_key("prefixItems") {
        return None;
    }
    let mut out = Map::new();
    for (key, value) in schema {
        match key.as_str() {
            key if DROPPED.contains(&key) => {}
            "properties" | "required" | "additionalProperties" => {}
            "items" => {
                out.insert(key.clone(), node(value, root)?);
            }
            "anyOf" => {
                let members = value.as_array()?;
                if !is_told_apart(members, root) {
                    return None;
                }
                let members: Option<Vec<_>> =
                    members.iter().map(|member| node(member, root)).collect();
                out.insert(key.clone(), members?.into());
            }
            "$defs" => {
                let mut defs = Map::new();
                for (name, value) in value.as_object()? {
                    defs.insert(name.clone(), node(value, root)?);
                }
                out.insert(key.clone(), defs.into());
            }
            // No keyword may stand beside a reference.
            "description" if schema.contains_key("$ref") => {}
            _ => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    if schema.get("type") == Some(&json!("object")) {
        object(schema, &mut out, root)?;
    }
    Some(Json::Object(out))
}

/// Whether the first property of each object is another one: the service decides by it which member an answer is.
fn is_told_apart(members: &[Json], root: &Json) -> bool {
    let mut first: Vec<&String> = members.iter().filter_map(|m| first_property(m, root)).collect();
    let count = first.len();
    first.sort_unstable();
    first.dedup();
    first.len() == count
}

fn first_property<'a>(member: &'a Json, root: &'a Json) -> Option<&'a String> {
    let target = member.get("$ref").and_then(Json::as_str);
    let member = match target {
        Some(target) => root.pointer(target.strip_prefix('#')?)?,
        None => member,
    };
    member.get("properties")?.as_object()?.keys().next()
}

fn object(schema: &Map<String, Json>, out: &mut Map<String, Json>, root: &Json) -> Option<()> {
    if schema.get("additionalProperties").is_some_and(|more| *more != json!(false)) {
        return None;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Json::as_array)
        .map(|names| names.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let mut properties = Map::new();
    for (name, value) in schema.get("properties")?.as_object()? {
        let value = node(value, root)?;
        let value = if required.contains(&name.as_str()) { value } else { nullable(value) };
        properties.insert(name.clone(), value);
    }
    out.insert("required".to_owned(), properties.keys().cloned().collect::<Vec<_>>().into());
    out.insert("properties".to_owned(), properties.into());
    out.insert("additionalProperties".to_owned(), json!(false));
    Some(())
}

fn nullable(mut schema: Json) -> Json {
    let null = json!({"type": "null"});
    if let Some(members) = schema.get_mut("anyOf").and_then(Json::as_array_mut) {
        if !members.contains(&null) {
            members.push(null);
        }
        return schema;
    }
    match schema.get("type") {
        Some(Json::String(word)) if schema.get("enum").is_none() => {
            let both = json!([word, "null"]);
            if let Some(place) = schema.get_mut("type") {
                *place = both;
            }
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_required_and_optional_ones_are_nullable() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "string", "pattern": "x", "default": "y"},
                "b": {"type": "string", "enum": ["p", "q"]},
                "c": {"type": "array", "items": {"$ref": "#/$defs/D"}, "minItems": 1}
            },
            "required": ["c"],
            "$defs": {"D": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
        });
        let expected = json!({
            "type": "object",
            "$defs": {"D": {"type": "object", "required": ["n"],
                "properties": {"n": {"type": "integer"}}, "additionalProperties": false}},
            "required": ["a", "b", "c"],
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"anyOf": [{"type": "string", "enum": ["p", "q"]}, {"type": "null"}]},
                "c": {"type": "array", "items": {"$ref": "#/$defs/D"}}
            },
            "additionalProperties": false
        });
        assert_eq!(strict(&schema), Some(expected));
    }

    #[test]
    fn maps_any_and_unions_that_begin_alike_have_no_strict_form() {
        let object =
            |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
        let defs = json!({"A": object("x"), "B": object("x"), "C": object("y")});
        let union =
            |name: &str| json!({"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": name}], "$defs": defs});
        assert!(strict(&union("#/$defs/C")).is_some());
        for schema in [
            union("#/$defs/B"),
            json!({"anyOf": [object("x"), object("x")]}),
            json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}}),
            json!({"type": "object", "properties": {"x": {}}}),
            json!({"type": "array", "prefixItems": []}),
        ] {
            assert_eq!(strict(&schema), None);
        }
    }
}
