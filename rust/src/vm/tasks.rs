//! Operands of the instructions on tasks.

use triomphe::Arc;

use super::effect::{PanicKind, Work};
use super::natives::Failure;
use crate::value::{PipelineValue, Text, Value};

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

/// A pipeline of its name and those of its stages.
pub(super) fn pipeline(function: usize, names: Vec<Value>) -> Result<Value, Failure> {
    let names: Option<Vec<Text>> = names
        .into_iter()
        .map(|name| match name {
            Value::Str(text) => Some(text),
            _ => None,
        })
        .collect();
    let mut names = names.ok_or(Failure::Broken)?.into_iter();
    let name = names.next().ok_or(Failure::Broken)?;
    let stages = names.collect();
    Ok(Value::Pipeline(Arc::new(PipelineValue { name, stages, function })))
}
