//! Typed answers: rounds until an answer fits its schema (M-41 to M-43, SC-19 to SC-24).

use std::sync::Arc;

use serde_json::Value as Json;

use super::cached::Known;
use super::mocked::Talk;
use super::models::result;
use super::tools::Rounds;
use super::{BUDGET, Engine, broken, failed, panicked};
use crate::chat::{Message, OutputSchema};
use crate::config::ProviderKind;
use crate::error::RunError;
use crate::ir::program::Schema;
use crate::llm::{Answer, Call, LlmError};
use crate::providers::FailureKind;
use crate::schema::{self, Decoded, Pending, Violation};
use crate::secret::scrub;
use crate::value::{ModelValue, Setting, Value};
use crate::vm::{Fiber, Resume, Step};

/// Answers that are asked for where the model's retry policy does not say how many.
const ROUNDS: u64 = 3;
/// Budgets of a validator: a value that it has not judged by then is none that it will.
const VALIDATOR_BUDGETS: u32 = 100;
/// The most of an answer that an error keeps, in characters.
const MAX_RAW: usize = 64 << 10;

/// What a call ends with, unless the run itself fails.
type Outcome = Result<Result<Value, LlmError>, RunError>;

impl Engine<'_> {
    pub(super) async fn execute_with_schema(
        &self,
        model: &ModelValue,
        index: u32,
        input: &Value,
        rounds: Rounds,
    ) -> Result<Value, RunError> {
        let Some((wanted, output)) = self.wanted(index) else { return Ok(Value::Nil) };
        let call = match self.call(model, input, Some(output)) {
            Ok(call) => call,
            Err(error) => return Ok(result(Err(error))),
        };
        let question = match self.known(model.index, &call) {
            Known::Answer(value) => return Ok(Value::ok(value)),
            Known::Nothing(question) => question,
        };
        let talk = Talk::begin(self.shared, call, self.recorders.clone());
        let answer = result(self.typed(talk, wanted, retry_message(model), rounds).await?);
        self.keep(question, &answer);
        Ok(answer)
    }

    /// What an answer is judged by, and what of it the model is told.
    pub(super) fn wanted(&self, index: u32) -> Option<(&Schema, Arc<OutputSchema>)> {
        let (wanted, output) = (self.schema(index)?, self.shared.outputs.get(index as usize)?);
        let output = output.get_or_init(|| {
            let json: Json = serde_json::from_str(&wanted.json).unwrap_or_default();
            Arc::new(OutputSchema::new(wanted.name.clone(), json))
        });
        Some((wanted, Arc::clone(output)))
    }

    /// `parse_schema`: the same judgement on a text that is there already (SC-23).
    pub(super) async fn parse_schema(&self, index: u32, text: &str) -> Result<Value, RunError> {
        let Some(wanted) = self.schema(index) else { return Ok(Value::Nil) };
        let outcome = self.judge(wanted, text).await?.map_err(|violations| {
            let mut error = LlmError::config("", "", "", "", "");
            let rejected = Rejected { name: &wanted.name, raw: text, rounds: 1, limit: None };
            rejected.fill(&mut error, violations, &[]);
            error
        });
        Ok(result(outcome))
    }

    fn schema(&self, index: u32) -> Option<&Schema> {
        self.shared.program.schemas().get(index as usize)
    }

    /// Asks until an answer fits, at most as often as the model's policy says. One call, however many answers it takes.
    pub(super) async fn typed(
        &self,
        mut session: Talk,
        wanted: &Schema,
        retry_message: &str,
        mut rounds: Rounds,
    ) -> Outcome {
        let policy = session.call().retry.as_ref().and_then(|policy| policy.max_attempts);
        let most = policy.unwrap_or(ROUNDS).max(1);
        let mut round = 1;
        loop {
            let answer = match self.turn(&mut session, &mut rounds).await? {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            let text = &answer.response.text;
            let violations = match self.judge(wanted, text).await? {
                Ok(value) => {
                    session.succeed();
                    return Ok(Ok(value));
                }
                Err(violations) => violations,
            };
            // Under the same limit the next answer would be cut off as well, and paid as well.
            let truncated = answer.response.finish_reason == "length";
            if truncated || round >= most {
                let rejected = (wanted.name.as_str(), u32::try_from(round).unwrap_or(u32::MAX));
                let error = rejection(session.call(), rejected, &answer, violations, truncated);
                session.fail(FailureKind::Schema);
                return Ok(Err(error));
            }
            // Local servers turn the schema into a grammar, which the model never reads.
            let unseen =
                matches!(session.call().settings.kind, ProviderKind::Ollama | ProviderKind::Custom);
            let json = unseen.then_some(wanted.json.as_str());
            let complaint = schema::repair(&wanted.name, &violations, retry_message, json);
            session.say([Message::assistant(answer.response.text), Message::user(complaint)]);
            round += 1;
        }
    }

    /// The value of an answer, or everything that is wrong with it.
    async fn judge(
        &self,
        wanted: &Schema,
        text: &str,
    ) -> Result<Result<Value, Vec<Violation>>, RunError> {
        match schema::parse(text) {
            Ok(json) => self.judge_json(wanted.ty, &json).await,
            Err(violation) => Ok(Err(vec![violation])),
        }
    }

    /// The value that JSON is of a type, or everything that is wrong with it.
    pub(super) async fn judge_json(
        &self,
        ty: u32,
        json: &Json,
    ) -> Result<Result<Value, Vec<Violation>>, RunError> {
        let decoded = schema::check(&self.shared.program, ty, json);
        let Decoded { value, pending } = match decoded {
            Ok(decoded) => decoded,
            Err(violations) => return Ok(Err(violations)),
        };
        for Pending { path, function, value } in pending {
            if let Some(message) = self.validate(function, value).await? {
                return Ok(Err(vec![Violation::validator(path, message)]));
            }
        }
        Ok(Ok(value))
    }

    /// Runs one validator as a fiber of its own; gives what it has against the value.
    pub(super) async fn validate(
        &self,
        function: u32,
        value: Value,
    ) -> Result<Option<String>, RunError> {
        let program = self.shared.program.clone();
        let depth = self.shared.max_call_depth;
        let mut fiber = Fiber::new(program, function as usize, vec![value], depth);
        for _ in 0..VALIDATOR_BUDGETS {
            match fiber.run(Resume::Continue, BUDGET) {
                Step::Yield => tokio::task::yield_now().await,
                Step::Done(Value::Bool(false)) => {
                    return Ok(Some("validator returned false".to_owned()));
                }
                Step::Done(Value::Err(message)) => return Ok(Some(message.message())),
                Step::Done(Value::Ok(inner)) if matches!(**inner, Value::Bool(false)) => {
                    return Ok(Some("validator returned false".to_owned()));
                }
                Step::Done(_) => return Ok(None),
                Step::Failed { error, trace } => return Err(failed(error, &trace)),
                Step::Panicked(panic) => return Err(panicked(panic)),
                Step::Broken { what, trace } => return Err(broken(what, &trace)),
                Step::Needs(_) => {
                    let what = "a validator asked for the world".to_owned();
                    return Err(RunError::Internal { what, trace: Vec::new() });
                }
            }
        }
        let limit = u64::from(VALIDATOR_BUDGETS) * u64::from(BUDGET);
        Err(RunError::Panic {
            kind: "LimitExceeded".to_owned(),
            message: format!("a validator has not ended after {limit} instructions"),
            trace: Vec::new(),
        })
    }
}

/// What the program says to a model whose answer does not fit.
pub(super) fn retry_message(model: &ModelValue) -> &str {
    model.setting(Setting::RetryMessage).and_then(Value::as_str).unwrap_or("")
}

/// The error for the last answer of a call.
fn rejection(
    call: &Call,
    (name, rounds): (&str, u32),
    answer: &Answer,
    violations: Vec<Violation>,
    truncated: bool,
) -> LlmError {
    let mut error =
        LlmError::config(&call.origin.connection, &call.origin.model, &call.model_id, "", "");
    error.failure.request_id.clone_from(&answer.response.request_id);
    error.attempts = answer.attempts;
    error.latency_ms = answer.latency_ms;
    let limit = truncated.then(|| match call.sampling.max_tokens {
        Some(limit) => format!("`max_tokens: {limit}`"),
        None => format!("the limit of `{}` itself", call.model_id),
    });
    let raw = &answer.response.text;
    let rejected = Rejected { name, raw, rounds, limit };
    rejected.fill(&mut error, violations, &call.settings.secrets());
    error
}

/// An answer that does not fit.
struct Rejected<'a> {
    name: &'a str,
    raw: &'a str,
    rounds: u32,
    /// What cut it off.
    limit: Option<String>,
}

impl Rejected<'_> {
    fn fill(
        self,
        error: &mut LlmError,
        mut violations: Vec<Violation>,
        secrets: &[crate::secret::Secret],
    ) {
        for violation in &mut violations {
            violation.actual = scrub(&violation.actual, secrets);
            violation.path = scrub(&violation.path, secrets);
        }
        let why = match &self.limit {
            Some(limit) => format!("the answer was cut off by {limit}; raise `max_tokens`"),
            None => violations.iter().take(3).map(said).collect::<Vec<_>>().join("; "),
        };
        let answers = if self.rounds == 1 { "answer" } else { "answers" };
        let place = if error.connection.is_empty() {
            String::new()
        } else {
            format!("{}: ", error.connection)
        };
        error.set_message(&format!(
            "{place}schema `{}` after {} {answers}: {why}",
            self.name, self.rounds
        ));
        error.failure.kind = FailureKind::Schema;
        error.failure.raw = scrub(self.raw, secrets).chars().take(MAX_RAW).collect();
        error.rounds = self.rounds;
        error.reason = match self.limit {
            Some(_) => Some("truncated"),
            None => violations.first().map(|violation| violation.reason),
        };
        error.violations = violations;
    }
}

/// A violation in the message of an error: with its place, also where a validator speaks.
fn said(violation: &Violation) -> String {
    match violation.path.as_str() {
        path if violation.reason == "validator" && !path.is_empty() => {
            format!("{path}: {}", violation.message())
        }
        _ => violation.message(),
    }
}
