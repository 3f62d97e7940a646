//! The options of a runtime from JSON, as configuration files and hosts in other languages have them.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{HandlerErrors, RuntimeBuilder};
use crate::clock::Clock;
use crate::config::{ConfigError, PriceConfig, closest};
use crate::engine::emits::{EmitMode, USUAL_BUFFER};

/// Sets one option; the text says what it must be.
type Set = fn(RuntimeBuilder, &Json) -> Result<RuntimeBuilder, String>;

/// All options, by name.
const OPTIONS: &[(&str, Set)] = &[
    ("args", |b, v| Ok(b.args(texts(v)?))),
    ("audit", |b, v| Ok(b.audit(truth(v)?))),
    ("ca_bundle", |b, v| Ok(b.ca_bundle(text(v)?))),
    ("clock", |b, v| match text(v)? {
        "system" => Ok(b.clock(Clock::system())),
        "virtual" => Ok(b.clock(Clock::new_virtual())),
        _ => must_be("\"system\" or \"virtual\""),
    }),
    ("connection_overrides", |b, v| {
        let layers = entries(v)?.into_iter().map(|(name, fields)| match fields {
            Json::Object(fields) => Ok((name, fields)),
            _ => must_be("an object of objects"),
        });
        Ok(b.connection_overrides(layers.collect::<Result<Vec<_>, _>>()?))
    }),
    ("emit_mode", |b, v| match v {
        Json::String(word) if word == "immediate" => Ok(b.emit_mode(EmitMode::Immediate)),
        _ => Ok(b.emit_mode(buffered(v)?)),
    }),
    ("env", |b, v| {
        let variables = entries(v)?.into_iter().map(|(name, value)| match value {
            Json::String(value) => Ok((name, value)),
            _ => must_be("an object of texts"),
        });
        Ok(b.env(variables.collect::<Result<_, _>>()?))
    }),
    ("env_allow", |b, v| Ok(b.env_allow(texts(v)?))),
    ("execution_timeout", |b, v| Ok(b.execution_timeout(seconds(v)))),
    ("fs_mode", |b, v| match text(v)?.parse() {
        Ok(mode) => Ok(b.fs_mode(mode)),
        Err(()) => must_be("\"none\", \"read\" or \"write\""),
    }),
    ("fs_root", |b, v| Ok(b.fs_root(text(v)?))),
    ("handler_errors", |b, v| match text(v)? {
        "raise" => Ok(b.handler_errors(HandlerErrors::Raise)),
        "log" => Ok(b.handler_errors(HandlerErrors::Log)),
        _ => must_be("\"raise\" or \"log\""),
    }),
    ("http_body_limit", |b, v| Ok(b.http_body_limit(count(v)?))),
    ("log_level", |b, v| Ok(b.log_level(level(v)?))),
    ("max_call_depth", |b, v| Ok(b.max_call_depth(count(v)?))),
    ("max_concurrent_requests", |b, v| Ok(b.max_concurrent_requests(count(v)?))),
    ("max_cost_usd", |b, v| match v.as_f64() {
        Some(most) => Ok(b.max_cost_usd(most)),
        None => must_be("US dollars, 0 or more"),
    }),
    ("max_queued_requests", |b, v| Ok(b.max_queued_requests(count(v)?))),
    ("max_store_bytes", |b, v| Ok(b.max_store_bytes(count(v)?))),
    ("max_tasks", |b, v| Ok(b.max_tasks(count(v)?))),
    ("max_tokens", |b, v| match v.as_u64() {
        Some(most) => Ok(b.max_tokens(most)),
        None => must_be("a whole number from 0 on"),
    }),
    ("max_tool_result_bytes", |b, v| Ok(b.max_tool_result_bytes(count(v)?))),
    ("max_tool_rounds", |b, v| match v.as_u64().and_then(|rounds| rounds.try_into().ok()) {
        Some(rounds) => Ok(b.max_tool_rounds(rounds)),
        None => must_be("1 to 100"),
    }),
    ("mock", |b, v| match v {
        Json::Bool(on) => Ok(b.mock(*on)),
        script => scripted(b, script),
    }),
    ("net_allow", |b, v| Ok(b.net_allow(texts(v)?))),
    ("offline", |b, v| Ok(b.offline(truth(v)?))),
    ("prices", |mut b, v| {
        for (pattern, price) in entries(v)? {
            let price: PriceConfig = serde_json::from_value(price)
                .map_err(|wrong| format!("has a wrong price of `{pattern}`: {wrong}"))?;
            b = b.price(pattern, price);
        }
        Ok(b)
    }),
    ("program_log_level", |b, v| Ok(b.program_log_level(level(v)?))),
    ("proxy", |b, v| Ok(b.proxy(text(v)?))),
    ("record", |b, v| b.record(text(v)?).map_err(problem)),
    ("replay", |b, v| b.replay(text(v)?).map_err(problem)),
    ("reply_timeout", |b, v| Ok(b.reply_timeout(seconds(v)))),
    ("retry_jitter", |b, v| match v.as_f64() {
        Some(share) => Ok(b.retry_jitter(share)),
        None => must_be("0 to 1"),
    }),
    ("seed", |b, v| match v.as_u64() {
        Some(seed) => Ok(b.seed(seed)),
        None => must_be("a whole number from 0 to 2^64 - 1"),
    }),
    ("shared_stores", |b, v| Ok(b.shared_stores(truth(v)?))),
    ("tool_permissions", |b, v| {
        let permissions = entries(v)?.into_iter().map(|(name, may)| match may {
            Json::Bool(may) => Ok((name, may)),
            _ => must_be("an object of truth values"),
        });
        Ok(b.tool_permissions(permissions.collect::<Result<Vec<_>, _>>()?))
    }),
];

impl RuntimeBuilder {
    /// Sets options by name, with the values that Python's `Runtime` takes: times in seconds, `clock` as "system" or "virtual", `mock` as a truth value or a script (an object, or its text),
    /// `connection_overrides` and `prices` as objects. Null leaves an option as it is.
    ///
    /// ```
    /// # fn configure(program: concerto::Program) -> Result<(), concerto::Error> {
    /// let options = serde_json::json!({"execution_timeout": 60, "connection_overrides": {"openai": {"api_key": "sk-test"}}});
    /// let runtime = concerto::Runtime::builder(program).options(options.as_object().unwrap())?.build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::UnknownOption`], [`ConfigError::Option`].
    pub fn options(mut self, options: &Map<String, Json>) -> Result<Self, ConfigError> {
        only_one_answers(options)?;
        for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
            let Some((option, set)) = OPTIONS.iter().find(|(known, _)| known == name) else {
                let close = closest(name, OPTIONS.iter().map(|(known, _)| *known));
                return Err(ConfigError::UnknownOption { option: name.clone(), close });
            };
            self = set(self, value).map_err(|problem| ConfigError::Option { option, problem })?;
        }
        Ok(self)
    }
}

/// A tape and a mock would both answer the calls; and a file that is recorded is begun anew, so this comes first.
fn only_one_answers(options: &Map<String, Json>) -> Result<(), ConfigError> {
    let is_given = |option: &&str| {
        options.get(*option).is_some_and(|value| !matches!(value, Json::Null | Json::Bool(false)))
    };
    match *["mock", "record", "replay"].into_iter().filter(is_given).collect::<Vec<_>>() {
        [option, _, ..] => {
            let problem = "must be the only one of `mock`, `record` and `replay`".to_owned();
            Err(ConfigError::Option { option, problem })
        }
        _ => Ok(()),
    }
}

fn problem(error: ConfigError) -> String {
    match error {
        ConfigError::Option { problem, .. } => problem,
        other => other.to_string(),
    }
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
fn scripted(builder: RuntimeBuilder, script: &Json) -> Result<RuntimeBuilder, String> {
    let text = script.as_str().map_or_else(|| script.to_string(), str::to_owned);
    let script = crate::mock::LocalScript::parse(&text);
    Ok(builder.mock_script(script.map_err(|wrong| format!("is no script: {wrong}"))?))
}

#[cfg(not(feature = "mock"))]
fn scripted(_: RuntimeBuilder, _: &Json) -> Result<RuntimeBuilder, String> {
    must_be("true or false: this build has no scripts, it was made without the feature `mock`")
}
