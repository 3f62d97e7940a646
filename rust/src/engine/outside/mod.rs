//! Answers what the library asks of the world: randomness, time, the environment, the log, files, HTTP.
//!
//! What a run may do is said by the runtime's options. A refusal is an error value of the language; only arguments that make no sense panic.

mod files;
mod random;
mod stores;
mod web;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

pub use files::{FileAccess, FileMode};
pub use web::NetAccess;

pub use stores::SharedStores;

use stores::Stores;

use super::Shared;
use crate::clock::Clock;
use crate::config::RetryConfig;
use crate::log::LogLevel;
use crate::value::{Key, MapValue, Text, Value, builtin};
use crate::vm::{PanicKind, Request, Resume};

/// What one run keeps between two requests.
pub(super) struct Outside {
    random: Mutex<fastrand::Rng>,
    start: Instant,
    stores: Arc<Stores>,
    /// The stores as values of the run.
    store_values: Vec<Value>,
    /// Its own in place of those of the runtime.
    pub(super) args: Option<Vec<String>>,
}

impl Outside {
    pub(super) fn new(seed: Option<u64>, clock: &Clock) -> Self {
        let random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let (stores, store_values) = (Arc::default(), Vec::new());
        Self { random: Mutex::new(random), start: clock.now(), stores, store_values, args: None }
    }

    /// Opens the stores of the program, before anything of it runs.
    ///
    /// # Errors
    /// What is wrong with a file of a store.
    pub(super) fn open_stores(&mut self, shared: &Shared) -> Result<(), String> {
        let open = || Stores::open(&shared.program, &shared.files, shared.max_store_bytes);
        self.stores = match &shared.stores {
            Some(stores) => stores.open(open)?,
            None => Arc::new(open()?),
        };
        self.store_values = self.stores.values();
        Ok(())
    }

    /// Saves changed stores from time to time; ends only with an error.
    pub(super) async fn keep_saved(&self, shared: &Shared) -> String {
        self.stores.keep_saved(&shared.files).await
    }

    /// Saves changed stores.
    ///
    /// # Errors
    /// What went wrong with a file.
    pub(super) async fn save_stores(&self, shared: &Shared) -> Result<(), String> {
        self.stores.save(&shared.files).await
    }
}

/// Answers one request.
pub(super) async fn answer(
    shared: &Shared,
    outside: &Outside,
    request: Request,
    args: &[Value],
) -> Resume {
    let value = match (request, args) {
        (Request::RandomFloat, []) => Ok(random::float(&outside.random)),
        (Request::RandomInt, [Value::Int(least), Value::Int(bound)]) => {
            random::int(&outside.random, *least, *bound)
        }
        (Request::RandomUuid, []) => random::uuid(),
        (Request::RandomBytes, [Value::Int(count)]) => random::bytes(*count),
        (Request::TimeNow, []) => Ok(now_ms(&shared.clock).into()),
        (Request::TimeMonotonic, []) => {
            Ok(whole(shared.clock.since(outside.start).as_millis()).into())
        }
        (Request::TimeSleep, [Value::Int(ms)]) => {
            sleep(&shared.clock, *ms).await;
            Ok(Value::Nil)
        }
        (Request::EnvRead, [Value::Str(name)]) => Ok(read_variable(shared, name)),
        (Request::EnvHas, [Value::Str(name)]) => Ok(shared.environment.has(name).into()),
        (Request::EnvAll, []) => Ok(variables(shared)),
        (Request::EnvArgs, []) => {
            let args = outside.args.as_ref().unwrap_or(&shared.args);
            Ok(Value::array(args.iter().map(|arg| Value::from(arg.as_str())).collect()))
        }
        (Request::LogWrite, [Value::Str(level), Value::Str(message), Value::Map(fields)]) => {
            log(shared, level, message, fields);
            Ok(Value::Nil)
        }
        (
            Request::RetryDelay,
            [Value::Int(retry), Value::Str(backoff), Value::Int(first), Value::Int(longest)],
        ) => Ok(retry_delay(shared, *retry, backoff, [*first, *longest]).into()),
        (Request::StoreOpen, [Value::Int(index)]) => {
            let index = usize::try_from(*index).unwrap_or(usize::MAX);
            let store = outside.store_values.get(index).cloned();
            store.ok_or((PanicKind::TypeMismatch, "there is no such store".to_owned()))
        }
        (Request::StoreKey | Request::StoreValue, [store, value]) => {
            stores::fitted(&shared.program, request, store, value.clone())
        }
        (Request::TestCover, [Value::Int(point)]) => covered(shared, *point),
        (Request::HttpSend, _) if shared.test.as_ref().is_some_and(|test| !test.live) => {
            let message = "a test makes no network calls (use --live)".to_owned();
            Err((PanicKind::Assertion, message))
        }
        (Request::HttpSend, args) => {
            let _server = shared.clock.outside();
            // Most requests are answered at once: they need not be as large as one that goes out.
            Box::pin(web::request(shared, args)).await
        }
        (request, args) => {
            let _disk = shared.clock.outside();
            match Box::pin(files::answer(&shared.files, request, args)).await {
                Some(value) => Ok(value),
                None => {
                    let message = format!("wrong arguments of `{}`", request.name());
                    Err((PanicKind::TypeMismatch, message))
                }
            }
        }
    };
    match value {
        Ok(value) => Resume::Value(value),
        Err((kind, message)) => Resume::Panic(kind, message),
    }
}

type Answer = Result<Value, (PanicKind, String)>;

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the years of clocks fit")]
fn now_ms(clock: &Clock) -> i64 {
    (clock.unix_seconds() * 1000.0).floor() as i64
}

async fn sleep(clock: &Clock, ms: i64) {
    // No time at all still lets other tasks go first.
    if let Ok(ms @ 1..) = u64::try_from(ms) {
        clock.sleep(Duration::from_millis(ms)).await;
    }
}

/// Control has come by a point of a test that is measured.
fn covered(shared: &Shared, point: i64) -> Answer {
    let test = shared.test.as_ref().zip(u32::try_from(point).ok());
    let Some((test, point)) = test else {
        let message = "coverage is measured in tests only".to_owned();
        return Err((PanicKind::InvalidArgument, message));
    };
    test.covered(point);
    Ok(Value::Nil)
}

/// Milliseconds before retry number `retry`, by the rules of model calls (C-69, C-70).
fn retry_delay(shared: &Shared, retry: i64, backoff: &str, [first, longest]: [i64; 2]) -> i64 {
    let ms = |number: i64| u64::try_from(number).unwrap_or(0);
    let policy = RetryConfig {
        backoff: Some(backoff.to_owned()),
        initial_delay_ms: Some(ms(first)),
        max_delay_ms: Some(ms(longest)),
        ..RetryConfig::default()
    };
    let delay = shared.client.retry_delay(&policy, u32::try_from(retry).unwrap_or(1));
    whole(delay.as_millis())
}

/// What `env(..)` and `std::env` see: the value, or an `EnvError`.
pub(super) fn read_variable(shared: &Shared, name: &str) -> Value {
    match shared.environment.read(name) {
        Ok(value) => Value::ok(Value::from(value)),
        Err(missing) => {
            Value::err(builtin::env_error(&missing.message(name), missing.kind(), name))
        }
    }
}

fn variables(shared: &Shared) -> Value {
    let all = shared.environment.all();
    let map: MapValue =
        all.into_iter().map(|(name, value)| (Key::Str(Text::new(name)), value.into())).collect();
    Value::Map(map.into())
}

fn log(shared: &Shared, level: &str, message: &str, fields: &MapValue) {
    use std::fmt::Write;
    let level = level.parse().unwrap_or(LogLevel::Info);
    shared.program_log.write(level, || {
        let mut line = message.to_owned();
        for (key, value) in fields.iter() {
            // Writing to a String cannot fail.
            let _ = write!(line, " {}={value}", key.to_value());
        }
        line
    });
}
