//! Values to JSON and back, by the table that emits, hosts and `std::json` share.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use triomphe::Arc;

use super::{EnumValue, Form, Key, MapValue, Text, Value};

/// Deeper values show as `...`, as in the display form.
const DEEPEST: usize = 128;
/// Longer ranges are written as their text.
const LONGEST: i64 = 1_000_000;

/// The JSON form of a value. NaN and infinities become null, errors their message, what has no form its display text.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    // A form that is written to memory cannot fail.
    serde_json::to_value(value).unwrap_or_default()
}

/// The JSON form as text.
#[must_use]
pub fn to_json_text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        Nested { value: self, depth: 0 }.serialize(out)
    }
}

/// A value within others.
struct Nested<'a> {
    value: &'a Value,
    depth: usize,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if self.depth > DEEPEST {
            return out.serialize_str("...");
        }
        let inside = |value| Nested { value, depth: self.depth + 1 };
        match self.value {
            Value::Nil | Value::None => out.serialize_unit(),
            Value::Bool(truth) => out.serialize_bool(*truth),
            Value::Int(number) => out.serialize_i64(*number),
            Value::Float(number) if number.is_finite() => out.serialize_f64(*number),
            Value::Float(_) => out.serialize_unit(),
            Value::Str(text) => out.serialize_str(text),
            Value::Array(items) | Value::Tuple(items) => out.collect_seq(items.iter().map(inside)),
            Value::Map(map) => {
                out.collect_map(map.iter().map(|(key, value)| (key_text(key), inside(value))))
            }
            Value::Struct(value) if value.ty.is_error => out.collect_str(self.value),
            Value::Struct(value) => {
                let names = value.ty.fields.iter().map(|(_, json)| json);
                out.collect_map(names.zip(value.fields.iter().map(inside)))
            }
            Value::Enum(value) => self.variant(value, out),
            Value::Collection(items) => out.collect_seq(items.values().iter().map(inside)),
            Value::Some(inner) => inside(inner).serialize(out),
            Value::Ok(inner) => out.collect_map([("ok", inside(inner))]),
            Value::Err(inner) => out.collect_map([("err", inside(inner))]),
            Value::Range(range) if range.len() <= LONGEST => out.collect_seq(range.numbers()),
            Value::Range(_)
            | Value::Function(_)
            | Value::Model(_)
            | Value::Pipeline(_)
            | Value::Task(_)
            | Value::Foreign(_) => out.collect_str(self.value),
        }
    }
}

impl Nested<'_> {
    fn variant<S: Serializer>(&self, value: &EnumValue, out: S) -> Result<S::Ok, S::Error> {
        let Some((name, form, names)) = value.ty.variants.get(value.variant as usize) else {
            return out.serialize_unit();
        };
        if *form == Form::Unit {
            return out.serialize_str(name);
        }
        let data =
            Data { names: (*form == Form::Struct).then_some(names), value, depth: self.depth + 1 };
        out.collect_map([("variant", &Either::Name(name)), ("data", &Either::Data(data))])
    }
}

enum Either<'a> {
    Name(&'a str),
    Data(Data<'a>),
}

impl Serialize for Either<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => out.serialize_str(name),
            Self::Data(data) => data.serialize(out),
        }
    }
}

/// The data of a variant, by name or in order.
struct Data<'a> {
    names: Option<&'a Vec<String>>,
    value: &'a EnumValue,
    depth: usize,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let fields = self.value.fields.iter().map(|value| Nested { value, depth: self.depth });
        match self.names {
            Some(names) => out.collect_map(names.iter().zip(fields)),
            None => out.collect_seq(fields),
        }
    }
}

fn key_text(key: &Key) -> Cow<'_, str> {
    match key {
        Key::Str(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_value().to_string()),
    }
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
