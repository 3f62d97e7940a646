//! Built-in errors that programs make, and their fields as a map.

use super::{Failure, Function, Table, take, text};
use crate::value::{Key, MapValue, Text, Value, builtin};

pub(super) static TABLE: Table = &[
    ("error.llm", Function::Pure(1, |a| Ok(builtin::custom_error(text(a, 0)?)))),
    (
        "error.to_map",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Struct(error) => {
                let names =
                    error.ty.fields.iter().map(|(name, _)| Key::Str(Text::new(name.as_str())));
                let map: MapValue = names.zip(error.fields.iter().cloned()).collect();
                Ok(Value::Map(map.into()))
            }
            _ => Err(Failure::Broken),
        }),
    ),
];
