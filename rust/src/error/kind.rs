//! The kinds of errors, which all hosts share.

/// What kind of error it is; [`Error::kind`](super::Error::kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read.
    Io,
    /// A compiled program that is malformed or of another version.
    Ir,
    /// An unknown connection, a setting that is unknown or out of range, or a program with nothing to run.
    Config,
    /// A call of an unknown function, or with arguments that do not fit.
    Arguments,
    /// A result that does not fit the type that the host asked for.
    Decode,
    /// A blocking call on a thread that drives an async runtime.
    InsideAsync,
    /// Runs that are nested too deep.
    Nested,
    /// A run that a handler took into a child process.
    Forked,
    /// An error that the program did not catch.
    Program,
    /// The same, where it is a failed model call.
    Llm,
    /// The program panicked.
    Panic,
    /// A handler of the host failed.
    Handler,
    /// The host cancelled the run.
    Cancelled,
    /// A limit of the run was exceeded.
    Limit,
    /// A bug of the runtime.
    Internal,
}

impl ErrorKind {
    /// Its word, as in the JSON of errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Ir => "ir",
            Self::Config => "config",
            Self::Arguments => "arguments",
            Self::Decode => "decode",
            Self::InsideAsync => "inside_async",
            Self::Nested => "nested",
            Self::Forked => "forked",
            Self::Program => "program",
            Self::Llm => "llm",
            Self::Panic => "panic",
            Self::Handler => "handler",
            Self::Cancelled => "cancelled",
            Self::Limit => "limit",
            Self::Internal => "internal",
        }
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
