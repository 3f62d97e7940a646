//! Operands of the instructions on tasks.

use super::effect::{Effect, PanicKind, Work};
use super::natives::Failure;
use crate::value::Value;

/// The parts of `join_each`: a function, an array, and how many run at a time.
pub(super) fn each(parts: Vec<Value>) -> Result<Work, Failure> {
    let Ok([Value::Function(function), Value::Array(items), Value::Int(most)]) =
        <[Value; 3]>::try_from(parts)
    else {
        return Err(Failure::Broken);
    };
    match usize::try_from(most) {
        Ok(most) if most > 0 => Ok(Work::Each { function, items, most }),
        _ => {
            let message = format!("`max` must be at least 1, found {most}");
            Err(Failure::Panic(PanicKind::InvalidArgument, message))
        }
    }
}

/// The parts of `retry_delay`.
pub(super) fn retry_delay(parts: &[Value]) -> Result<Effect, Failure> {
    let [Value::Int(retry), Value::Str(backoff), Value::Int(first_ms), Value::Int(longest_ms)] =
        parts
    else {
        return Err(Failure::Broken);
    };
    Ok(Effect::RetryDelay {
        retry: *retry,
        backoff: backoff.clone(),
        first_ms: *first_ms,
        longest_ms: *longest_ms,
    })
}
