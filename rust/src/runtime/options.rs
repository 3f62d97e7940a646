//! The options of a runtime from JSON, as configuration files and hosts in other languages have them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::config::RuntimeConfig;
use super::{HandlerErrors, Runtime, RuntimeBuilder};
use crate::clock::Clock;
use crate::config::{ConfigError, PriceConfig, closest};
use crate::engine::Mock;
use crate::engine::emits::{EmitMode, USUAL_BUFFER};
use crate::engine::world::Variables;

/// Sets one option; the text says what it must be.
type Set = fn(&mut RuntimeConfig, &Json) -> Result<(), String>;

/// All options, by name.
const OPTIONS: &[(&str, Set)] = &[
    ("args", |c, v| set(&mut c.args, texts(v))),
    ("audit", |c, v| set(&mut c.audit, truth(v))),
    ("ca_bundle", |c, v| some(&mut c.ca_bundle, text(v).map(str::to_owned))),
    ("clock", |c, v| match text(v)? {
        "system" => set(&mut c.clock, Ok(Clock::system())),
        "virtual" => set(&mut c.clock, Ok(Clock::new_virtual())),
        _ => must_be("\"system\" or \"virtual\""),
    }),
    ("connection_overrides", |c, v| {
        let layers = entries(v)?.into_iter().map(|(name, fields)| match fields {
            Json::Object(fields) => Ok((name, fields)),
            _ => must_be("an object of objects"),
        });
        set(&mut c.connection_overrides, layers.collect())
    }),
    ("emit_mode", |c, v| match v {
        Json::String(word) if word == "immediate" => set(&mut c.emit_mode, Ok(EmitMode::Immediate)),
        _ => set(&mut c.emit_mode, buffered(v)),
    }),
    ("env", |c, v| {
        let variables = entries(v)?.into_iter().map(|(name, value)| match value {
            Json::String(value) => Ok((name, value)),
            _ => must_be("an object of texts"),
        });
        set(&mut c.env, variables.collect::<Result<HashMap<_, _>, _>>().map(Variables::from))
    }),
    ("env_allow", |c, v| some(&mut c.env_allow, texts(v))),
    ("execution_timeout", |c, v| some(&mut c.execution_timeout, Ok(seconds(v)))),
    ("fs_mode", |c, v| match text(v)?.parse() {
        Ok(mode) => set(&mut c.fs_mode, Ok(mode)),
        Err(()) => must_be("\"none\", \"read\" or \"write\""),
    }),
    ("fs_root", |c, v| some(&mut c.fs_root, path(v))),
    ("handler_errors", |c, v| match text(v)? {
        "raise" => set(&mut c.handler_errors, Ok(HandlerErrors::Raise)),
        "log" => set(&mut c.handler_errors, Ok(HandlerErrors::Log)),
        _ => must_be("\"raise\" or \"log\""),
    }),
    ("http_body_limit", |c, v| set(&mut c.http_body_limit, count(v))),
    ("log_level", |c, v| set(&mut c.log_level, level(v))),
    ("max_call_depth", |c, v| set(&mut c.max_call_depth, count(v))),
    ("max_concurrent_requests", |c, v| some(&mut c.max_concurrent_requests, count(v))),
    ("max_cost_usd", |c, v| some(&mut c.max_cost_usd, number(v, "US dollars, 0 or more"))),
    ("max_queued_requests", |c, v| some(&mut c.max_queued_requests, count(v))),
    ("max_store_bytes", |c, v| set(&mut c.max_store_bytes, count(v))),
    ("max_tasks", |c, v| set(&mut c.max_tasks, count(v))),
    ("max_tokens", |c, v| some(&mut c.max_tokens, whole(v, "a whole number from 0 on"))),
    ("max_tool_result_bytes", |c, v| set(&mut c.max_tool_result_bytes, count(v))),
    ("max_tool_rounds", |c, v| match v.as_u64().and_then(|rounds| rounds.try_into().ok()) {
        Some(rounds) => set(&mut c.max_tool_rounds, Ok(rounds)),
        None => must_be("1 to 100"),
    }),
    ("mock", |c, v| match v {
        Json::Bool(on) => set(&mut c.mock, Ok(if *on { Mock::Usual } else { Mock::Off })),
        script => set(&mut c.mock, scripted(script)),
    }),
    ("net_allow", |c, v| some(&mut c.net_allow, texts(v))),
    ("offline", |c, v| set(&mut c.offline, truth(v))),
    ("prices", |c, v| {
        let prices = entries(v)?.into_iter().map(|(pattern, price)| {
            match serde_json::from_value::<PriceConfig>(price) {
                Ok(price) => Ok((pattern, price)),
                Err(wrong) => Err(format!("has a wrong price of `{pattern}`: {wrong}")),
            }
        });
        set(&mut c.prices, prices.collect())
    }),
    ("program_log_level", |c, v| set(&mut c.program_log_level, level(v))),
    ("proxy", |c, v| some(&mut c.proxy, text(v).map(str::to_owned))),
    ("record", |c, v| some(&mut c.record, path(v))),
    ("replay", |c, v| some(&mut c.replay, path(v))),
    ("reply_timeout", |c, v| some(&mut c.reply_timeout, Ok(seconds(v)))),
    ("retry_jitter", |c, v| some(&mut c.retry_jitter, number(v, "0 to 1"))),
    ("seed", |c, v| some(&mut c.seed, whole(v, "a whole number from 0 to 2^64 - 1"))),
    ("shared_stores", |c, v| set(&mut c.shared_stores, truth(v))),
    ("tool_permissions", |c, v| set(&mut c.tool_permissions, permissions(v))),
    ("worker_threads", |c, v| some(&mut c.worker_threads, count(v))),
];

/// Names of the reference that are no options here, and why: to take them and do nothing would be a promise.
const NOTHING_TO_SET: &[(&str, &str)] = &[
    (
        "allow_processes",
        "is not there yet: no program can start a process, so there is nothing to allow or to forbid",
    ),
    ("log_sink", "is a function, which only hosts in Rust can give: records go to standard error"),
    ("debug", "is none: each error has its kind, its trace and its value without it"),
    (
        "tracer",
        "is not there yet: nothing is exported to OpenTelemetry; logs, metrics and the emits of `audit` tell what happens",
    ),
];

impl RuntimeConfig {
    /// Options by name, with the values that Python's `Runtime` takes: times in seconds, `clock` as "system" or "virtual", `mock` as a truth value or a
    /// script (an object, or its text), `connection_overrides` and `prices` as objects. Null leaves an option as it is, as does one that is not named.
    ///
    /// ```
    /// let options = serde_json::json!({"execution_timeout": 60, "connection_overrides": {"openai": {"api_key": "sk-test"}}});
    /// let config = concerto::RuntimeConfig::from_json(options.as_object().unwrap())?;
    /// # Ok::<(), concerto::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::UnknownOption`], [`ConfigError::Option`].
    pub fn from_json(options: &Map<String, Json>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.set_json(options)?;
        Ok(config)
    }

    pub(super) fn set_json(&mut self, options: &Map<String, Json>) -> Result<(), ConfigError> {
        for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
            if let Some((option, why)) = NOTHING_TO_SET.iter().find(|(known, _)| known == name) {
                return Err(ConfigError::Option { option, problem: (*why).to_owned() });
            }
            let Some((option, set)) = OPTIONS.iter().find(|(known, _)| known == name) else {
                let close = closest(name, OPTIONS.iter().map(|(known, _)| *known));
                return Err(ConfigError::UnknownOption { option: name.clone(), close });
            };
            set(self, value).map_err(|problem| ConfigError::Option { option, problem })?;
        }
        Ok(())
    }
}

impl Runtime {
    /// As [`Runtime::set_tool_permissions`] from JSON: truth values by `Tool` or `Tool.method`, or by method in an object for the tool.
    ///
    /// # Errors
    /// [`ConfigError::Option`], [`ConfigError::UnknownTool`]; then nothing has changed.
    pub fn set_tool_permissions_json(&self, permissions: &Json) -> Result<(), ConfigError> {
        let permissions = self::permissions(permissions)
            .map_err(|problem| ConfigError::Option { option: "tool_permissions", problem })?;
        self.set_tool_permissions(permissions)
    }
}

impl RuntimeBuilder {
    /// Sets options by name, as [`RuntimeConfig::from_json`] takes them; others stay as they are.
    ///
    /// # Errors
    /// [`ConfigError::UnknownOption`], [`ConfigError::Option`].
    pub fn options(mut self, options: &Map<String, Json>) -> Result<Self, ConfigError> {
        self.config.set_json(options)?;
        Ok(self)
    }
}

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

fn some<T>(field: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    set(field, value.map(Some))
}

fn must_be<T>(expected: &str) -> Result<T, String> {
    Err(format!("must be {expected}"))
}

fn text(value: &Json) -> Result<&str, String> {
    value.as_str().map_or_else(|| must_be("a text"), Ok)
}

fn texts(value: &Json) -> Result<Vec<String>, String> {
    let items = value.as_array().into_iter().flatten();
    let texts: Vec<_> = items.map_while(Json::as_str).map(str::to_owned).collect();
    if value.as_array().is_some_and(|items| items.len() == texts.len()) {
        return Ok(texts);
    }
    must_be("an array of texts")
}

fn path(value: &Json) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn number(value: &Json, expected: &str) -> Result<f64, String> {
    value.as_f64().map_or_else(|| must_be(expected), Ok)
}

fn whole(value: &Json, expected: &str) -> Result<u64, String> {
    value.as_u64().map_or_else(|| must_be(expected), Ok)
}

fn entries(value: &Json) -> Result<Map<String, Json>, String> {
    value.as_object().cloned().map_or_else(|| must_be("an object"), Ok)
}

fn truth(value: &Json) -> Result<bool, String> {
    value.as_bool().map_or_else(|| must_be("true or false"), Ok)
}

fn count(value: &Json) -> Result<usize, String> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.map_or_else(|| must_be("a whole number from 0 on"), Ok)
}

/// What is no duration is refused by `build`, like zero.
fn seconds(value: &Json) -> Duration {
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.unwrap_or(Duration::ZERO)
}

/// Truth values by tool or `Tool.method`, or by method within a tool.
fn permissions(value: &Json) -> Result<BTreeMap<String, bool>, String> {
    let mut found = Vec::new();
    for (tool, may) in entries(value)? {
        match may {
            Json::Object(methods) => found
                .extend(methods.into_iter().map(|(method, may)| (format!("{tool}.{method}"), may))),
            may => found.push((tool, may)),
        }
    }
    let found = found.into_iter().map(|(name, may)| match may {
        Json::Bool(may) => Ok((name, may)),
        _ => must_be("an object of truth values, or of objects of them"),
    });
    found.collect()
}

fn buffered(value: &Json) -> Result<EmitMode, String> {
    let wrong = || "must be \"immediate\" or {\"interval_ms\": .., \"size\": ..}".to_owned();
    let fields = value.as_object().ok_or_else(wrong)?;
    if fields.keys().any(|name| name != "interval_ms" && name != "size") {
        return Err(wrong());
    }
    let interval_ms = fields.get("interval_ms").and_then(Json::as_f64).ok_or_else(wrong)?;
    let interval = Duration::try_from_secs_f64(interval_ms / 1000.0).map_err(|_| wrong())?;
    let size = fields.get("size").map_or(Ok(USUAL_BUFFER), count)?;
    Ok(EmitMode::Buffered { interval, size })
}

fn level(value: &Json) -> Result<crate::log::LogLevel, String> {
    let level = text(value)?.parse();
    level.or_else(|()| must_be("\"error\", \"warn\", \"info\", \"debug\" or \"trace\""))
}

#[cfg(feature = "mock")]
fn scripted(script: &Json) -> Result<Mock, String> {
    let text = script.as_str().map_or_else(|| script.to_string(), str::to_owned);
    let script = crate::mock::LocalScript::parse(&text);
    let script = script.map_err(|wrong| format!("is no script: {wrong}"))?;
    Ok(Mock::Scripted(std::sync::Arc::new(script)))
}

#[cfg(not(feature = "mock"))]
fn scripted(_: &Json) -> Result<Mock, String> {
    must_be("true or false: this build has no scripts, it was made without the feature `mock`")
}
