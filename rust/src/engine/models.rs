//! Model calls of a program: from a model's declaration to a [`Call`], and from its outcome to a value of the language.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, streams};
use crate::chat::{Message, OutputSchema, Sampling};
use crate::clock;
use crate::config::{self, ProviderKind};
use crate::ir::program::{FieldExpr, Model};
use crate::llm::{Answer, Call, LlmError};
use crate::metrics::{End, Origin};
use crate::mock_reply;
use crate::providers::FailureKind;
use crate::schema::Violation;
use crate::value::{Value, builtin};

/// Fields of a model are kept beside those of connections, from this number on.
const MODELS: usize = 1 << 32;
/// The longest prompt, in bytes.
const MAX_PROMPT: usize = 16 << 20;

impl Engine<'_> {
    pub(super) async fn execute(&mut self, model: u32, prompt: &str) -> Value {
        let outcome = match self.call(model, prompt, None) {
            Ok(call) if self.shared.mock => Ok(self.mocked(&call, mock_reply::text(prompt))),
            Ok(call) => {
                self.shared.client.execute(call, self.recorders()).await.map(|a| response(&a))
            }
            Err(error) => Err(error),
        };
        result(outcome)
    }

    pub(super) async fn stream(&mut self, model: u32, prompt: &str) -> Value {
        let outcome = match self.call(model, prompt, None) {
            Ok(call) if self.shared.mock => {
                let text = mock_reply::text(prompt);
                let _ = self.mocked(&call, text.clone());
                Ok(streams::from_text(&text))
            }
            Ok(call) => {
                self.shared.client.stream(call, self.recorders()).await.map(streams::from_response)
            }
            Err(error) => Err(error),
        };
        result(outcome)
    }

    pub(super) fn recorders(&self) -> Vec<Arc<crate::metrics::Recorder>> {
        vec![Arc::clone(&self.shared.recorder), Arc::clone(&self.recorder)]
    }

    /// Everything about a call that is known before it is made.
    pub(super) fn call(
        &mut self,
        index: u32,
        prompt: &str,
        output: Option<OutputSchema>,
    ) -> Result<Call, LlmError> {
        let program = self.shared.program.clone();
        let Some(model) = program.models().get(index as usize) else {
            return Err(LlmError::config("", "", "", "", "no such model"));
        };
        let connection = model.connection as usize;
        let name = program.connections().get(connection).map_or("", |c| c.name.as_str());
        let config =
            |field: &str, message: &str| LlmError::config(name, &model.name, "", field, message);
        if self.shared.mock {
            return Ok(self.mock_call(model, name, prompt, output));
        }
        let settings = self
            .settings
            .resolve(self.shared, connection)
            .map_err(|error| config(&error.field, &error.message))?;
        let owner = MODELS + index as usize;
        let mut text = |field: &str, expr: &FieldExpr| {
            self.settings.text(&self.shared.environment, (owner, field), expr).map_err(
                |(field, problem)| {
                    config(&field, &format!("model `{}`: field `{field}`: {problem}", model.name))
                },
            )
        };
        let base = match &model.fields.base {
            Some(expr) => Some(text("base", expr)?),
            None => settings.default_model.clone(),
        };
        let base = base
            .or_else(|| config::default_model(settings.kind).map(str::to_owned))
            .ok_or_else(|| {
                config(
                    "base",
                    &format!(
                        "model `{}`: it has no `base` and its connection no `default_model`",
                        model.name
                    ),
                )
            })?;
        let model_id = settings.resolve_model(&base).map_err(|circle| {
            config("models", &format!("connection `{name}`: aliases form a circle: {circle}"))
        })?;
        let mut messages = Vec::new();
        if let Some(expr) = &model.fields.system_prompt {
            messages.push(Message::system(text("system_prompt", expr)?));
        }
        let mut stop = Vec::new();
        for (position, expr) in model.fields.stop_sequences.iter().flatten().enumerate() {
            stop.push(text(&format!("stop_sequences.{position}"), expr)?);
        }
        messages.push(Message::user(prompt));
        let call = Call {
            origin: Origin { connection: name.to_owned(), model: model.name.clone() },
            timeout: seconds(model.fields.timeout.as_ref()).unwrap_or(settings.timeout),
            settings,
            model_id,
            messages,
            sampling: Sampling { stop, ..sampling(model) },
            output,
            deadline: None,
            retry: model.fields.retry_policy.clone(),
        };
        refuse_prompt(&call, prompt)?;
        refuse_retry_policy(model, name)?;
        Ok(call)
    }

    /// A call that never leaves the process needs no key and no variables.
    fn mock_call(
        &self,
        model: &Model,
        name: &str,
        prompt: &str,
        output: Option<OutputSchema>,
    ) -> Call {
        let id = match &model.fields.base {
            Some(FieldExpr::Text(id)) => id.clone(),
            _ => "mock".to_owned(),
        };
        let local = config::Layer {
            base_url: Some("http://localhost/v1".to_owned()),
            ..config::Layer::default()
        };
        // These settings are complete, so merging them cannot fail.
        let settings = config::merge(name, ProviderKind::Custom, &[("program", &local)]);
        Call {
            origin: Origin { connection: name.to_owned(), model: model.name.clone() },
            settings: Arc::new(settings.unwrap_or_else(|_| unreachable!("complete settings"))),
            model_id: id,
            messages: vec![Message::user(prompt)],
            sampling: Sampling::default(),
            output,
            timeout: Duration::from_secs(30),
            deadline: None,
            retry: None,
        }
    }

    /// Counts a mocked call and makes its response: bytes of the prompt in, 42 out (O-15); these numbers do not enter the metrics.
    pub(super) fn mocked(&self, call: &Call, text: String) -> Value {
        for recorder in self.recorders() {
            recorder.call_started(&call.origin);
            recorder.call_ended(&call.origin, &End::Success, 0.0, true);
        }
        let prompt = call.messages.last().map_or(0, |message| message.content.len());
        builtin::response(vec![
            text.into(),
            i64::try_from(prompt).unwrap_or(i64::MAX).into(),
            42.into(),
            call.model_id.as_str().into(),
            call.origin.connection.as_str().into(),
            0.into(),
            "stop".into(),
            1.into(),
            1.into(),
            Value::None,
            0.into(),
            false.into(),
            Value::None,
        ])
    }
}

fn seconds(expr: Option<&FieldExpr>) -> Option<Duration> {
    match expr {
        Some(FieldExpr::Int(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "sampling fields are small numbers")]
fn sampling(model: &Model) -> Sampling {
    let number = |expr: &Option<FieldExpr>| match expr {
        Some(FieldExpr::Int(number)) => Some(*number as f64),
        Some(FieldExpr::Float(number)) => Some(*number),
        _ => None,
    };
    let whole = |expr: &Option<FieldExpr>| match expr {
        Some(FieldExpr::Int(number)) => Some(*number),
        _ => None,
    };
    Sampling {
        temperature: number(&model.fields.temperature),
        top_p: number(&model.fields.top_p),
        max_tokens: whole(&model.fields.max_tokens).and_then(|n| u64::try_from(n).ok()),
        stop: Vec::new(),
        seed: whole(&model.fields.seed),
    }
}

/// Prompts that every provider refuses are refused here, with one text and for free.
fn refuse_prompt(call: &Call, prompt: &str) -> Result<(), LlmError> {
    let (code, message) = if prompt.trim().is_empty() {
        ("empty_prompt", "the prompt is empty")
    } else if prompt.len() > MAX_PROMPT {
        ("prompt_too_large", "the prompt is larger than 16 MiB")
    } else {
        return Ok(());
    };
    let text = format!("{}: invalid request: {message}", call.origin.connection);
    let mut error =
        LlmError::config(&call.origin.connection, &call.origin.model, &call.model_id, "", &text);
    error.field = None;
    error.failure.kind = FailureKind::InvalidRequest;
    error.failure.code = Some(code.to_owned());
    Err(error)
}

fn refuse_retry_policy(model: &Model, connection: &str) -> Result<(), LlmError> {
    let repeats =
        model.fields.retry_policy.as_ref().is_some_and(|p| p.max_attempts.unwrap_or(1) > 1);
    if !repeats {
        return Ok(());
    }
    let message = format!(
        "model `{}`: field `retry_policy`: this release does not repeat failed requests yet",
        model.name
    );
    Err(LlmError::config(connection, &model.name, "", "retry_policy", &message))
}

pub(super) fn result(outcome: Result<Value, LlmError>) -> Value {
    match outcome {
        Ok(value) => Value::ok(value),
        Err(error) => Value::err(error_value(&error)),
    }
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn optional_text(text: Option<&str>) -> Value {
    Value::option(text.map(Value::from))
}

/// A `Response`, in the order of the built-in table.
fn response(answer: &Answer) -> Value {
    builtin::response(vec![
        answer.response.text.as_str().into(),
        int(answer.usage.tokens_in),
        int(answer.usage.tokens_out),
        answer.model.as_str().into(),
        answer.connection.as_str().into(),
        int(answer.latency_ms),
        answer.response.finish_reason.as_str().into(),
        int(u64::from(answer.attempts)),
        int(u64::from(answer.rounds)),
        optional_text(answer.response.request_id.as_deref()),
        int(answer.usage.tokens_cached),
        answer.usage.is_estimated.into(),
        Value::option(answer.cost.map(Value::Float)),
    ])
}

/// An `LlmError`, in the order of the built-in table.
pub(super) fn error_value(error: &LlmError) -> Value {
    let failure = &error.failure;
    let interrupted = error.interrupted.as_ref();
    let violations: Vec<Value> = error.violations.iter().map(violation_value).collect();
    let reason = error.reason.map(str::to_owned);
    let cause = match failure.kind {
        FailureKind::Network => Some(failure.message.as_str()),
        _ => interrupted.map(|i| i.cause),
    };
    let category = (failure.kind == FailureKind::ContentFiltered)
        .then(|| failure.code.as_deref().unwrap_or("content_filter"));
    builtin::llm_error(vec![
        error.message.as_str().into(),
        failure.kind.word().into(),
        error.connection.as_str().into(),
        error.connection.as_str().into(),
        error.model.as_str().into(),
        error.model_id.as_str().into(),
        Value::option(failure.status.map(|status| Value::Int(i64::from(status)))),
        optional_text(failure.request_id.as_deref()),
        int(u64::from(error.attempts)),
        failure.class.is_some().into(),
        Value::option(failure.retry_after.map(|wait| int(clock::millis(wait)))),
        int(error.latency_ms),
        optional_text(failure.phase),
        optional_text(error.field.as_deref()),
        optional_text(cause),
        optional_text(failure.detail),
        interrupted.map_or("", |i| i.partial_text.as_str()).into(),
        int(interrupted.map_or(0, |i| i.chunks)),
        error.timeout.map_or(0.0, |limit| limit.as_secs_f64()).into(),
        optional_text(failure.code.as_deref()),
        optional_text(failure.param.as_deref()),
        optional_text(category),
        failure.raw.as_str().into(),
        int(u64::from(error.rounds)),
        optional_text(reason.as_deref()),
        Value::array(violations),
    ])
}

fn violation_value(violation: &Violation) -> Value {
    let v = violation;
    builtin::violation(&v.path, v.reason, &v.expected, &v.actual, &v.message())
}
