//! Built-in records: errors that programs make and their fields as a map, and settings of prompts.

use triomphe::Arc;

use super::{Failure, Function, Outcome, Table, take, text};
use crate::value::{Key, MapValue, Text, Value, builtin};

pub(super) static TABLE: Table = &[
    ("error.llm", Function::Pure(1, |a| Ok(builtin::custom_error(text(a, 0)?)))),
    ("error.timeout", Function::Pure(1, |a| Ok(builtin::timeout_error(super::int(a, 0)?)))),
    // What tells errors of a program apart; a text and the like have no kind.
    (
        "error.kind",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Struct(error) => match error.get("kind") {
                Some(Value::Str(kind)) => Ok(Value::Str(kind.clone())),
                _ => Ok("".into()),
            },
            _ => Ok("".into()),
        }),
    ),
    (
        "error.of",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Err(error) => Ok(Value::some((**error).clone())),
            _ => Ok(Value::None),
        }),
    ),
    (
        "error.to_map",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Struct(error) => {
                let names =
                    error.ty.fields.iter().map(|(name, _)| Key::Str(Text::new(name.as_str())));
                let map: MapValue = names.zip(error.fields.iter().cloned()).collect();
                Ok(Value::Map(map.into()))
            }
            // Of the program, as an `Error`.
            Value::Enum(_) => Ok(Value::Map(MapValue::default().into())),
            _ => Err(Failure::Broken),
        }),
    ),
    ("prompt.with_model", Function::Pure(2, |a| with(a, "model"))),
    ("prompt.with_temperature", Function::Pure(2, |a| with(a, "temperature"))),
    ("prompt.with_max_tokens", Function::Pure(2, |a| with(a, "max_tokens"))),
    (
        "prompt.text",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Struct(prompt) => prompt.get("text").cloned().ok_or(Failure::Broken),
            _ => Err(Failure::Broken),
        }),
    ),
];

/// The prompt with one setting more.
fn with(args: &mut [Value], name: &str) -> Outcome {
    let (Value::Struct(mut prompt), value) = (take(args, 0)?, take(args, 1)?) else {
        return Err(Failure::Broken);
    };
    let position = prompt.ty.fields.iter().position(|(field, _)| field == name);
    let field = position.and_then(|at| Arc::make_mut(&mut prompt).fields.get_mut(at));
    *field.ok_or(Failure::Broken)? = Value::some(value);
    Ok(Value::Struct(prompt))
}
