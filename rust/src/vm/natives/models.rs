//! Settings of model references. Each builder method gives a new value; the one that it is called on stays as it was (CA-11).

use std::sync::Arc;

use super::{Failure, Function, Outcome, Table, panic, take};
use crate::value::{Setting, Value};
use crate::vm::PanicKind;

macro_rules! setting {
    ($name:literal, $setting:ident) => {
        (concat!("model.", $name), Function::Pure(2, |a| set(a, Setting::$setting)))
    };
}

pub(super) static TABLE: Table = &[
    setting!("with_base", Base),
    setting!("with_system_prompt", SystemPrompt),
    setting!("with_temperature", Temperature),
    setting!("with_top_p", TopP),
    setting!("with_max_tokens", MaxTokens),
    setting!("with_stop", Stop),
    setting!("with_seed", Seed),
    setting!("with_timeout", Timeout),
    setting!("with_context", Context),
    setting!("with_retry_message", RetryMessage),
    (
        "model.spawn",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Model(model) => Ok(Value::Model(Arc::new(model.spawn()))),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "model.shutdown",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Model(model) if model.shutdown() => Ok(Value::Nil),
            Value::Model(_) => panic(
                PanicKind::InvalidArgument,
                "only a reference that `spawn` gave can be shut down",
            ),
            _ => Err(Failure::Broken),
        }),
    ),
];

fn set(args: &mut [Value], setting: Setting) -> Outcome {
    let (Value::Model(mut model), value) = (take(args, 0)?, take(args, 1)?) else {
        return Err(Failure::Broken);
    };
    Arc::make_mut(&mut model).set(setting, value);
    Ok(Value::Model(model))
}
