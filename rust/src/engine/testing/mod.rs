//! One test: what it mocks, what it sees of itself, and whether it has failed (rules TE of the LLM reference).
//!
//! A [`Test`] belongs to one runtime, which lives as long as the test: so no test sees anything of another (TE-2).

mod mock;
mod session;
mod snapshot;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cached::Known;
use super::emits::Emit;
use super::mocked::{Local, Talk};
use super::models::{response, result};
use super::requests::{Refusal, Replied};
use super::tools::Rounds;
use super::typed::retry_message;
use super::{Engine, streams};
use crate::error::RunError;
use crate::value::{ModelValue, Value, builtin};
use crate::vm::{Answer, PanicKind, Resume, TestRequest};

use mock::{Mock, Reply};
pub(super) use session::MockSession;

/// Channels of the runtime itself.
const EVENTS: [&str; 3] = ["pipeline:", "listen:", "audit:"];

/// The state of one test.
#[derive(Debug)]
pub struct Test {
    /// Whether models without a mock are called.
    pub live: bool,
    /// Where its snapshots stand: the path of a file, without `.snap`.
    pub snapshots: Option<PathBuf>,
    /// Whether snapshots are written instead of compared.
    pub update: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By index of the model.
    mocks: HashMap<u32, Mock>,
    calls: HashMap<u32, Vec<Value>>,
    captured: Captured,
    /// Replies by channel.
    replies: HashMap<String, Replied>,
    compared: HashSet<PathBuf>,
    /// What has failed the test, apart from its own panics and errors.
    failure: Option<String>,
}

/// What a test sent to nobody.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// In order.
    pub emits: Vec<Emit>,
    /// Of `print` and `println`, and the logs.
    pub printed: String,
    /// Snapshots that were written.
    pub written: Vec<PathBuf>,
    /// Points of the program that control came by, if it was compiled to tell them.
    pub covered: BTreeSet<u32>,
}

impl Test {
    /// A test that begins.
    #[must_use]
    pub fn new(live: bool, snapshots: Option<PathBuf>, update: bool) -> Self {
        Self { live, snapshots, update, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an emit; no host gets it.
    pub fn emitted(&self, emit: Emit) {
        self.state().captured.emits.push(emit);
    }

    /// Control has come by a point.
    pub(super) fn covered(&self, point: u32) {
        self.state().captured.covered.insert(point);
    }

    /// Keeps printed text.
    pub fn printed(&self, text: &str) {
        self.state().captured.printed.push_str(text);
    }

    /// What was sent so far.
    #[must_use]
    pub fn captured(&self) -> Captured {
        self.state().captured.clone()
    }

    /// Why the test has failed, if it has: it goes no further.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// The first failure is the one that is told.
    fn fail(&self, message: String) {
        self.state().failure.get_or_insert(message);
    }

    /// Whether a mock answers for a model.
    pub(super) fn is_mocked(&self, model: u32) -> bool {
        self.state().mocks.contains_key(&model)
    }

    /// Whether a mock answers for a model that is about to be called. One without a mock fails the test, unless models are called (TE-15).
    pub(super) fn answers_for(&self, model: u32, name: &str) -> bool {
        let is_mocked = self.is_mocked(model);
        if !is_mocked && !self.live {
            self.fail(format!(
                "model `{name}` is not mocked (use `mock {name} {{ .. }}` or --live)"
            ));
        }
        is_mocked
    }

    /// The next answer for a call, which is kept; without one the test fails.
    fn next(&self, model: u32, name: &str, call: Value) -> Option<Reply> {
        let mut state = self.state();
        state.calls.entry(model).or_default().push(call);
        let next = state.mocks.get_mut(&model).map(Mock::next);
        drop(state);
        match next? {
            Ok(reply) => Some(reply),
            Err(number) => {
                self.fail(format!("mock {name} has no response for call {number}"));
                None
            }
        }
    }

    /// The reply on a channel, if the test has given one.
    pub fn reply(&self, channel: &str) -> Option<Replied> {
        self.state().replies.get(channel).cloned()
    }

    fn calls(&self, model: u32) -> Value {
        Value::array(self.state().calls.get(&model).cloned().unwrap_or_default())
    }

    /// `Emit`s so far; those of the runtime itself only with `events`.
    fn emits(&self, events: bool) -> Value {
        let state = self.state();
        let wanted = |emit: &&Emit| events || !is_event(&emit.channel);
        let emits = state.captured.emits.iter().filter(wanted);
        Value::array(emits.map(|e| builtin::emit(&e.channel, e.payload.clone())).collect())
    }

    fn snapshot(&self, value: &Value, name: &str) -> Result<(), String> {
        let Some(place) = &self.snapshots else {
            return Err("snapshots have no place here: the host gave none".to_owned());
        };
        let path = snapshot::path(place, name)?;
        if !self.state().compared.insert(path.clone()) {
            return Err(format!(
                "the snapshot `{}` is compared twice in one test: give each a `name`",
                path.display()
            ));
        }
        if snapshot::compare(&path, value, self.update)? {
            self.state().captured.written.push(path);
        }
        Ok(())
    }
}

/// The method that the program called.
fn method(input: &Value, answer: Answer) -> &'static str {
    match (matches!(input, Value::Array(_)), answer) {
        (_, Answer::Stream) => "stream",
        (false, Answer::Response) => "execute",
        (false, Answer::Schema(_)) => "execute_with_schema",
        (true, Answer::Response) => "chat",
        (true, Answer::Schema(_)) => "chat_with_schema",
    }
}

fn is_event(channel: &str) -> bool {
    EVENTS.iter().any(|start| channel.starts_with(start))
        || matches!(channel, "panic" | "task:error")
}

impl Engine<'_> {
    /// A call of a model that has a mock: everything but the request is as it would be.
    pub(super) async fn ask_mocked(
        &self,
        test: Arc<Test>,
        model: &ModelValue,
        input: &Value,
        answer: Answer,
        mut rounds: Rounds,
    ) -> Result<Value, RunError> {
        let wanted = match answer {
            Answer::Schema(index) => self.wanted(index),
            Answer::Response | Answer::Stream => None,
        };
        let (schema, output) = wanted.unzip();
        let call = match self.call(model, input, output) {
            Ok(call) => call,
            Err(error) => return Ok(result(Err(error))),
        };
        let known = match answer {
            Answer::Stream => Known::Nothing(None),
            _ => self.known(model.index, &call),
        };
        let question = match known {
            Known::Answer(value) => return Ok(Value::ok(value)),
            Known::Nothing(question) => question,
        };
        let said = match input {
            Value::Array(messages) => messages.len(),
            _ => 1,
        };
        let system = call.messages.len().saturating_sub(said);
        let asking = (model.index, method(input, answer));
        let (recorders, clock) = (self.recorders.clone(), self.shared.clock.clone());
        let tools = self.written_tools();
        let session = MockSession::begin(test, asking, (call, system), tools, recorders, clock);
        let local = Local::Test(session);
        let outcome = match (schema, answer) {
            (None, Answer::Stream) => streams::from_local(local, rounds).await,
            (Some(schema), _) => {
                self.typed(Talk::Local(local), schema, retry_message(model), rounds).await?
            }
            (None, _) => {
                let mut talk = Talk::Local(local);
                self.turn(&mut talk, &mut rounds).await?.map(|answer| {
                    talk.succeed();
                    response(&answer)
                })
            }
        };
        let value = result(outcome);
        self.keep(question, &value);
        Ok(value)
    }

    /// The methods of all tools, as tests write them and as models know them.
    fn written_tools(&self) -> Vec<(String, String)> {
        let tools = self.shared.program.tools().iter();
        let methods = tools.flat_map(|tool| tool.methods.iter().map(move |method| (tool, method)));
        methods.map(|(tool, m)| (format!("{}.{}", tool.name, m.name), m.wire.clone())).collect()
    }

    /// What only tests may do. `None` outside of one: no compiler writes that.
    pub(super) fn test_request(&self, request: TestRequest) -> Option<Resume> {
        let test = self.shared.test.as_ref()?;
        let wrong = |message| Resume::Panic(PanicKind::InvalidArgument, message);
        Some(match request {
            TestRequest::Mock { model, fields } => {
                let Value::Map(fields) = fields else { return None };
                let name = self.shared.program.models().get(model as usize).map(|m| &m.name)?;
                match Mock::read(&fields) {
                    Ok(mock) => {
                        test.state().mocks.insert(model, mock);
                        Resume::Value(Value::Nil)
                    }
                    Err(problem) => wrong(format!("mock {name}: {problem}")),
                }
            }
            TestRequest::MockCalls { model } => Resume::Value(test.calls(model.index)),
            TestRequest::MockReply { channel, .. } if channel.is_empty() => {
                wrong("the name of a channel is empty".to_owned())
            }
            TestRequest::MockReply { channel, value } => {
                let reply = match value {
                    Value::Err(error) => Err(Refusal::Handler(error.message())),
                    Value::Ok(inner) => Ok((**inner).clone()),
                    other => Ok(other),
                };
                test.state().replies.insert(channel.to_string(), reply);
                Resume::Value(Value::Nil)
            }
            TestRequest::MockEnv { name, value } => {
                let value = match value {
                    Value::Some(value) => Some(value.as_str()?.to_owned()),
                    _ => None,
                };
                match self.shared.environment.lay_over(&name, value) {
                    Ok(()) => Resume::Value(Value::Nil),
                    Err(missing) => wrong(missing.message(&name)),
                }
            }
            TestRequest::Emits { events } => Resume::Value(test.emits(events)),
            TestRequest::Snapshot { value, name } => match test.snapshot(&value, &name) {
                Ok(()) => Resume::Value(Value::Nil),
                Err(problem) => Resume::Panic(PanicKind::Assertion, problem),
            },
        })
    }
}
