//! Conversions that lose nothing, where a field asks for them with `@coerce` (SC-17).

use serde_json::{Number, Value as Json};

use super::decode::integral;
use crate::ir::program::Type;
use crate::value::Value;

/// JSON of another type as a type without parts; `None` if something would be lost.
pub(super) fn scalar(ty: &Type, json: &Json) -> Option<Value> {
    match (ty, json) {
        (Type::Int, Json::String(text)) => integral(&number(text)?).map(Value::Int),
        (Type::Float, Json::String(text)) => number(text)?.as_f64().map(Value::Float),
        (Type::Bool, Json::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        (Type::Bool, Json::Number(number)) => match number.as_i64() {
            Some(0) => Some(Value::Bool(false)),
            Some(1) => Some(Value::Bool(true)),
            _ => None,
        },
        (Type::String, Json::Number(_) | Json::Bool(_)) => Some(Value::text(json.to_string())),
        (Type::Literal(words), Json::String(text)) => {
            word(words.iter().map(String::as_str), text).map(Value::text)
        }
        _ => None,
    }
}

/// The whole trimmed text as a JSON number.
fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text.trim()).ok()
}

/// The one of these words that a text is, apart from case and outer white space; `None` if it could be two.
pub(super) fn word<'a>(words: impl Iterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    let wanted = text.trim().to_lowercase();
    let mut fitting = words.filter(|word| word.trim().to_lowercase() == wanted);
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}
