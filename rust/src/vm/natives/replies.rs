//! What a place that expects a plain value makes of a reply (language reference 10.5).

use super::{Failure, Function, Table, panic, take};
use crate::value::Value;
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[(
    "emit.unwrap",
    Function::Pure(1, |a| match take(a, 0)? {
        Value::Ok(inner) => Ok((**inner).clone()),
        Value::Err(error) => {
            let Value::Struct(held) = &**error else { return Err(Failure::Broken) };
            let is_misfit = held.get("kind").and_then(Value::as_str) == Some("invalid_reply");
            let kind = if is_misfit { PanicKind::TypeMismatch } else { PanicKind::UnwrapErr };
            panic(kind, error.message())
        }
        _ => Err(Failure::Broken),
    }),
)];
