//! What an uncaught error of the program says of itself.

use super::{BUDGET, Shared};
use crate::error::RunError;
use crate::value::Value;
use crate::vm::{Fiber, Resume, Step};

/// Budgets of a `message`: what takes longer is shown as any value.
const BUDGETS: u32 = 10;

/// The error with the message that its type computes by `impl Error`, behind the notes of `Result.context`.
#[must_use]
pub fn reported(shared: &Shared, error: RunError) -> RunError {
    let RunError::Program { message, value, trace } = error else { return error };
    let own = own_message(shared, &value).unwrap_or(message);
    let message = match value.note() {
        Some(note) => format!("{note}: {own}"),
        None => own,
    };
    RunError::Program { message, value, trace }
}

/// The run is over: a `message` that asks for the world gets no answer, and one that panics says nothing.
fn own_message(shared: &Shared, value: &Value) -> Option<String> {
    let function = shared.program.message_of(value)? as usize;
    let depth = shared.max_call_depth;
    let mut fiber = Fiber::new(shared.program.clone(), function, vec![value.clone()], depth);
    for _ in 0..BUDGETS {
        match fiber.run(Resume::Continue, BUDGET) {
            Step::Yield => {}
            Step::Done(Value::Str(text)) => return Some(text.to_string()),
            _ => return None,
        }
    }
    None
}
