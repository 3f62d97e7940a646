//! `std::json`.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{Failure, Function, Outcome, Table, int, panic, take, text};
use crate::value::{Value, builtin, parse_json, to_json_text};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    (
        "json.parse",
        Function::Pure(1, |a| {
            Ok(match parse_json(text(a, 0)?) {
                Ok(value) => Value::ok(value),
                Err(problem) => Value::err(builtin::json_syntax_error(&problem)),
            })
        }),
    ),
    ("json.schema_error", Function::Pure(1, |a| schema_error(take(a, 0)?))),
    ("json.is_valid", Function::Pure(1, |a| Ok(parse_json(text(a, 0)?).is_ok().into()))),
    ("json.stringify", Function::Pure(1, |a| Ok(to_json_text(&take(a, 0)?).into()))),
    ("json.stringify_pretty", Function::Pure(2, pretty)),
];

fn pretty(args: &mut [Value]) -> Outcome {
    let value = take(args, 0)?;
    let Ok(indent @ 0..=8) = usize::try_from(int(args, 1)?) else {
        return panic(PanicKind::InvalidArgument, "`indent` must be 0 to 8");
    };
    let margin = " ".repeat(indent);
    let mut written = Vec::new();
    let formatter = PrettyFormatter::with_indent(margin.as_bytes());
    let mut serializer = Serializer::with_formatter(&mut written, formatter);
    value.serialize(&mut serializer).map_err(|_| Failure::Broken)?;
    String::from_utf8(written).map(Value::from).map_err(|_| Failure::Broken)
}

/// What `parse_as` gives: JSON that does not fit is told by its first violation and that one's place.
fn schema_error(outcome: Value) -> Outcome {
    let Value::Err(error) = &outcome else { return Ok(outcome) };
    let Value::Struct(held) = &***error else { return Err(Failure::Broken) };
    let first = match held.get("violations") {
        Some(Value::Array(violations)) => violations.first().cloned(),
        _ => None,
    };
    let Some(Value::Struct(first)) = first else { return Err(Failure::Broken) };
    let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(Value::err(builtin::json_schema_error(text("message"), text("path"))))
}
