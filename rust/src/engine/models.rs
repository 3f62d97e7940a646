//! Model calls of a program: from a model's declaration to a [`Call`], and from its outcome to a value of the language.

use std::sync::Arc;
use std::time::Duration;

use super::asked::{Asked, Over, Refusal, asked};
use super::cached::Known;
use super::mocked::{Local, Mocked, Talk};
use super::settings::SettingsError;
use super::tools::Rounds;
use super::{Engine, streams};
use crate::chat::{Message, OutputSchema, Sampling, Tools};
use crate::clock;
use crate::config::{self, ProviderKind};
use crate::error::RunError;
use crate::ir::program::{FieldExpr, Model};
use crate::llm::{Answer, Call, LlmError};
use crate::metrics::{By, End, Origin};
use crate::providers::FailureKind;
use crate::schema::Violation;
use crate::value::{ModelValue, Value, builtin};

/// Fields of a model are kept beside those of connections, from this number on.
const MODELS: usize = 1 << 32;
/// Stop texts that openai takes.
const OPENAI_STOPS: usize = 4;

impl Engine<'_> {
    pub(super) async fn execute(
        &self,
        model: &ModelValue,
        input: &Value,
        mut rounds: Rounds,
    ) -> Result<Value, RunError> {
        let call = match self.call(model, input, None) {
            Ok(call) => call,
            Err(error) => return Ok(result(Err(error))),
        };
        let question = match self.known(model.index, &call) {
            Known::Answer(value) => return Ok(Value::ok(value)),
            Known::Nothing(question) => question,
        };
        let mut talk = Talk::begin(self.shared, call, self.recorders.clone());
        let outcome = self.turn(&mut talk, &mut rounds).await?.map(|answer| {
            talk.succeed();
            response(&answer)
        });
        let answer = result(outcome);
        self.keep(question, &answer);
        Ok(answer)
    }

    pub(super) async fn stream(&self, model: &ModelValue, input: &Value, rounds: Rounds) -> Value {
        let outcome = match self.call(model, input, None) {
            Ok(call) if self.shared.mock.is_on() => {
                let mocked = Mocked::begin(self.shared, call, self.recorders.clone());
                streams::from_local(Local::Mock(mocked), rounds).await
            }
            Ok(call) => {
                let opened = self.shared.client.stream(call, self.recorders.clone()).await;
                opened.map(|stream| streams::from_response(stream, rounds))
            }
            Err(error) => Err(error),
        };
        result(outcome)
    }

    /// Everything about a call that is known before it is made. A call that cannot be made counts as one that failed.
    pub(super) fn call(
        &self,
        asking: &ModelValue,
        input: &Value,
        output: Option<Arc<OutputSchema>>,
    ) -> Result<Call, LlmError> {
        let prepared = self.prepare(asking, input, output);
        if let Err(error) = &prepared {
            let (connection, model) = (error.connection.clone(), error.model.clone());
            let origin = Origin { connection, model };
            for recorder in &self.recorders {
                recorder.call_started(&origin);
                recorder.call_ended(
                    &origin,
                    &End::Error(error.failure.kind.word()),
                    0.0,
                    By::Provider,
                );
            }
        }
        prepared
    }

    fn prepare(
        &self,
        asking: &ModelValue,
        input: &Value,
        output: Option<Arc<OutputSchema>>,
    ) -> Result<Call, LlmError> {
        let program = self.shared.program.clone();
        let index = asking.index;
        let Some(model) = program.models().get(index as usize) else {
            return Err(LlmError::config("", "", "", "", "no such model"));
        };
        let connection = model.connection as usize;
        let name = program.connections().get(connection).map_or("", |c| c.name.as_str());
        let config =
            |field: &str, message: &str| LlmError::config(name, &model.name, "", field, message);
        let Asked { messages: said, over } =
            asked(asking, input).map_err(|refusal| refused(refusal, name, &model.name))?;
        let Some(tools) = self.offered(model, asking) else {
            let message = "`with_tools` takes an array of names of tools".to_owned();
            let refusal = Refusal::Config { field: "tools", message };
            return Err(refused(refusal, name, &model.name));
        };
        let is_tested = self.shared.test.as_ref().is_some_and(|test| test.is_mocked(index));
        if self.shared.mock.is_on() || is_tested {
            let call = if self.shared.mock.is_on() {
                self.mock_call((index, model), over.base, said, output)
            } else {
                self.tested_call((index, model), over, said, output)
            };
            let call = call.map_err(|error| config(&error.field, &error.message))?;
            return Ok(Call { tools, ..call });
        }
        let is_own = self.shared.client.is_answered_by_host(name);
        let settings = if is_own {
            self.settings().lenient(self.shared, connection).map(Arc::new)
        } else {
            self.settings().resolve(self.shared, connection)
        };
        let settings = settings.map_err(|error| config(&error.field, &error.message))?;
        if self.shared.net.offline && !is_own && !config::is_loopback(&settings.base_url) {
            let message = "the runtime is offline: it asks only servers on this machine";
            return Err(config("base_url", message));
        }
        let owner = MODELS + index as usize;
        let text = |field: &str, expr: &FieldExpr| {
            self.settings().text(&self.shared.environment, (owner, field), expr).map_err(
                |(field, problem)| {
                    config(&field, &format!("model `{}`: field `{field}`: {problem}", model.name))
                },
            )
        };
        let base = match (over.base, &model.fields.base) {
            (Some(id), _) => Some(id),
            (None, Some(expr)) => Some(text("base", expr)?),
            (None, None) => settings.default_model.clone(),
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
        match (over.system_prompt, &model.fields.system_prompt) {
            (Some(text), _) => messages.push(Message::system(text)),
            (None, Some(expr)) => messages.push(Message::system(text("system_prompt", expr)?)),
            (None, None) => {}
        }
        let mut stop = over.stop.clone().unwrap_or_default();
        if over.stop.is_none() {
            for (position, expr) in model.fields.stop_sequences.iter().flatten().enumerate() {
                stop.push(text(&format!("stop_sequences.{position}"), expr)?);
            }
        }
        if settings.kind == ProviderKind::OpenAi && stop.len() > OPENAI_STOPS {
            let message = format!("openai takes at most {OPENAI_STOPS} of them");
            let refusal = Refusal::Config { field: "stop_sequences", message };
            return Err(refused(refusal, name, &model.name));
        }
        messages.extend(said);
        let declared = sampling(model);
        let timeout = over.timeout.or_else(|| seconds(model.fields.timeout.as_ref()));
        Ok(Call {
            origin: Origin { connection: name.to_owned(), model: model.name.clone() },
            timeout: timeout.unwrap_or(settings.timeout),
            settings,
            model_id,
            messages,
            sampling: Sampling {
                temperature: over.temperature.or(declared.temperature),
                top_p: over.top_p.or(declared.top_p),
                max_tokens: over.max_tokens.or(declared.max_tokens),
                stop,
                seed: over.seed.or(declared.seed),
            },
            output,
            tools,
            deadline: model.fields.deadline_ms.map(Duration::from_millis),
            retry: model.fields.retry_policy.clone(),
        })
    }

    /// A call that never leaves the process needs no key and no variables: what cannot be evaluated is left out.
    fn mock_call(
        &self,
        (index, model): (u32, &Model),
        base: Option<String>,
        messages: Vec<Message>,
        output: Option<Arc<OutputSchema>>,
    ) -> Result<Call, SettingsError> {
        let shared = self.shared;
        let settings = self.settings().lenient(shared, model.connection as usize)?;
        let declared = model.fields.base.as_ref();
        let place = (MODELS + index as usize, "base");
        let evaluated = |expr| self.settings().text(&shared.environment, place, expr).ok();
        let base = base.or_else(|| declared.and_then(evaluated));
        let base = base.or_else(|| settings.default_model.clone());
        let usual = config::default_model(settings.kind);
        let base = base.or_else(|| usual.map(str::to_owned)).unwrap_or_else(|| "mock".to_owned());
        Ok(Call {
            origin: Origin { connection: settings.name.clone(), model: model.name.clone() },
            timeout: settings.timeout,
            model_id: settings.resolve_model(&base).unwrap_or(base),
            settings: Arc::new(settings),
            messages,
            sampling: Sampling::default(),
            output,
            tools: Tools::default(),
            deadline: model.fields.deadline_ms.map(Duration::from_millis),
            retry: model.fields.retry_policy.clone(),
        })
    }
}

impl Engine<'_> {
    /// A call of a model that a test has mocked: with the system prompt in front, if it can be evaluated.
    fn tested_call(
        &self,
        (index, model): (u32, &Model),
        over: Over,
        said: Vec<Message>,
        output: Option<Arc<OutputSchema>>,
    ) -> Result<Call, SettingsError> {
        let place = (MODELS + index as usize, "system_prompt");
        let declared = model.fields.system_prompt.as_ref();
        let evaluated = |expr| self.settings().text(&self.shared.environment, place, expr).ok();
        let system = over.system_prompt.or_else(|| declared.and_then(evaluated));
        let messages = system.map(Message::system).into_iter().chain(said).collect();
        self.mock_call((index, model), over.base, messages, output)
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

/// The error for what is not asked.
fn refused(refusal: Refusal, connection: &str, model: &str) -> LlmError {
    match refusal {
        Refusal::Config { field, message } => {
            let message = format!("model `{model}`: field `{field}`: {message}");
            LlmError::config(connection, model, "", field, &message)
        }
        Refusal::Invalid { code, message } => {
            let text = format!("{connection}: invalid request: {message}");
            let mut error = LlmError::config(connection, model, "", "", &text);
            error.failure.kind = FailureKind::InvalidRequest;
            error.failure.code = Some(code.to_owned());
            error
        }
    }
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
pub(super) fn response(answer: &Answer) -> Value {
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
