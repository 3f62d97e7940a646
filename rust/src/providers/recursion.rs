//! Recursive schemas, which some services refuse.

use serde_json::{Map, Value as Json};

/// Whether a definition refers to itself, directly or through others; also whether the root is referred to.
pub(super) fn is_recursive(schema: &Json) -> bool {
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Json::as_object).unwrap_or(&empty);
    let reaches = |start: &str| {
        let (mut open, mut seen) = (vec![start.to_owned()], Vec::new());
        while let Some(name) = open.pop() {
            for next in definitions.get(&name).into_iter().flat_map(references) {
                if next == start {
                    return true;
                }
                if !seen.contains(&next) {
                    seen.push(next.clone());
                    open.push(next);
                }
            }
        }
        false
    };
    // The root is no definition, and neither is a name that nobody defines.
    let to_nowhere = references(schema).iter().any(|name| !definitions.contains_key(name));
    to_nowhere || definitions.keys().any(|name| reaches(name))
}

/// Names of the definitions that a schema refers to; the schema itself is the empty name.
fn references(schema: &Json) -> Vec<String> {
    match schema {
        Json::Object(map) => {
            let own = map.get("$ref").and_then(Json::as_str);
            let own = own.map(|to| to.trim_start_matches("#/$defs/").trim_start_matches('#'));
            own.map(str::to_owned).into_iter().chain(map.values().flat_map(references)).collect()
        }
        Json::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
