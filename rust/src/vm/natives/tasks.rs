//! Tasks: what can be said without waiting.

use super::{Failure, Function, Table, take};
use crate::value::Value;

pub(super) static TABLE: Table = &[
    (
        "task.is_done",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Task(task) => Ok(Value::Bool(task.is_done())),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "task.id",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Task(task) => Ok(Value::Int(i64::try_from(task.id).unwrap_or(i64::MAX))),
            _ => Err(Failure::Broken),
        }),
    ),
];
