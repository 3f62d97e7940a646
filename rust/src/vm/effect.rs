//! What a fiber may ask for, and how it ends.

use std::fmt;

use triomphe::Arc;

use super::Request;
use crate::value::{FunctionValue, List, ModelValue, TaskValue, Text, Value};

/// Something that only the world can do.
#[derive(Debug)]
pub enum Effect {
    /// Send a value to the host. Answer: nil.
    Emit {
        /// The channel.
        channel: Text,
        /// The value.
        payload: Value,
    },
    /// Send a value to the host and wait for its reply. Answer: `Result<T, EmitError>`.
    EmitAsk {
        /// The channel.
        channel: Text,
        /// The value.
        payload: Value,
        /// Index of the type T.
        ty: u32,
    },
    /// Judge a value as JSON of a type. Answer: it as a value of the type; one that does not fit panics.
    Fit {
        /// The value.
        value: Value,
        /// Index of the type.
        ty: u32,
    },
    /// Write to standard output. Answer: nil.
    Print {
        /// What to write.
        text: Text,
        /// Whether a line end follows.
        newline: bool,
    },
    /// Read a variable. Answer: `Result<String, EnvError>`.
    Env {
        /// Its name.
        name: Text,
    },
    /// Call a model. Answer: `Result<T, LlmError>`, where T is what is wanted.
    Ask {
        /// The model, with the settings of a builder.
        model: Arc<ModelValue>,
        /// A `String`, a `Prompt` or an `Array<Message>`.
        input: Value,
        /// What is wanted.
        answer: Answer,
    },
    /// Call a method of a tool on the instance of the run. Answer: a Result of its value; the `Err` is a `ToolError` that says why the
    /// method did not run.
    Tool {
        /// Index of the tool.
        tool: u32,
        /// Index of the method in it.
        method: u32,
        /// In the order of the parameters.
        args: Vec<Value>,
    },
    /// Judge a text as the answer of a model would be. Answer: `Result<T, LlmError>`.
    ParseSchema {
        /// Index of the schema.
        schema: u32,
        /// The text.
        text: Text,
    },
    /// Something for the library.
    Request {
        /// What.
        request: Request,
        /// As many as it has.
        args: Vec<Value>,
    },
    /// Read or close a stream.
    Stream {
        /// The stream.
        stream: Value,
        /// What is asked of it.
        request: StreamRequest,
    },
    /// Run child tasks and wait for them. Each child returns `Ok` of its value, or `Err` of an error that leaves it, which cancels the others.
    /// Answer: a Result; see [`Form`] for what is in its `Ok`.
    Join {
        /// What is waited for.
        form: Form,
        /// The children.
        work: Work,
    },
    /// Run a function beside this task. Answer: a task.
    Spawn {
        /// Without parameters.
        function: Arc<FunctionValue>,
    },
    /// Wait for a future or a task. Answer: its value.
    Await {
        /// Which one.
        task: Arc<TaskValue>,
        /// Answer a `Result<T, TaskError>` instead: a cancelled task is no panic then.
        as_result: bool,
    },
    /// Cancel a task; one that has ended stays as it is. Answer: nil.
    Cancel {
        /// Which one.
        task: Arc<TaskValue>,
    },
    /// How many elements of a `parallel for` run at once that does not say it (6.2). Answer: Int.
    FanOut {
        /// The models that its body calls.
        models: Vec<Value>,
    },
    /// What only tests may do. In another run the program is broken.
    Test(TestRequest),
}

/// What a test asks for.
#[derive(Debug)]
pub enum TestRequest {
    /// From now on this answers calls of a model. Answer: nil.
    Mock {
        /// Index of the model.
        model: u32,
        /// The fields of the mock: a map.
        fields: Value,
    },
    /// Answer: `Array<MockCall>`.
    MockCalls {
        /// The model.
        model: Arc<ModelValue>,
    },
    /// From now on this is the reply on a channel. Answer: nil.
    MockReply {
        /// The channel.
        channel: Text,
        /// The reply; an `Err` is that of a handler that fails.
        value: Value,
    },
    /// Set a variable, or unset it. Answer: nil.
    MockEnv {
        /// Its name.
        name: Text,
        /// `Option<String>`.
        value: Value,
    },
    /// Answer: `Array<Emit>`.
    Emits {
        /// Whether the runtime's own are wanted, too.
        events: bool,
    },
    /// Compare with a stored text. Answer: nil.
    Snapshot {
        /// What is compared.
        value: Value,
        /// Tells several of one test apart; may be empty.
        name: Text,
    },
}

/// What is made of the values of child tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of them, in order: a tuple, or an array of those of an array.
    All,
    /// That of the first to end; the others are cancelled.
    Race,
    /// The first `Ok`, as a Result; if there is none, all errors in order.
    FirstOk,
}

impl Form {
    /// The form with this number.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        [Self::All, Self::Race, Self::FirstOk].get(number as usize).copied()
    }
}

/// Children of a form.
#[derive(Debug)]
pub enum Work {
    /// Functions without parameters.
    Functions(Vec<Value>),
    /// A function of one parameter for each element.
    Each {
        /// The function.
        function: Arc<FunctionValue>,
        /// The elements.
        items: Arc<List>,
        /// How many run at a time.
        most: usize,
    },
}

/// What a program wants of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A `Response`.
    Response,
    /// A value of the schema with this index.
    Schema(u32),
    /// A `Stream`.
    Stream,
}

/// What is asked of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRequest {
    /// The next chunk for a loop. Answer: a `StreamChunk`, [`Resume::End`] or [`Resume::Error`].
    Chunk,
    /// Answer: `Result<Option<StreamChunk>, LlmError>`.
    Next,
    /// Read the rest. Answer: `Result<Response, LlmError>`.
    Collect,
    /// Answer: `Option<Response>`.
    Response,
    /// Answer: the text so far.
    Text,
    /// Answer: Bool.
    IsDone,
    /// Answer: nil.
    Close,
}

impl StreamRequest {
    /// Whether it waits for the server.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::Chunk | Self::Next | Self::Collect)
    }
}

/// How a fiber goes on.
#[derive(Debug)]
pub enum Resume {
    /// Start, or go on after [`Step::Yield`].
    Continue,
    /// The answer to an effect.
    Value(Value),
    /// The stream has ended.
    End,
    /// The stream has failed with this error; or, for any effect, the run must panic.
    Error(Value),
    /// The effect was used wrongly: the program panics.
    Panic(PanicKind, String),
}

/// Where a fiber stopped.
#[derive(Debug)]
pub enum Step {
    /// The function returned.
    Done(Value),
    /// An error that nothing caught.
    Failed {
        /// The error.
        error: Value,
        /// Active calls.
        trace: Trace,
    },
    /// The program panicked.
    Panicked(Panic),
    /// An instruction met a value that its compiler promised it would not.
    Broken {
        /// The instruction's name.
        what: &'static str,
        /// Active calls.
        trace: Trace,
    },
    /// The program needs the world.
    Needs(Effect),
    /// The budget is used up; the program goes on with [`Resume::Continue`].
    Yield,
}

/// A panic: it ends the run and cannot be caught.
#[derive(Clone, Debug)]
pub struct Panic {
    /// Which one.
    pub kind: PanicKind,
    /// What happened.
    pub message: String,
    /// Active calls.
    pub trace: Trace,
}

/// The kinds of panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the language reference")]
pub enum PanicKind {
    Panic,
    Assertion,
    ArithmeticOverflow,
    DivisionByZero,
    IndexOutOfBounds,
    KeyNotFound,
    UnwrapNone,
    UnwrapErr,
    TypeMismatch,
    CastFailed,
    NoSuchMember,
    MatchFailed,
    InvalidArgument,
    LimitExceeded,
    TaskCancelled,
    StreamConsumed,
    StackOverflow,
}

impl fmt::Display for PanicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Active calls, innermost first.
pub type Trace = Vec<Frame>;

/// An active call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's name.
    pub function: String,
    /// The file's path.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}
