//! What can go wrong, as hosts see it.

mod json;
mod kind;
mod llm;

use std::sync::Arc;

use crate::config::ConfigError;
use crate::ir::IrError;
use crate::value::Value;

pub use kind::ErrorKind;
pub use llm::{LlmError, Violation};

/// Any error of a host's own code.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that an operation of the public API can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A compiled program that is malformed or of another version.
    #[error(transparent)]
    Ir(#[from] IrError),
    /// An unknown connection, or a setting that is unknown or out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A connection whose fields cannot be evaluated.
    #[error("{0}")]
    Settings(String),
    /// The program has neither `main` nor top-level statements.
    #[error("the program has nothing to run: it has neither `fn main()` nor top-level statements")]
    NothingToRun,
    /// A call of an unknown function, or with arguments that do not fit.
    #[error("{message}")]
    Arguments {
        /// What is wrong.
        message: String,
    },
    /// A result that does not fit the type that the host asked for.
    #[error("the result does not fit: {message}")]
    Decode {
        /// What is wrong.
        message: String,
    },
    /// A blocking call on a thread that drives an async runtime.
    #[error("a blocking call inside an async runtime would stop it: await the async form instead")]
    InsideAsync,
    /// Handlers that call the runtime, which calls handlers, which call it again, and so on.
    #[error("runs are nested more than 16 deep: a handler calls the program that calls it")]
    Nested,
    /// A handler has forked: the run goes on in the parent process.
    #[error("the run belongs to the parent process, which has forked while it waited for it")]
    Forked,
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How a run can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An error that the program did not catch.
    #[error("{message}")]
    Program {
        /// The error as text.
        message: String,
        /// The error as a value of the program.
        value: Value,
        /// Active calls, innermost first.
        trace: Vec<TraceFrame>,
    },
    /// A failed model call that the program did not catch.
    #[error("{error}")]
    Llm {
        /// The error with its fields.
        error: Box<LlmError>,
        /// The error as a value of the program.
        value: Value,
        /// Active calls, innermost first.
        trace: Vec<TraceFrame>,
    },
    /// The program panicked.
    #[error("{kind}: {message}")]
    Panic {
        /// Such as `IndexOutOfBounds`.
        kind: String,
        /// What happened.
        message: String,
        /// Active calls, innermost first.
        trace: Vec<TraceFrame>,
    },
    /// A handler of the host failed.
    #[error("a handler of the host failed: {cause}")]
    Handler {
        /// What it failed with.
        #[source]
        cause: BoxError,
        /// Active calls when the program sent what the handler took, innermost first; empty for what belongs to no place of the program.
        trace: Vec<TraceFrame>,
    },
    /// The host cancelled the run.
    #[error("the run was cancelled")]
    Cancelled,
    /// A limit of the run was exceeded.
    #[error("the run exceeded its limit `{limit}`")]
    Limit {
        /// Which limit.
        limit: String,
    },
    /// A bug of the runtime, or a compiled program that was tampered with.
    #[error("internal error: `{what}` met a value that its compiler rules out")]
    Internal {
        /// The instruction.
        what: String,
        /// Active calls, innermost first.
        trace: Vec<TraceFrame>,
    },
}

/// An active call of a run that failed. Lines and columns count from 1; both are 0 in a program that was built without places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFrame {
    /// The function's name.
    pub function: String,
    /// The file's path.
    pub path: String,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// The error of a handler that several hold.
#[derive(Debug)]
struct SharedCause(Arc<Result<Value, RunError>>);

impl SharedCause {
    fn cause(&self) -> Option<&BoxError> {
        match &*self.0 {
            Err(RunError::Handler { cause, .. }) => Some(cause),
            _ => None,
        }
    }
}

impl std::fmt::Display for SharedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cause().map_or(Ok(()), |cause| cause.fmt(f))
    }
}

impl std::error::Error for SharedCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| &**cause as &(dyn std::error::Error + 'static))
    }
}

impl RunError {
    /// An error that the program did not catch: a failed model call, or any other.
    pub(crate) fn uncaught(value: Value, trace: Vec<TraceFrame>) -> Self {
        match LlmError::from_value(&value) {
            Some(error) => Self::Llm { error: Box::new(error), value, trace },
            None => Self::Program { message: value.message(), value, trace },
        }
    }

    /// The same error once more, for one of several that wait for the outcome of a run.
    pub(crate) fn copy(&self, outcome: &Arc<Result<Value, Self>>) -> Self {
        match self {
            Self::Program { message, value, trace } => {
                let (message, value, trace) = (message.clone(), value.clone(), trace.clone());
                Self::Program { message, value, trace }
            }
            Self::Llm { error, value, trace } => {
                Self::Llm { error: error.clone(), value: value.clone(), trace: trace.clone() }
            }
            Self::Panic { kind, message, trace } => {
                let (kind, message, trace) = (kind.clone(), message.clone(), trace.clone());
                Self::Panic { kind, message, trace }
            }
            Self::Handler { trace, .. } => {
                let cause = Box::new(SharedCause(Arc::clone(outcome)));
                Self::Handler { cause, trace: trace.clone() }
            }
            Self::Cancelled => Self::Cancelled,
            Self::Limit { limit } => Self::Limit { limit: limit.clone() },
            Self::Internal { what, trace } => {
                Self::Internal { what: what.clone(), trace: trace.clone() }
            }
        }
    }

    /// A handler of the host failed.
    pub(crate) fn handler(cause: BoxError) -> Self {
        Self::Handler { cause, trace: Vec::new() }
    }

    /// The same with the place of the program at which a handler failed.
    pub(crate) fn at(self, place: impl FnOnce() -> Vec<TraceFrame>) -> Self {
        match self {
            Self::Handler { cause, trace } if trace.is_empty() => {
                Self::Handler { cause, trace: place() }
            }
            other => other,
        }
    }

    /// As [`Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Program { .. } => ErrorKind::Program,
            Self::Llm { .. } => ErrorKind::Llm,
            Self::Panic { .. } => ErrorKind::Panic,
            Self::Handler { .. } => ErrorKind::Handler,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Limit { .. } => ErrorKind::Limit,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// Active calls where the run failed, innermost first; empty for what did not happen at one place.
    #[must_use]
    pub fn trace(&self) -> &[TraceFrame] {
        match self {
            Self::Program { trace, .. }
            | Self::Llm { trace, .. }
            | Self::Panic { trace, .. }
            | Self::Handler { trace, .. }
            | Self::Internal { trace, .. } => trace,
            Self::Cancelled | Self::Limit { .. } => &[],
        }
    }
}

impl Error {
    /// The failed model call that ended the run, if one did.
    #[must_use]
    pub fn llm_error(&self) -> Option<&LlmError> {
        match self {
            Self::Run(RunError::Llm { error, .. }) => Some(error),
            _ => None,
        }
    }

    /// What kind of error it is: the same in all hosts, whose statuses and exceptions follow from it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Io,
            Self::Ir(_) => ErrorKind::Ir,
            Self::Config(_) | Self::Settings(_) | Self::NothingToRun => ErrorKind::Config,
            Self::Arguments { .. } => ErrorKind::Arguments,
            Self::Decode { .. } => ErrorKind::Decode,
            Self::InsideAsync => ErrorKind::InsideAsync,
            Self::Nested => ErrorKind::Nested,
            Self::Forked => ErrorKind::Forked,
            Self::Run(error) => error.kind(),
        }
    }

    /// Active calls where the run failed, innermost first; empty for other errors.
    #[must_use]
    pub fn trace(&self) -> &[TraceFrame] {
        match self {
            Self::Run(error) => error.trace(),
            _ => &[],
        }
    }
}
