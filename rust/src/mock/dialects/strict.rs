//! What services refuse in JSON Schemas whose keeping they promise.

use serde_json::Value as Json;

/// OpenAI's strict mode: `None` if the schema is in the subset.
pub(super) fn openai(schema: &Json) -> Option<String> {
    if schema.get("type").and_then(Json::as_str) != Some("object") || schema.get("anyOf").is_some()
    {
        let found = schema.get("type").map_or_else(|| "\"None\"".to_owned(), Json::to_string);
        return Some(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: {found}'."
        ));
    }
    let mut sizes = Sizes::default();
    let found = openai_part(schema, &mut Vec::new(), 1, &mut sizes);
    found.or_else(|| sizes.problem())
}

#[derive(Default)]
struct Sizes {
    properties: usize,
    enum_values: usize,
    characters: usize,
}

impl Sizes {
    fn problem(&self) -> Option<String> {
        [
            (self.properties, 5_000, "object properties"),
            (self.enum_values, 1_000, "enum values"),
            (self.characters, 120_000, "characters of names and values"),
        ]
        .iter()
        .find(|(count, limit, _)| count > limit)
        .map(|(count, limit, what)| format!("Invalid schema: {count} {what} exceed {limit}."))
    }
}

const OPENAI_FORBIDDEN: [&str; 11] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "default",
    "prefixItems",
];

fn openai_part(
    schema: &Json,
    path: &mut Vec<String>,
    depth: usize,
    sizes: &mut Sizes,
) -> Option<String> {
    let context = |problem: &str, path: &[String]| {
        let steps: Vec<String> = path.iter().map(|step| format!("'{step}'")).collect();
        Some(format!("In context=({}), {problem}", steps.join(", ")))
    };
    let Some(object) = schema.as_object() else {
        return context("schema must be an object.", path);
    };
    if depth > 10 {
        return context("the schema is nested deeper than 10 levels.", path);
    }
    if let Some(word) = OPENAI_FORBIDDEN.iter().find(|word| object.contains_key(**word)) {
        return context(&format!("'{word}' is not permitted."), path);
    }
    if let Some(target) = object.get("$ref").and_then(Json::as_str) {
        let is_local = target == "#" || target.starts_with("#/$defs/");
        if !is_local {
            return context(&format!("reference to '{target}' is not permitted."), path);
        }
        if object.len() > 1 {
            return context("$ref cannot have keywords beside it.", path);
        }
        return None;
    }
    if ["type", "anyOf", "enum", "const"].iter().all(|word| !object.contains_key(*word)) {
        return context("schema must have a 'type' key.", path);
    }
    if is_type(schema, "object")
        && let Some(problem) = openai_object(schema, sizes)
    {
        return context(&problem, path);
    }
    let values = object.get("enum").and_then(Json::as_array);
    sizes.enum_values += values.map_or(0, Vec::len);
    sizes.characters +=
        values.into_iter().flatten().filter_map(Json::as_str).map(str::len).sum::<usize>();
    children(schema).into_iter().find_map(|(steps, child)| {
        let length = path.len();
        path.extend(steps);
        let found = openai_part(child, path, depth + 1, sizes);
        path.truncate(length);
        found
    })
}

fn openai_object(schema: &Json, sizes: &mut Sizes) -> Option<String> {
    if schema.get("additionalProperties") != Some(&Json::Bool(false)) {
        return Some(
            "'additionalProperties' is required to be supplied and to be false.".to_owned(),
        );
    }
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
        return Some("'properties' is required to be supplied.".to_owned());
    };
    sizes.properties += properties.len();
    sizes.characters += properties.keys().map(String::len).sum::<usize>();
    let required = schema.get("required").and_then(Json::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|each| each.as_str() == Some(name)))
    };
    let missing = properties.keys().find(|name| !is_required(name))?;
    Some(format!(
        "'required' is required to be supplied and to be an array including every key in properties. \
         Missing '{missing}'."
    ))
}

/// Anthropic's structured output: `None` if the schema is in the subset.
pub(super) fn anthropic(schema: &Json) -> Option<String> {
    anthropic_part(schema, schema, &mut Vec::new())
}

const ANTHROPIC_FORBIDDEN: [&str; 10] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "oneOf",
    "patternProperties",
];

fn anthropic_part<'a>(schema: &'a Json, root: &'a Json, refs: &mut Vec<&'a str>) -> Option<String> {
    if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
        if refs.contains(&target) {
            return Some(format!("recursive reference `{target}` is not supported"));
        }
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(found) = found else {
            return Some(format!("external reference `{target}` is not supported"));
        };
        refs.push(target);
        let problem = anthropic_part(found, root, refs);
        refs.pop();
        return problem;
    }
    let ty = schema.get("type").and_then(Json::as_str).unwrap_or("schema");
    if let Some(word) = ANTHROPIC_FORBIDDEN.iter().find(|word| schema.get(**word).is_some()) {
        return Some(format!("For '{ty}' type, property '{word}' is not supported"));
    }
    if schema.get("minItems").and_then(Json::as_u64).is_some_and(|count| count > 1) {
        return Some(
            "For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned(),
        );
    }
    if is_type(schema, "object") && schema.get("additionalProperties") != Some(&Json::Bool(false)) {
        let text = "For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Some(text.to_owned());
    }
    let parts = children(schema).into_iter();
    let mut parts = parts.filter(|(steps, _)| steps.first().is_none_or(|step| step != "$defs"));
    parts.find_map(|(_, child)| anthropic_part(child, root, refs))
}

/// What Gemini's older `responseSchema` does not know.
pub(super) fn openapi(schema: &Json) -> Option<String> {
    let unknown = ["additionalProperties", "$ref", "$defs", "const", "oneOf", "allOf"];
    if let Some(word) = unknown.iter().find(|word| schema.get(**word).is_some()) {
        return Some((*word).to_owned());
    }
    if schema.get("type").is_some_and(Json::is_array) {
        return Some("type".to_owned());
    }
    children(schema).into_iter().find_map(|(_, child)| openapi(child))
}

fn is_type(schema: &Json, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(ty)) => ty == wanted,
        Some(Json::Array(types)) => types.iter().any(|ty| ty.as_str() == Some(wanted)),
        _ => false,
    }
}

/// The schemas inside a schema, with the way to each.
fn children(schema: &Json) -> Vec<(Vec<String>, &Json)> {
    let mut found = Vec::new();
    for key in ["properties", "$defs"] {
        let inside = schema.get(key).and_then(Json::as_object).into_iter().flatten();
        found.extend(inside.map(|(name, child)| (vec![key.to_owned(), name.clone()], child)));
    }
    if let Some(items) = schema.get("items") {
        found.push((vec!["items".to_owned()], items));
    }
    for key in ["anyOf", "allOf", "oneOf", "prefixItems"] {
        let inside = schema.get(key).and_then(Json::as_array).into_iter().flatten().enumerate();
        found.extend(inside.map(|(n, child)| (vec![key.to_owned(), n.to_string()], child)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: &Json, required: &Json) -> Json {
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    #[test]
    fn strict_mode_names_place_and_rule() {
        let good = object(&json!({"a": {"type": ["string", "null"]}}), &json!(["a"]));
        assert_eq!(openai(&good), None);
        for (schema, expected) in [
            (json!({"type": "array"}), "got 'type: \"array\"'"),
            (
                json!({"type": "object", "properties": {}}),
                "In context=(), 'additionalProperties' is required",
            ),
            (object(&json!({"note": {"type": "string"}}), &json!([])), "Missing 'note'."),
            (
                object(&json!({"a": {}}), &json!(["a"])),
                "In context=('properties', 'a'), schema must have a 'type' key.",
            ),
            (object(&json!({"a": {"oneOf": []}}), &json!(["a"])), "'oneOf' is not permitted"),
            (
                object(
                    &json!({"a": {"type": "array", "items": {"type": "string", "default": ""}}}),
                    &json!(["a"]),
                ),
                "In context=('properties', 'a', 'items'), 'default'",
            ),
            (
                object(&json!({"a": {"$ref": "https://x"}}), &json!(["a"])),
                "reference to 'https://x'",
            ),
        ] {
            let found = openai(&schema).unwrap_or_default();
            assert!(found.contains(expected), "{schema}: {found}");
        }
    }

    #[test]
    fn anthropic_refuses_limits_and_recursion() {
        let good = object(&json!({"a": {"type": "string"}}), &json!([]));
        assert_eq!(anthropic(&good), None);
        let bounded = object(&json!({"n": {"type": "integer", "minimum": 1}}), &json!(["n"]));
        let expected = "For 'integer' type, property 'minimum' is not supported";
        assert_eq!(anthropic(&bounded).as_deref(), Some(expected));
        let mut tree = object(&json!({"next": {"$ref": "#/$defs/Tree"}}), &json!([]));
        tree["$defs"] =
            json!({"Tree": object(&json!({"next": {"$ref": "#/$defs/Tree"}}), &json!([]))});
        assert!(anthropic(&tree).is_some_and(|text| text.contains("recursive")));
    }

    #[test]
    fn the_open_api_subset_has_no_json_schema_words() {
        assert_eq!(
            openapi(
                &json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}})
            ),
            None
        );
        assert_eq!(
            openapi(&json!({"type": "object", "additionalProperties": false})).as_deref(),
            Some("additionalProperties")
        );
    }
}
