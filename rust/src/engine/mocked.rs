//! Calls that this process answers (O-15): with the usual answers, or by a script. They make no request, wait for no limit and cost nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::testing::MockSession;
use crate::chat::{ChatResponse, Message, Role, Usage};
use crate::clock::{self, Clock};
use crate::config::ProviderKind;
use crate::llm::{Answer, Call, CallSession, LlmError};
use crate::metrics::{By, End, Recorder};
use crate::mock_reply::{self, Question, Script, Scripted};
use crate::providers::{self, Failure, FailureKind};

/// Who answers model calls.
#[derive(Clone, Debug, Default)]
pub enum Mock {
    /// The providers.
    #[default]
    Off,
    /// This process, from the question alone.
    Usual,
    /// This process, by the rules of a script.
    Scripted(Arc<dyn Script>),
}

impl Mock {
    /// Whether calls stay in this process.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }
}

/// What a mocked model said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) answer: Answer,
    /// The text of a stream.
    pub(super) pieces: Vec<String>,
    /// Between them.
    pub(super) pause: Duration,
}

/// One mocked call while it goes on; one that is dropped before its end counts as cancelled.
#[derive(Debug)]
pub(super) struct Mocked {
    call: Call,
    mock: Mock,
    clock: Clock,
    recorders: Vec<Arc<Recorder>>,
    started: Instant,
    rounds: u32,
    usage: Usage,
    is_over: bool,
}

impl Mocked {
    pub(super) fn begin(shared: &Shared, call: Call, recorders: Vec<Arc<Recorder>>) -> Self {
        for recorder in &recorders {
            recorder.call_started(&call.origin);
        }
        let (mock, clock) = (shared.mock.clone(), shared.clock.clone());
        let (started, usage) = (clock.now(), Usage::default());
        Self { call, mock, clock, recorders, started, rounds: 0, usage, is_over: false }
    }

    /// Since the call began.
    fn elapsed_ms(&self) -> u64 {
        clock::millis(self.clock.since(self.started))
    }

    /// The next answer. An error ends the call.
    async fn round(&mut self, stream: bool) -> Result<Said, LlmError> {
        self.rounds += 1;
        let scripted = match &self.mock {
            Mock::Scripted(script) => script.answer(&self.question(stream)),
            _ => return Ok(self.usual()),
        };
        let said = self.scripted(scripted).await;
        said.map_err(|failure| {
            self.end(&End::Error(failure.kind.word()));
            LlmError::new(&self.call, failure, 1, self.clock.since(self.started))
        })
    }

    /// The last that the program said.
    fn prompt(&self) -> &str {
        let mut said = self.call.messages.iter().rev().filter(|message| message.role == Role::User);
        said.next().map_or("", |message| &message.content)
    }

    fn question(&self, stream: bool) -> Question<'_> {
        let dialect = match self.call.settings.kind {
            ProviderKind::Anthropic => "anthropic",
            ProviderKind::Google => "gemini",
            _ => "openai",
        };
        Question {
            dialect,
            connection: &self.call.settings.name,
            model: &self.call.model_id,
            prompt: self.prompt(),
            stream,
            schema: self.call.output.as_ref().map(|output| &output.json),
        }
    }

    /// Bytes of the prompt in, 42 out.
    fn usual(&mut self) -> Said {
        let text = match &self.call.output {
            Some(output) => mock_reply::for_schema(&output.json).to_string(),
            None => mock_reply::text(self.prompt()),
        };
        let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
        let tokens_in = self.prompt().len() as u64;
        let usage = Some(Usage { tokens_in, tokens_out: 42, ..Usage::default() });
        let finish_reason = "stop".to_owned();
        let response = ChatResponse { text, usage, finish_reason, ..ChatResponse::default() };
        Said { answer: self.answer(response), pieces, pause: Duration::ZERO }
    }

    async fn scripted(&mut self, scripted: Scripted) -> Result<Said, Failure> {
        let Scripted { latency, pause, pieces, answer } = scripted;
        if !latency.is_zero() {
            let sleep = async {
                self.clock.sleep(latency).await;
                Ok(())
            };
            in_time(&self.clock, self.started, self.call.deadline, sleep).await?;
        }
        let dialect = providers::dialect(self.call.settings.kind);
        let response = dialect.decode(&self.call.request(false), &answer)?;
        Ok(Said { answer: self.answer(response), pieces, pause })
    }

    fn answer(&mut self, response: ChatResponse) -> Answer {
        let prompt = self.prompt().len() as u64;
        self.usage.add(&Usage::completed(response.usage, prompt, &response.text));
        Answer {
            connection: self.call.origin.connection.clone(),
            model: response.model.clone().unwrap_or_else(|| self.call.model_id.clone()),
            response,
            usage: self.usage,
            cost: None,
            attempts: 1,
            rounds: self.rounds,
            latency_ms: self.elapsed_ms(),
        }
    }

    fn end(&mut self, end: &End) {
        if !std::mem::replace(&mut self.is_over, true) {
            let latency = self.clock.since(self.started).as_secs_f64() * 1000.0;
            for recorder in &self.recorders {
                recorder.call_ended(&self.call.origin, end, latency, By::Mock);
            }
        }
    }
}

impl Drop for Mocked {
    fn drop(&mut self) {
        self.end(&End::Cancelled);
    }
}

/// Work within the time of a whole call.
async fn in_time<T>(
    clock: &Clock,
    started: Instant,
    deadline: Option<Duration>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(limit) = deadline else { return work.await };
    let over = || {
        let failure = Failure::new(FailureKind::Timeout, "the call did not end in time");
        Failure { phase: Some("call"), ..failure }
    };
    clock.until(started + limit, work).await.unwrap_or_else(|| Err(over()))
}

/// A call of one or more rounds, whoever answers it.
pub(super) enum Talk {
    Provider(CallSession),
    /// This process.
    Local(Local),
}

/// A call that this process answers.
#[derive(Debug)]
pub(super) enum Local {
    Mock(Mocked),
    /// A mock of a test.
    Test(MockSession),
}

impl Talk {
    pub(super) fn begin(shared: &Shared, call: Call, recorders: Vec<Arc<Recorder>>) -> Self {
        if shared.mock.is_on() {
            return Self::Local(Local::Mock(Mocked::begin(shared, call, recorders)));
        }
        Self::Provider(shared.client.begin(call, recorders))
    }

    pub(super) fn call(&self) -> &Call {
        match self {
            Self::Provider(session) => session.call(),
            Self::Local(local) => local.call(),
        }
    }

    /// The next answer. An error ends the call.
    pub(super) async fn round(&mut self) -> Result<Answer, LlmError> {
        match self {
            Self::Provider(session) => session.round().await,
            Self::Local(local) => Box::pin(local.round(false)).await.map(|said| said.answer),
        }
    }

    pub(super) fn say(&mut self, messages: impl IntoIterator<Item = Message>) {
        match self {
            Self::Provider(session) => session.say(messages),
            Self::Local(local) => local.say(messages),
        }
    }

    /// Work between two rounds, within the time of the whole call.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match self {
            Self::Provider(session) => session.within(work).await,
            Self::Local(local) => local.within(work).await,
        }
    }

    /// Ends the call because of what was to be done between two rounds.
    pub(super) fn broke(&mut self, failure: Failure) -> LlmError {
        match self {
            Self::Provider(session) => session.broke(failure),
            Self::Local(local) => local.broke(failure),
        }
    }

    pub(super) fn succeed(self) {
        match self {
            Self::Provider(session) => session.succeed(),
            Self::Local(mut local) => local.end(&End::Success),
        }
    }

    pub(super) fn fail(self, kind: FailureKind) {
        match self {
            Self::Provider(session) => session.fail(kind),
            Self::Local(mut local) => local.end(&End::Error(kind.word())),
        }
    }
}

impl Local {
    pub(super) fn call(&self) -> &Call {
        match self {
            Self::Mock(mocked) => &mocked.call,
            Self::Test(session) => session.call(),
        }
    }

    /// Since the call began.
    pub(super) fn elapsed_ms(&self) -> u64 {
        match self {
            Self::Mock(mocked) => mocked.elapsed_ms(),
            Self::Test(session) => session.elapsed_ms(),
        }
    }

    /// The next answer. An error ends the call.
    pub(super) async fn round(&mut self, stream: bool) -> Result<Said, LlmError> {
        match self {
            Self::Mock(mocked) => mocked.round(stream).await,
            Self::Test(session) => session.round(stream).await,
        }
    }

    pub(super) fn say(&mut self, messages: impl IntoIterator<Item = Message>) {
        match self {
            Self::Mock(mocked) => mocked.call.messages.extend(messages),
            Self::Test(session) => session.say(messages),
        }
    }

    /// Work between two rounds, within the time of the whole call.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let (clock, started) = match self {
            Self::Mock(mocked) => (&mocked.clock, mocked.started),
            Self::Test(session) => session.times(),
        };
        in_time(clock, started, self.call().deadline, work).await
    }

    pub(super) async fn sleep(&self, time: Duration) {
        match self {
            Self::Mock(mocked) => mocked.clock.sleep(time).await,
            Self::Test(session) => session.times().0.sleep(time).await,
        }
    }

    /// Ends the call because of what was to be done between two rounds.
    pub(super) fn broke(&mut self, failure: Failure) -> LlmError {
        self.end(&End::Error(failure.kind.word()));
        let latency = Duration::from_millis(self.elapsed_ms());
        LlmError::new(self.call(), failure, 1, latency)
    }

    pub(super) fn end(&mut self, end: &End) {
        match self {
            Self::Mock(mocked) => mocked.end(end),
            Self::Test(session) => session.end(end),
        }
    }
}
