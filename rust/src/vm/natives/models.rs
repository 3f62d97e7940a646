//! Settings of model references. Each builder method gives a new value; the one that it is called on stays as it was (CA-11).

use triomphe::Arc;

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
    ("model.with_tools", Function::Pure(2, with_tools)),
    (
        "model.without_tools",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Model(mut model) => {
                Arc::make_mut(&mut model).set(Setting::WithoutTools, Value::Bool(true));
                Ok(Value::Model(model))
            }
            _ => Err(Failure::Broken),
        }),
    ),
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

/// Names of tools; repeated uses add up. What is no array of names stays what it is, for the call to refuse (CA-14).
fn with_tools(args: &mut [Value]) -> Outcome {
    let (Value::Model(mut model), new) = (take(args, 0)?, take(args, 1)?) else {
        return Err(Failure::Broken);
    };
    let all = match (model.setting(Setting::Tools), new) {
        (Some(Value::Array(old)), Value::Array(new)) => {
            Value::array(old.iter().chain(new.iter()).cloned().collect())
        }
        (None | Some(Value::Array(_)), new) => new,
        (Some(refused), _) => refused.clone(),
    };
    Arc::make_mut(&mut model).set(Setting::Tools, all);
    Ok(Value::Model(model))
}

fn set(args: &mut [Value], setting: Setting) -> Outcome {
    let (Value::Model(mut model), value) = (take(args, 0)?, take(args, 1)?) else {
        return Err(Failure::Broken);
    };
    Arc::make_mut(&mut model).set(setting, value);
    Ok(Value::Model(model))
}
