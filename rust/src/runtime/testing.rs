//! Tests of a program: which there are, and what became of one. Each runs in a runtime of its own, so none sees anything of another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Observer, Plan, Program, RuntimeBuilder, threads};
use crate::clock::{self, Clock};
use crate::config::ConfigError;
use crate::engine::emits::Emit;
use crate::engine::requests::{HostRequest, Refusal, RequestKind};
use crate::engine::testing::Test;
use crate::error::{BoxError, Error, RunError, TraceFrame};
use crate::metrics::Metrics;
use crate::value::Value;

/// A test of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// The name of its function.
    pub name: String,
    /// Its description; the name if the program gives none.
    pub title: String,
    /// The file that declares it.
    pub path: String,
    /// The line of its declaration, from 1.
    pub line: u32,
}

/// How a test is run.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Whether models without a mock are called, with delays on the machine's clock; otherwise such a call fails the test, and the clock is virtual. Default: no.
    pub live: bool,
    /// The longest that it may take, on the machine's clock. Default: 60 s.
    pub timeout: Duration,
    /// Where its snapshots stand: the path of a file without `.snap`. Default: nowhere, and `assert_snapshot` fails.
    pub snapshots: Option<PathBuf>,
    /// Whether snapshots are written instead of compared. Default: no.
    pub update: bool,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self { live: false, timeout: Duration::from_secs(60), snapshots: None, update: false }
    }
}

/// What became of a test.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// Why it failed; `None` if it passed.
    pub failure: Option<TestFailure>,
    /// What it emitted, in order. No handler got it.
    pub emits: Vec<Emit>,
    /// What it printed, and what was logged meanwhile.
    pub printed: String,
    /// Snapshots that were written.
    pub written: Vec<PathBuf>,
    /// Numbers of the points that control came by, in order, if the program was compiled to measure coverage.
    pub covered: Vec<u32>,
    /// What it used. Calls of mocks count without tokens.
    pub metrics: Metrics,
}

/// Why a test failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// One or several lines.
    pub message: String,
    /// Active calls, innermost first; empty if it failed by not failing.
    pub trace: Vec<TraceFrame>,
}

impl Program {
    /// The tests, in the order of the source.
    #[must_use]
    pub fn tests(&self) -> Vec<TestCase> {
        let program = &self.0;
        let case = |test: &crate::ir::program::Test| {
            let name = program.function(test.function)?.name.clone();
            // No instruction has this number, so it is the position of the function itself.
            let place = program.position(test.function, u32::MAX as usize)?;
            let (path, line) = (place.path, place.line);
            Some(TestCase { name, title: test.title.clone(), path, line })
        };
        program.tests().iter().filter_map(case).collect()
    }
}

impl RuntimeBuilder {
    /// Runs one test by its place in [`Program::tests`] on this thread, in a runtime that is made for it and has no random delays.
    ///
    /// `interrupted` is asked about every 50 ms: an error cancels the test and is the cause of the [`RunError::Handler`] that comes back.
    ///
    /// # Errors
    /// [`Error::Arguments`] if there is no such test, [`Error::Config`] for a bad option, [`Error::InsideAsync`] on a thread of an async runtime,
    /// [`RunError::Handler`], [`RunError::Internal`]. A test that fails is no error.
    pub fn run_test(
        mut self,
        index: usize,
        options: &TestOptions,
        interrupted: &mut dyn FnMut() -> Result<(), BoxError>,
    ) -> Result<TestReport, Error> {
        if options.timeout.is_zero() {
            let problem = "must be positive seconds".to_owned();
            return Err(ConfigError::Option { option: "timeout", problem }.into());
        }
        let Some(case) = self.program.0.tests().get(index).cloned() else {
            return Err(Error::Arguments { message: format!("the program has no test {index}") });
        };
        let test = Arc::new(Test::new(options.live, options.snapshots.clone(), options.update));
        self.test = Some(Arc::clone(&test));
        // Delays take no time, unless somebody else is to be spared by them.
        let clock = if options.live { Clock::system() } else { Clock::new_virtual() };
        let log = Arc::clone(&test);
        let builder = self.clock(clock).retry_jitter(0.0);
        let runtime =
            builder.log_sink(move |record| log.printed(&format!("{record}\n"))).build()?;
        // A limit that no clock reaches is none.
        let until = clock::now().checked_add(options.timeout);
        let mut observer = Capture { test: &test, until, interrupted };
        runtime.on_emit_by_host("*", 0);
        let plan = Plan::of(vec![(case.function, Vec::new())]);
        let observed = threads::observe(&runtime.inner, plan, &mut observer);
        let outcome = outcome(observed, options.timeout)?;
        let outcome =
            outcome.and_then(|()| test.failure().map_or(Ok(()), |m| Err(without_place(m))));
        let captured = test.captured();
        Ok(TestReport {
            failure: judged(outcome, case.expect_fail.as_deref()),
            emits: captured.emits,
            printed: captured.printed,
            written: captured.written,
            covered: captured.covered.into_iter().collect(),
            metrics: runtime.get_metrics(),
        })
    }
}

/// Keeps what a test sends.
struct Capture<'a> {
    test: &'a Test,
    /// By the machine's clock: a program that waits for nothing does not move any other.
    until: Option<Instant>,
    interrupted: &'a mut dyn FnMut() -> Result<(), BoxError>,
}

impl Observer for Capture<'_> {
    fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        self.test.emitted(emit);
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        self.test.printed(text);
        Ok(())
    }

    fn request(&mut self, request: HostRequest) -> Result<(), BoxError> {
        let reply = match &request.question.kind {
            RequestKind::Emit { channel } => self.test.reply(channel),
            RequestKind::Tool { .. } => None,
        };
        request.settle(reply.unwrap_or(Err(Refusal::NoListener)));
        Ok(())
    }

    fn interrupted(&mut self) -> Result<(), BoxError> {
        if self.until.is_some_and(|until| clock::now() >= until) {
            return Err(Box::new(TimedOut));
        }
        (self.interrupted)()
    }
}

/// The time of a test is over.
#[derive(Debug, thiserror::Error)]
#[error("the test has not ended in time")]
struct TimedOut;

/// What the end of a run means for its test. What is no fault of the test is passed on.
fn outcome(
    observed: Result<Value, Error>,
    timeout: Duration,
) -> Result<Result<(), TestFailure>, Error> {
    let error = match observed {
        Ok(_) => return Ok(Ok(())),
        Err(Error::Run(error)) => error,
        Err(other) => return Err(other),
    };
    Ok(Err(match error {
        RunError::Handler { cause, .. } if cause.is::<TimedOut>() => {
            let limit = timeout.as_secs_f64();
            without_place(format!("the test has not ended after {limit} s"))
        }
        RunError::Handler { .. } | RunError::Cancelled | RunError::Internal { .. } => {
            return Err(error.into());
        }
        RunError::Panic { kind, message, trace } if kind == "Assertion" => {
            TestFailure { message, trace }
        }
        other => {
            let message = other.to_string();
            TestFailure { message, trace: Error::Run(other).trace().to_vec() }
        }
    }))
}

fn without_place(message: String) -> TestFailure {
    TestFailure { message, trace: Vec::new() }
}

/// TE-4: a test that is to fail passes if it does, with the expected text in its message.
fn judged(outcome: Result<(), TestFailure>, expected: Option<&str>) -> Option<TestFailure> {
    match (outcome, expected) {
        (outcome, None) => outcome.err(),
        (Err(failure), Some(part)) if failure.message.contains(part) => None,
        (Err(failure), Some(part)) => {
            let message = format!(
                "expected a failure with `{part}`, but the test failed with: {}",
                failure.message
            );
            Some(TestFailure { message, trace: failure.trace })
        }
        (Ok(()), Some(part)) => {
            let with = if part.is_empty() { String::new() } else { format!(" (with `{part}`)") };
            let message = format!("expected failure but test passed{with}");
            Some(TestFailure { message, trace: Vec::new() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_to_fail_has_four_outcomes() {
        let failed = || Err(TestFailure { message: "out of range".to_owned(), trace: Vec::new() });
        let message = |outcome, expected| judged(outcome, expected).map(|failure| failure.message);
        assert_eq!(message(failed(), Some("")), None);
        assert_eq!(message(failed(), Some("of ra")), None);
        assert_eq!(message(Ok(()), Some("")).unwrap(), "expected failure but test passed");
        assert_eq!(
            message(failed(), Some("other")).unwrap(),
            "expected a failure with `other`, but the test failed with: out of range"
        );
        assert_eq!(message(failed(), None).unwrap(), "out of range");
        assert_eq!(message(Ok(()), None), None);
    }
}
