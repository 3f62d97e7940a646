//! Pipelines as values, and the error of one that failed.

use triomphe::Arc;

use super::{Failure, Function, Outcome, Table, int, take, text};
use crate::value::{Captures, FunctionValue, Value, builtin};

pub(super) static TABLE: Table = &[
    ("pipeline.stages", Function::Pure(1, stages)),
    ("pipeline.function", Function::Pure(1, function)),
    (
        "pipeline.failed",
        Function::Pure(4, |a| {
            let (attempts, cause) = (int(a, 2)?, take(a, 3)?);
            Ok(builtin::pipeline_error(text(a, 0)?, text(a, 1)?, attempts, cause))
        }),
    ),
];

fn stages(args: &mut [Value]) -> Outcome {
    match take(args, 0)? {
        Value::Pipeline(pipeline) => {
            Ok(Value::array(pipeline.stages.iter().map(|name| Value::Str(name.clone())).collect()))
        }
        _ => Err(Failure::Broken),
    }
}

/// The function that runs it.
fn function(args: &mut [Value]) -> Outcome {
    let Value::Pipeline(pipeline) = take(args, 0)? else { return Err(Failure::Broken) };
    let name = Some(Arc::from(&*pipeline.name));
    let (index, arity, captures) = (pipeline.function, 1, Captures::None);
    Ok(Value::Function(Arc::new(FunctionValue { index, name, arity, captures })))
}
