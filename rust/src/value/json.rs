//! Values to JSON and back, by the table that emits, hosts and `std::json` share.

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use super::{Form, Key, MapValue, Text, Value};

/// Deeper values show as `...`, as in the display form.
const DEEPEST: usize = 128;
/// Longer ranges are written as their text.
const LONGEST: i64 = 1_000_000;

/// The JSON form of a value. NaN and infinities become null, errors their message, what has no form its display text.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    json_at(value, 0)
}

fn json_at(value: &Value, depth: usize) -> Json {
    if depth > DEEPEST {
        return Json::from("...");
    }
    let inside = |value: &Value| json_at(value, depth + 1);
    match value {
        Value::Nil | Value::None => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Str(text) => Json::String(text.to_string()),
        Value::Array(items) | Value::Tuple(items) => items.iter().map(inside).collect(),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(key, value)| (key_text(key), inside(value))).collect())
        }
        Value::Struct(value) if value.ty.is_error => {
            Json::String(Value::Struct(Arc::clone(value)).to_string())
        }
        Value::Struct(value) => Json::Object(
            value
                .ty
                .fields
                .iter()
                .zip(&value.fields)
                .map(|((_, json), field)| (json.clone(), inside(field)))
                .collect(),
        ),
        Value::Enum(value) => {
            let Some((name, form, names)) = value.ty.variants.get(value.variant as usize) else {
                return Json::Null;
            };
            let data = match form {
                Form::Unit => return Json::String(name.clone()),
                Form::Tuple => value.fields.iter().map(inside).collect(),
                Form::Struct => Json::Object(
                    names.iter().zip(&value.fields).map(|(n, v)| (n.clone(), inside(v))).collect(),
                ),
            };
            object([("variant", Json::String(name.clone())), ("data", data)])
        }
        Value::Collection(items) => items.values().iter().map(inside).collect(),
        Value::Some(inner) => inside(inner),
        Value::Ok(inner) => object([("ok", inside(inner))]),
        Value::Err(inner) => object([("err", inside(inner))]),
        Value::Range(range) if range.len() > LONGEST => Json::String(value.to_string()),
        Value::Range(range) => range.numbers().map(Json::from).collect(),
        Value::Function(_)
        | Value::Model(_)
        | Value::Pipeline(_)
        | Value::Task(_)
        | Value::Foreign(_) => Json::String(value.to_string()),
    }
}

fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
    Json::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
}

fn key_text(key: &Key) -> String {
    key.to_value().to_string()
}

/// The value of untyped JSON: objects become maps, integers that fit become Int, all other numbers Float.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => Value::array(items.iter().map(from_json).collect()),
        Json::Object(entries) => Value::Map(Arc::new(
            entries
                .iter()
                .map(|(key, value)| (Key::Str(Text::new(key.as_str())), from_json(value)))
                .collect::<MapValue>(),
        )),
    }
}
