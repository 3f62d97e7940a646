//! The log of one runtime: records of a level and up go to its sink. Nothing here is global, and nothing is formatted that nobody sees.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

/// How important a record is; earlier ones are more so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Something is lost.
    Error,
    /// Something went wrong and was mended, such as a repeated request.
    Warn,
    /// What a host may want to know.
    Info,
    /// Each request: method, URL without its query, status, sizes, durations.
    Debug,
    /// Bodies too, secrets masked, the first 4 KiB of each.
    Trace,
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace]
            .into_iter()
            .find(|level| level.word() == word)
            .ok_or(())
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How important it is.
    pub level: LogLevel,
    /// One line; of the runtime it has no secrets.
    pub message: String,
    /// Whether the program wrote it, by `std::log`, or the runtime.
    pub is_program: bool,
}

impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_program {
            let tag = format!("[{}]", self.level.word().to_uppercase());
            return write!(f, "{tag:<7} {}", self.message);
        }
        write!(f, "concerto {}: {}", self.level.word(), self.message)
    }
}

/// Where records go. It is called on the threads that make calls, so it should be quick.
pub type LogSink = Arc<dyn Fn(&LogRecord) + Send + Sync>;

/// A level and a sink.
#[derive(Clone)]
pub struct Log {
    level: LogLevel,
    sink: LogSink,
    is_program: bool,
}

impl Log {
    /// A log of this level and up.
    #[must_use]
    pub fn new(level: LogLevel, sink: LogSink) -> Self {
        Self { level, sink, is_program: false }
    }

    /// The same for what a program writes.
    #[must_use]
    pub fn of_program(level: LogLevel, sink: LogSink) -> Self {
        Self { level, sink, is_program: true }
    }

    /// Whether records of this level are seen.
    #[must_use]
    pub fn shows(&self, level: LogLevel) -> bool {
        level <= self.level
    }

    /// Writes a record, if its level is seen.
    pub fn write(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if self.shows(level) {
            let record = LogRecord { level, message: message(), is_program: self.is_program };
            (self.sink)(&record);
        }
    }
}

impl Default for Log {
    /// Warnings and errors, on standard error.
    fn default() -> Self {
        Self::new(LogLevel::Warn, standard_error())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

/// The sink that writes lines to standard error.
#[must_use]
pub fn standard_error() -> LogSink {
    Arc::new(|record| {
        // A log that cannot be written must not stop the program.
        let _ = writeln!(std::io::stderr().lock(), "{record}");
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn records_below_the_level_are_not_even_formatted() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let sink: LogSink = Arc::new(move |record| kept.lock().unwrap().push(record.to_string()));
        let log = Log::new(LogLevel::Info, sink);
        for level in ["error", "warn", "info"] {
            log.write(level.parse().unwrap(), || format!("about {level}"));
        }
        log.write(LogLevel::Debug, || panic!("nobody sees it"));
        let expected = [
            "concerto error: about error",
            "concerto warn: about warn",
            "concerto info: about info",
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
        assert_eq!("loud".parse::<LogLevel>(), Err(()));
    }
}
