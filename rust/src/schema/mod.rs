//! JSON to typed values, and Any values into typed places.
//!
//! [`decode`] reads what a model answered or a host passed: it collects every violation, each with its place as a JSON pointer, fills defaults, and
//! ignores fields that the type does not have. [`conform`] checks a value that is already one of the language.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::ir::program::{Constant, Enum, Field, Struct, Type};
use crate::ir::{Verified, constant_value};
use crate::value::{EnumValue, Form, Key, MapValue, StructValue, Text, Value, from_json};

/// More violations than this are not collected.
const MAX_VIOLATIONS: usize = 50;
/// Deeper JSON is not read.
const MAX_DEPTH: usize = 128;
/// Longer answers are not read, in bytes.
const MAX_BYTES: usize = 10 << 20;

/// One way in which JSON does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer; empty for the whole.
    pub path: String,
    /// `parse`, `missing_field`, `type_mismatch` or `enum_violation`.
    pub reason: &'static str,
    /// What the type wants.
    pub expected: String,
    /// What stands there.
    pub actual: String,
}

impl Violation {
    /// One line: place, expected, found.
    #[must_use]
    pub fn message(&self) -> String {
        let place = if self.path.is_empty() { "the answer" } else { &self.path };
        format!("{place}: expected {}, got {}", self.expected, self.actual)
    }
}

/// Parses text as JSON within the limits of answers.
///
/// # Errors
/// One violation with reason `parse`.
pub fn parse(text: &str) -> Result<Json, Violation> {
    let violation = |actual: String| Violation {
        path: String::new(),
        reason: "parse",
        expected: "JSON".to_owned(),
        actual,
    };
    if text.len() > MAX_BYTES {
        return Err(violation("more than 10 MiB".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| violation(format!("text that is not ({error})")))
}

/// Decodes JSON as a type.
///
/// # Errors
/// All violations, at most 50, in order of their places.
pub fn decode(program: &Verified, ty: u32, json: &Json) -> Result<Value, Vec<Violation>> {
    let mut decoder = Decoder { program, path: Vec::new(), violations: Vec::new() };
    match decoder.value(ty, json) {
        Some(value) if decoder.violations.is_empty() => Ok(value),
        _ => Err(decoder.violations),
    }
}

struct Decoder<'a> {
    program: &'a Verified,
    path: Vec<String>,
    violations: Vec<Violation>,
}

impl Decoder<'_> {
    fn violated<T>(&mut self, reason: &'static str, expected: String, actual: String) -> Option<T> {
        if self.violations.len() < MAX_VIOLATIONS {
            let path = self.path.iter().map(|part| format!("/{part}")).collect();
            self.violations.push(Violation { path, reason, expected, actual });
        }
        None
    }

    fn mismatch<T>(&mut self, expected: &str, json: &Json) -> Option<T> {
        self.violated("type_mismatch", expected.to_owned(), shown(json))
    }

    fn at<T>(&mut self, part: impl Into<String>, work: impl FnOnce(&mut Self) -> T) -> T {
        // A JSON pointer escapes `~` and `/`.
        self.path.push(part.into().replace('~', "~0").replace('/', "~1"));
        let result = work(self);
        self.path.pop();
        result
    }

    fn value(&mut self, ty: u32, json: &Json) -> Option<Value> {
        if self.path.len() > MAX_DEPTH {
            return self.violated("parse", "at most 128 levels".to_owned(), "more".to_owned());
        }
        let program = self.program.clone();
        match (program.types().get(ty as usize)?, json) {
            (Type::Any, _) => Some(from_json(json)),
            (Type::Nil, Json::Null) => Some(Value::Nil),
            (Type::Bool, Json::Bool(truth)) => Some(Value::Bool(*truth)),
            (Type::Int, Json::Number(number)) => match integral(number) {
                Some(whole) => Some(Value::Int(whole)),
                None => self.mismatch("an integer", json),
            },
            (Type::Float, Json::Number(number)) => number.as_f64().map(Value::Float),
            (Type::String, Json::String(text)) => Some(Value::text(text.as_str())),
            (Type::Literal(values), Json::String(text)) => {
                if values.contains(text) {
                    return Some(Value::text(text.as_str()));
                }
                let expected = values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>();
                self.violated(
                    "enum_violation",
                    format!("one of {}", expected.join(", ")),
                    shown(json),
                )
            }
            (Type::Option(_), Json::Null) => Some(Value::None),
            (Type::Option(inner), _) => self.value(*inner, json).map(Value::some),
            (Type::Array(item), Json::Array(items)) => {
                let decoded: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(index, json)| self.at(index.to_string(), |own| own.value(*item, json)))
                    .collect();
                decoded.into_iter().collect::<Option<Vec<_>>>().map(Value::array)
            }
            (Type::Tuple(types), Json::Array(items)) => {
                if types.len() != items.len() {
                    return self.mismatch(&format!("{} elements", types.len()), json);
                }
                let decoded: Vec<_> = types
                    .iter()
                    .zip(items)
                    .enumerate()
                    .map(|(index, (ty, json))| {
                        self.at(index.to_string(), |own| own.value(*ty, json))
                    })
                    .collect();
                let decoded: Option<Vec<_>> = decoded.into_iter().collect();
                decoded.map(|items| Value::Tuple(Arc::new(items)))
            }
            (Type::Map(_, item), Json::Object(entries)) => {
                let mut map = MapValue::with_capacity(entries.len());
                for (key, json) in entries {
                    let value = self.at(key, |own| own.value(*item, json));
                    map.insert(Key::Str(Text::new(key.as_str())), value.unwrap_or_default());
                }
                Some(Value::Map(Arc::new(map)))
            }
            (Type::Struct(inner), Json::Object(entries)) => self.structure(ty, inner, entries),
            (Type::Enum(inner), _) => self.variant(ty, inner, json),
            (Type::Union(members), _) => {
                for member in members {
                    if let Ok(value) = decode(&program, *member, json) {
                        return Some(value);
                    }
                }
                let expected = program.type_name(ty);
                self.mismatch(&expected, json)
            }
            (other, _) => {
                let expected = match other {
                    Type::String => "a string",
                    Type::Literal(_) => "one of the strings",
                    Type::Int => "an integer",
                    Type::Float => "a number",
                    Type::Bool => "true or false",
                    Type::Nil => "null",
                    Type::Array(_) | Type::Tuple(_) => "an array",
                    Type::Map(..) | Type::Struct(_) => "an object",
                    _ => "a value with a JSON form",
                };
                self.mismatch(expected, json)
            }
        }
    }

    fn structure(
        &mut self,
        ty: u32,
        inner: &Struct,
        entries: &serde_json::Map<String, Json>,
    ) -> Option<Value> {
        let fields: Vec<_> =
            inner.fields.iter().map(|field| self.field(field, entries.get(&field.json))).collect();
        let fields: Option<Vec<_>> = fields.into_iter().collect();
        let ty = Arc::clone(self.program.struct_type(ty)?);
        fields.map(|fields| Value::Struct(Arc::new(StructValue { ty, fields })))
    }

    fn field(&mut self, field: &Field, json: Option<&Json>) -> Option<Value> {
        match (json, &field.default) {
            (None | Some(Json::Null), Some(default)) => Some(default_value(default)),
            (None | Some(Json::Null), None) if field.optional => Some(Value::None),
            (None, None) => {
                let expected = self.program.type_name(field.ty);
                self.at(&field.json, |own| {
                    own.violated("missing_field", expected, "nothing".to_owned())
                })
            }
            (Some(json), _) => self.at(&field.json, |own| own.value(field.ty, json)),
        }
    }

    fn variant(&mut self, ty: u32, inner: &Enum, json: &Json) -> Option<Value> {
        let name = json.as_str().or_else(|| json.get("variant")?.as_str());
        let found = inner.variants.iter().position(|v| Some(v.name.as_str()) == name);
        let Some((index, variant)) = found.and_then(|i| Some((i, inner.variants.get(i)?))) else {
            let names: Vec<_> = inner.variants.iter().map(|v| format!("{:?}", v.name)).collect();
            return self.violated(
                "enum_violation",
                format!("one of {}", names.join(", ")),
                shown(json),
            );
        };
        let data = json.get("data");
        let fields = match (variant.form, data) {
            (Form::Unit, _) => Some(Vec::new()),
            (Form::Tuple, Some(Json::Array(items))) if items.len() == variant.fields.len() => {
                let pairs = variant.fields.iter().zip(items).enumerate();
                let decoded: Vec<_> = pairs
                    .map(|(i, (field, json))| {
                        self.at("data", |own| {
                            own.at(i.to_string(), |own| own.value(field.ty, json))
                        })
                    })
                    .collect();
                decoded.into_iter().collect()
            }
            (Form::Struct, Some(Json::Object(entries))) => {
                let decoded: Vec<_> = variant
                    .fields
                    .iter()
                    .map(|f| self.at("data", |own| own.field(f, entries.get(&f.json))))
                    .collect();
                decoded.into_iter().collect()
            }
            _ => self.mismatch("the data of the variant", json),
        }?;
        let ty = Arc::clone(self.program.enum_type(ty)?);
        let variant = u32::try_from(index).ok()?;
        Some(Value::Enum(Arc::new(EnumValue { ty, variant, fields })))
    }
}

fn default_value(default: &Constant) -> Value {
    constant_value(default)
}

/// An integral number within 64 bits, however it is written.
fn integral(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|f| f.fract() == 0.0)?;
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (float.abs() < 9_007_199_254_740_992.0).then_some(float as i64) // 2^53: exact
    })
}

/// A short form of JSON for messages.
fn shown(json: &Json) -> String {
    let text = json.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// Checks that a value of the language fits a type, deep for collections and by name for structs and enums; an Int becomes a Float where one is wanted.
///
/// # Errors
/// The type name of what did not fit.
pub fn conform(program: &Verified, ty: u32, value: Value) -> Result<Value, String> {
    let Some(wanted) = program.types().get(ty as usize) else { return Err("?".to_owned()) };
    let all = |ty: u32, items: &[Value]| -> Result<Vec<Value>, String> {
        items.iter().map(|item| conform(program, ty, item.clone())).collect()
    };
    let fits = match (wanted, &value) {
        (Type::Any, _)
        | (Type::Nil, Value::Nil)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Float, Value::Float(_))
        | (Type::String, Value::Str(_))
        | (Type::Range, Value::Range(_))
        | (Type::Option(_), Value::None) => true,
        #[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
        (Type::Float, Value::Int(number)) => return Ok(Value::Float(*number as f64)),
        (Type::Literal(values), Value::Str(text)) => values.iter().any(|v| **v == **text),
        (Type::Option(_), Value::Nil) => return Ok(Value::None),
        (Type::Option(inner), Value::Some(held)) => {
            return conform(program, *inner, (**held).clone()).map(Value::some);
        }
        (Type::Option(inner), _) => return conform(program, *inner, value).map(Value::some),
        (Type::Array(inner), Value::Array(items)) => return all(*inner, items).map(Value::array),
        (Type::Tuple(types), Value::Tuple(items)) if types.len() == items.len() => {
            let items: Result<Vec<_>, _> = types
                .iter()
                .zip(items.iter())
                .map(|(ty, v)| conform(program, *ty, v.clone()))
                .collect();
            return items.map(|items| Value::Tuple(Arc::new(items)));
        }
        (Type::Result(inner, _), Value::Ok(held)) => {
            return conform(program, *inner, (**held).clone()).map(Value::ok);
        }
        (Type::Result(_, inner), Value::Err(held)) => {
            return conform(program, *inner, (**held).clone()).map(Value::err);
        }
        (Type::Struct(inner), Value::Struct(held)) => inner.name == held.ty.name,
        (Type::Enum(inner), Value::Enum(held)) => inner.name == held.ty.name,
        (Type::Map(key, inner), Value::Map(map)) => {
            let mut checked = MapValue::with_capacity(map.len());
            for (own, item) in map.iter() {
                conform(program, *key, own.to_value())?;
                checked.insert(own.clone(), conform(program, *inner, item.clone())?);
            }
            return Ok(Value::Map(Arc::new(checked)));
        }
        (Type::Union(members), _) => {
            members.iter().any(|member| conform(program, *member, value.clone()).is_ok())
        }
        _ => false,
    };
    if fits { Ok(value) } else { Err(value.type_name().to_owned()) }
}

/// The JSON inside an answer that also has other text (M-42): without one code fence around the whole, and without text before the first bracket and after the last.
#[must_use]
pub fn json_part(text: &str) -> &str {
    let mut inner = text.trim();
    if let Some(fenced) = inner.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        inner = fenced.split_once('\n').map_or(fenced, |(_, body)| body).trim();
    }
    let Some(start) = inner.find(['{', '[']) else { return inner };
    let closing = if inner.get(start..=start) == Some("{") { '}' } else { ']' };
    let end = inner.rfind(closing).map_or(inner.len(), |end| end + 1);
    inner.get(start..end).unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_inside_other_text() {
        for (text, expected) in [
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
            ("Here it is: [1, 2]. Enjoy!", "[1, 2]"),
            ("no brackets", "no brackets"),
        ] {
            assert_eq!(json_part(text), expected);
        }
    }
}
