//! What can go wrong, as hosts see it.

mod json;
mod llm;

use crate::config::ConfigError;
use crate::ir::IrError;
use crate::value::Value;

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

impl RunError {
    /// An error that the program did not catch: a failed model call, or any other.
    pub(crate) fn uncaught(value: Value, trace: Vec<TraceFrame>) -> Self {
        match LlmError::from_value(&value) {
            Some(error) => Self::Llm { error: Box::new(error), value, trace },
            None => Self::Program { message: value.message(), value, trace },
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

    /// As [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Program { .. } => "program",
            Self::Llm { .. } => "llm",
            Self::Panic { .. } => "panic",
            Self::Handler { .. } => "handler",
            Self::Cancelled => "cancelled",
            Self::Limit { .. } => "limit",
            Self::Internal { .. } => "internal",
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

    /// A short word for the kind of error, equal in all hosts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Ir(_) => "ir",
            Self::Config(_) | Self::Settings(_) | Self::NothingToRun => "config",
            Self::Arguments { .. } => "arguments",
            Self::Decode { .. } => "decode",
            Self::InsideAsync => "inside_async",
            Self::Nested => "nested",
            Self::Run(error) => error.code(),
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
