//! Methods of Option and Result, and what works on every value.

use triomphe::Arc;

use super::{Failure, Function, Outcome, Table, panic, take, text};
use crate::value::{Text, Value, declared_name, equal, line_difference};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("any.to_string", Function::Pure(1, |a| Ok(take(a, 0)?.to_string().into()))),
    ("any.typeof", Function::Pure(1, |a| Ok(declared_name(take(a, 0)?.type_name()).into()))),
    (
        "core.assert",
        Function::Pure(2, |a| match a.first() {
            Some(Value::Bool(true)) => Ok(Value::Nil),
            Some(Value::Bool(false)) => {
                panic(PanicKind::Assertion, format!("assertion failed: {}", text(a, 1)?))
            }
            _ => Err(Failure::Broken),
        }),
    ),
    ("core.assert_eq", Function::Pure(2, |a| assert_same(a, true))),
    ("core.assert_ne", Function::Pure(2, |a| assert_same(a, false))),
    ("option.is_some", Function::Pure(1, |a| Ok(matches!(a.first(), Some(Value::Some(_))).into()))),
    (
        "option.is_none",
        Function::Pure(1, |a| Ok((!matches!(a.first(), Some(Value::Some(_)))).into())),
    ),
    (
        "option.unwrap",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Some(inner) => Ok((**inner).clone()),
            _ => panic(PanicKind::UnwrapNone, "`unwrap` on `None`"),
        }),
    ),
    (
        "option.expect",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Some(inner) => Ok((**inner).clone()),
            _ => panic(PanicKind::UnwrapNone, text(a, 1)?.to_string()),
        }),
    ),
    (
        "option.unwrap_or",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Some(inner) => Ok((**inner).clone()),
            _ => take(a, 1),
        }),
    ),
    (
        "option.ok_or",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Some(inner) => Ok(Value::Ok(inner)),
            _ => Ok(Value::err(take(a, 1)?)),
        }),
    ),
    ("result.is_ok", Function::Pure(1, |a| Ok(matches!(a.first(), Some(Value::Ok(_))).into()))),
    ("result.is_err", Function::Pure(1, |a| Ok(matches!(a.first(), Some(Value::Err(_))).into()))),
    (
        "result.unwrap",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Ok(inner) => Ok((**inner).clone()),
            Value::Err(error) => panic(PanicKind::UnwrapErr, format!("`unwrap` on `Err`: {error}")),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "result.expect",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Ok(inner) => Ok((**inner).clone()),
            Value::Err(error) => panic(PanicKind::UnwrapErr, format!("{}: {error}", text(a, 1)?)),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "result.unwrap_err",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Err(error) => Ok((**error).clone()),
            Value::Ok(inner) => {
                panic(PanicKind::UnwrapErr, format!("`unwrap_err` on `Ok`: {inner}"))
            }
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "result.unwrap_or",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Ok(inner) => Ok((**inner).clone()),
            _ => take(a, 1),
        }),
    ),
    (
        "result.context",
        Function::Pure(2, |a| match take(a, 0)? {
            Value::Err(error) => Ok(Value::err(noted(&error, text(a, 1)?))),
            other => Ok(other),
        }),
    ),
    (
        "result.ok",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Ok(inner) => Ok(Value::Some(inner)),
            _ => Ok(Value::None),
        }),
    ),
    (
        "result.err",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Err(error) => Ok(Value::Some(error)),
            _ => Ok(Value::None),
        }),
    ),
];

/// An error with a note in front of its message; one of the program keeps it beside its value.
fn noted(error: &Value, note: &str) -> Value {
    match error {
        Value::Str(message) => format!("{note}: {message}").into(),
        Value::Struct(held) if held.ty.is_error => {
            let mut held = Arc::clone(held);
            // Every built-in error has its message first.
            if let Some(message) = Arc::make_mut(&mut held).fields.first_mut() {
                *message = format!("{note}: {message}").into();
            }
            Value::Struct(held)
        }
        Value::Struct(held) => {
            let mut held = Arc::clone(held);
            let own = Arc::make_mut(&mut held);
            own.note = Some(before(note, own.note.as_ref()));
            Value::Struct(held)
        }
        Value::Enum(held) => {
            let mut held = Arc::clone(held);
            let own = Arc::make_mut(&mut held);
            own.note = Some(before(note, own.note.as_ref()));
            Value::Enum(held)
        }
        other => other.clone(),
    }
}

fn before(note: &str, older: Option<&Text>) -> Text {
    match older {
        Some(older) => Text::new(format!("{note}: {older}")),
        None => Text::new(note),
    }
}

/// `assert_eq` and `assert_ne`; a failure shows both values, texts of several lines by the lines that differ.
fn assert_same(args: &mut [Value], wanted: bool) -> Outcome {
    let (left, right) = (take(args, 0)?, take(args, 1)?);
    if equal(&left, &right) == wanted {
        return Ok(Value::Nil);
    }
    let message = match (&left, &right) {
        (Value::Str(a), Value::Str(b)) if wanted && (a.contains('\n') || b.contains('\n')) => {
            format!("left != right (- left, + right)\n{}", line_difference(a, b))
        }
        _ if wanted => format!("{} != {}", shown(left), shown(right)),
        _ => format!("{} == {} (expected not equal)", shown(left), shown(right)),
    };
    panic(PanicKind::Assertion, format!("assertion failed: {message}"))
}

/// As inside of another value, so that texts are quoted.
fn shown(value: Value) -> String {
    let whole = Value::array(vec![value]).to_string();
    whole.strip_prefix('[').and_then(|s| s.strip_suffix(']')).unwrap_or(&whole).to_owned()
}
