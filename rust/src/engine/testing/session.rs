//! One call of a mocked model: it looks like a call over the wire to those who use it, but makes no request (TE-10 to TE-14).

use std::sync::Arc;
use std::time::Duration;

use super::{Reply, Test};
use crate::chat::{ChatResponse, Message, Role, Usage};
use crate::clock::{self, Clock};
use crate::llm::{Answer, Call, LlmError};
use crate::metrics::{By, End, Recorder};
use crate::providers::FailureKind;
use crate::value::{Value, builtin};

/// The id that a mocked model answers with.
const MODEL: &str = "mock";

/// One call while it goes on.
pub(in crate::engine) struct MockSession {
    test: Arc<Test>,
    /// Index of the model.
    model: u32,
    /// Its method, as the program calls it.
    method: &'static str,
    call: Call,
    /// How many of the messages are the system prompt: one or none.
    system: usize,
    recorders: Vec<Arc<Recorder>>,
    clock: Clock,
    rounds: u32,
    latency: Duration,
    has_ended: bool,
}

impl MockSession {
    /// Begins a call. It counts in all `recorders`, without tokens and cost (T-18).
    pub fn begin(
        test: Arc<Test>,
        (model, method): (u32, &'static str),
        (call, system): (Call, usize),
        recorders: Vec<Arc<Recorder>>,
        clock: Clock,
    ) -> Self {
        for recorder in &recorders {
            recorder.call_started(&call.origin);
        }
        let (rounds, latency) = (0, Duration::ZERO);
        let has_ended = false;
        Self { test, model, method, call, system, recorders, clock, rounds, latency, has_ended }
    }

    /// What is asked, with the messages of the rounds so far.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Appends messages for the next round.
    pub fn say(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.call.messages.extend(messages);
    }

    /// The next answer of the mock, and the pieces in which a stream delivers it. Without one the test has failed, and the call goes no further.
    ///
    /// # Errors
    /// The error of the mock, which ends the call.
    pub async fn round(&mut self) -> Result<(Answer, Vec<String>), LlmError> {
        let reply = self.test.next(self.model, &self.call.origin.model, self.record());
        let Some(reply) = reply else {
            return Err(self.error(FailureKind::Custom, String::new()));
        };
        self.clock.sleep(reply.latency).await;
        self.rounds += 1;
        self.latency += reply.latency;
        let Reply { said, pieces, tokens, .. } = reply;
        match said {
            Ok(text) => Ok((self.answer(text, tokens), pieces)),
            Err((kind, message)) => {
                self.end(&End::Error(kind.word()));
                Err(self.error(kind, message))
            }
        }
    }

    /// Ends the call: its last answer is good.
    pub fn succeed(mut self) {
        self.end(&End::Success);
    }

    /// Ends the call for a reason that lies in its answers.
    pub fn fail(mut self, kind: FailureKind) {
        self.end(&End::Error(kind.word()));
    }

    fn end(&mut self, end: &End) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        for recorder in &self.recorders {
            recorder.call_ended(&self.call.origin, end, self.latency.as_secs_f64() * 1e3, By::Mock);
        }
    }

    fn answer(&self, text: String, (tokens_in, tokens_out): (u64, u64)) -> Answer {
        let response =
            ChatResponse { text, finish_reason: "stop".to_owned(), ..ChatResponse::default() };
        Answer {
            connection: self.call.origin.connection.clone(),
            response,
            usage: Usage { tokens_in, tokens_out, ..Usage::default() },
            model: MODEL.to_owned(),
            cost: None,
            attempts: 1,
            rounds: self.rounds,
            latency_ms: clock::millis(self.latency),
        }
    }

    /// TE-10: a full error, whose message is exactly the one of the mock.
    fn error(&self, kind: FailureKind, message: String) -> LlmError {
        let origin = &self.call.origin;
        let mut error = LlmError::config(&origin.connection, &origin.model, MODEL, "", &message);
        error.failure.kind = kind;
        error.failure.class = kind.retry_class();
        error.message = message;
        error.attempts = 1;
        error.latency_ms = clock::millis(self.latency);
        error
    }

    /// The call as `mock_calls` shows it (TE-16).
    fn record(&self) -> Value {
        let (system, messages) =
            self.call.messages.split_at_checked(self.system).unwrap_or_default();
        let prompt = messages.iter().rev().find(|message| message.role == Role::User);
        let content = |message: Option<&Message>| {
            message.map_or("", |message| message.content.as_str()).into()
        };
        let schema = self.call.output.as_ref().map_or("", |output| output.name.as_str());
        builtin::mock_call(vec![
            self.method.into(),
            content(prompt),
            Value::array(messages.iter().map(message_value).collect()),
            content(system.first()),
            schema.into(),
            Value::array(Vec::new()),
            self.call.model_id.as_str().into(),
        ])
    }
}

impl Drop for MockSession {
    fn drop(&mut self) {
        self.end(&End::Cancelled);
    }
}

fn message_value(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    builtin::message(role, &message.content)
}
