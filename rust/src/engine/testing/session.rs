//! One call of a mocked model: it looks like a call over the wire to those who use it, but makes no request (TE-10 to TE-14).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::mock::Spoken;
use super::{Reply, Test};
use crate::chat::{ChatResponse, Message, Role, ToolCall, Usage};
use crate::clock::{self, Clock};
use crate::engine::mocked::Said;
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
    /// The methods of all tools, as tests write them and as models know them.
    tools: Vec<(String, String)>,
    recorders: Vec<Arc<Recorder>>,
    clock: Clock,
    started: Instant,
    rounds: u32,
    usage: Usage,
    latency: Duration,
    has_ended: bool,
}

impl std::fmt::Debug for MockSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockSession").field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

impl MockSession {
    /// Begins a call. It counts in all `recorders`, without tokens and cost (T-18).
    pub fn begin(
        test: Arc<Test>,
        (model, method): (u32, &'static str),
        (call, system): (Call, usize),
        tools: Vec<(String, String)>,
        recorders: Vec<Arc<Recorder>>,
        clock: Clock,
    ) -> Self {
        for recorder in &recorders {
            recorder.call_started(&call.origin);
        }
        Self {
            test,
            model,
            method,
            call,
            system,
            tools,
            recorders,
            started: clock.now(),
            clock,
            rounds: 0,
            usage: Usage::default(),
            latency: Duration::ZERO,
            has_ended: false,
        }
    }

    /// What is asked, with the messages of the rounds so far.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Appends messages for the next round.
    pub fn say(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.call.messages.extend(messages);
    }

    /// Since the call began, as the mock says it.
    pub fn elapsed_ms(&self) -> u64 {
        clock::millis(self.latency)
    }

    /// Its clock, and when it began.
    pub fn times(&self) -> (&Clock, Instant) {
        (&self.clock, self.started)
    }

    /// The next answer of the mock. Without one the test has failed, and the call goes no further.
    ///
    /// # Errors
    /// The error of the mock, which ends the call.
    pub async fn round(&mut self, stream: bool) -> Result<Said, LlmError> {
        let reply = self.test.next(self.model, &self.call.origin.model, self.record());
        let Some(reply) = reply else {
            return Err(self.error(FailureKind::Custom, String::new()));
        };
        self.clock.sleep(reply.latency).await;
        self.rounds += 1;
        self.latency += reply.latency;
        let Reply { said, pieces, tokens, .. } = reply;
        match said {
            Ok(spoken) => {
                let mut answer = self.answer(spoken, tokens);
                if stream {
                    answer.response.text = pieces.concat();
                }
                Ok(Said { answer, pieces, pause: Duration::ZERO })
            }
            Err((kind, message)) => {
                self.end(&End::Error(kind.word()));
                Err(self.error(kind, message))
            }
        }
    }

    /// Ends the call.
    pub fn end(&mut self, end: &End) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        for recorder in &self.recorders {
            recorder.call_ended(&self.call.origin, end, self.latency.as_secs_f64() * 1e3, By::Mock);
        }
    }

    fn answer(&mut self, spoken: Spoken, (tokens_in, tokens_out): (u64, u64)) -> Answer {
        let reason = if spoken.calls.is_empty() { "stop" } else { "tool_calls" };
        let calls = spoken.calls.into_iter().enumerate();
        let tool_calls = calls.map(|(number, (method, arguments))| ToolCall {
            id: format!("mock_{}_{number}", self.rounds),
            is_own_id: false,
            name: self.wire_name(method),
            arguments,
        });
        let response = ChatResponse {
            text: spoken.text,
            tool_calls: tool_calls.collect(),
            finish_reason: reason.to_owned(),
            ..ChatResponse::default()
        };
        self.usage.add(&Usage { tokens_in, tokens_out, ..Usage::default() });
        Answer {
            connection: self.call.origin.connection.clone(),
            response,
            usage: self.usage,
            model: MODEL.to_owned(),
            cost: None,
            attempts: 1,
            rounds: self.rounds,
            latency_ms: clock::millis(self.latency),
        }
    }

    /// The name under which a model knows a method; a name of no method stays what it is (LO-5).
    fn wire_name(&self, method: String) -> String {
        let known = self.tools.iter().find(|(name, _)| *name == method);
        known.map_or(method, |(_, wire)| wire.clone())
    }

    /// The methods that a call offers, as tests write them.
    fn offered(&self) -> Value {
        let written = |wire: &str| self.tools.iter().find(|(_, own)| own == wire);
        let names = self.call.tools.specs.iter().filter_map(|spec| written(&spec.name));
        Value::array(names.map(|(name, _)| name.as_str().into()).collect())
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
            self.offered(),
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
