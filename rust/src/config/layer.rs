//! One layer of settings, checked.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{
    ConfigError, ConnectionConfig, ProviderKind, RateLimitConfig, RetryConfig, closest, url,
};
use crate::secret::Secret;

/// The fields of a connection, in the order of the reference.
pub(super) const FIELDS: [&str; 12] = [
    "api_key",
    "base_url",
    "default_model",
    "timeout",
    "timeout_ms",
    "retry",
    "rate_limit",
    "headers",
    "organization",
    "project",
    "models",
    "provider",
];

/// Header names that belong to the transport.
const RESERVED: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "te",
    "upgrade",
];

/// Settings of one origin; `None` and empty leave a field to the layer below.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields of a connection")]
pub struct Layer {
    pub provider: Option<ProviderKind>,
    pub api_key: Option<Secret>,
    pub base_url: Option<String>,
    pub default_model: Option<String>,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub timeout: Option<Duration>,
    pub retry: Option<RetryConfig>,
    pub rate_limit: Option<RateLimitConfig>,
    pub headers: Vec<(String, Secret)>,
    pub models: Vec<(String, String)>,
    pub remove: Vec<String>,
}

/// A field's problem, before the connection's name is known.
type Problem = (String, String);

impl Layer {
    /// Whether a lower layer's value of this field cannot matter. `headers` and `models` merge, so only removal covers them.
    #[must_use]
    pub fn covers(&self, field: &str) -> bool {
        self.remove.iter().any(|name| name == field)
            || match field {
                "api_key" => self.api_key.is_some(),
                // Another provider's URL is of no use (O-5).
                "base_url" => self.base_url.is_some() || self.provider.is_some(),
                "default_model" => self.default_model.is_some(),
                "organization" => self.organization.is_some(),
                "project" => self.project.is_some(),
                "timeout" => self.timeout.is_some(),
                "retry" => self.retry.is_some(),
                "rate_limit" => self.rate_limit.is_some(),
                _ => false,
            }
    }

    /// This layer with `upper` laid over it.
    #[must_use]
    pub fn under(mut self, upper: &Self) -> Self {
        for field in &upper.remove {
            self.unset(field);
            self.remove.push(field.clone());
        }
        if upper.provider.is_some() && upper.base_url.is_none() {
            self.base_url = None;
        }
        macro_rules! over {
            ($($field:ident),*) => { $(if upper.$field.is_some() {
                self.$field.clone_from(&upper.$field);
                self.remove.retain(|name| name != stringify!($field));
            })* };
        }
        over!(
            provider,
            api_key,
            base_url,
            default_model,
            organization,
            project,
            timeout,
            retry,
            rate_limit
        );
        for (name, value) in &upper.headers {
            self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
            self.headers.push((name.clone(), value.clone()));
        }
        for (alias, id) in &upper.models {
            self.models.retain(|(own, _)| own != alias);
            self.models.push((alias.clone(), id.clone()));
        }
        self
    }

    fn unset(&mut self, field: &str) {
        match field {
            "api_key" => self.api_key = None,
            "base_url" => self.base_url = None,
            "default_model" => self.default_model = None,
            "organization" => self.organization = None,
            "project" => self.project = None,
            "timeout" => self.timeout = None,
            "retry" => self.retry = None,
            "rate_limit" => self.rate_limit = None,
            "headers" => self.headers.clear(),
            "models" => self.models.clear(),
            _ => {}
        }
    }

    /// The checked layer of a host's override.
    ///
    /// # Errors
    /// [`ConfigError::Field`].
    pub fn from_config(
        connection: &str,
        config: &ConnectionConfig<'_>,
    ) -> Result<Self, ConfigError> {
        let text = |text: &str| (!text.is_empty()).then(|| Json::from(text));
        let number = |number: Option<u64>| number.map(Json::from);
        let object = |pairs: &[(&str, &str)]| {
            (!pairs.is_empty()).then(|| {
                Json::Object(pairs.iter().map(|(k, v)| ((*k).to_owned(), Json::from(*v))).collect())
            })
        };
        let fields = [
            ("provider", text(config.provider)),
            ("api_key", text(config.api_key)),
            ("base_url", text(config.base_url)),
            ("default_model", text(config.default_model)),
            ("organization", text(config.organization)),
            ("project", text(config.project)),
            ("timeout", number(config.timeout)),
            ("timeout_ms", number(config.timeout_ms)),
            ("retry", config.retry.as_ref().and_then(|r| serde_json::to_value(r).ok())),
            ("rate_limit", config.rate_limit.as_ref().and_then(|r| serde_json::to_value(r).ok())),
            ("headers", object(config.headers)),
            ("models", object(config.models)),
            ("remove", (!config.remove.is_empty()).then(|| Json::from(config.remove.to_vec()))),
        ];
        let given = fields.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect();
        Self::from_json(connection, &given)
    }

    /// The checked layer of a JSON object.
    ///
    /// # Errors
    /// [`ConfigError::UnknownField`], [`ConfigError::Field`].
    pub fn from_json(connection: &str, fields: &Map<String, Json>) -> Result<Self, ConfigError> {
        let mut layer = Self::default();
        if fields.contains_key("timeout") && fields.contains_key("timeout_ms") {
            return Err(field_error(
                connection,
                problem("timeout", "and `timeout_ms` exclude each other"),
            ));
        }
        for (field, value) in fields {
            if field != "remove" && !FIELDS.contains(&field.as_str()) {
                return Err(ConfigError::UnknownField {
                    connection: connection.to_owned(),
                    field: field.clone(),
                    close: meant(field),
                });
            }
            layer.set(field, value).map_err(|problem| field_error(connection, problem))?;
        }
        let is_given = |name: &str| {
            fields.contains_key(name) || (name == "timeout" && fields.contains_key("timeout_ms"))
        };
        if let Some(both) = layer.remove.iter().find(|name| is_given(name.as_str())) {
            return Err(field_error(connection, problem(both, "is both given and removed")));
        }
        Ok(layer)
    }

    fn set(&mut self, field: &str, value: &Json) -> Result<(), Problem> {
        match field {
            "provider" => {
                let word = text(field, value)?;
                let kind = word.parse().map_err(|()| {
                    problem(field, "must be one of openai, anthropic, google, ollama, custom")
                })?;
                self.provider = Some(kind);
            }
            "api_key" => self.api_key = Some(Secret::new(check_key(text(field, value)?)?)),
            "base_url" => self.base_url = Some(check_url(text(field, value)?)?),
            "default_model" => {
                self.default_model = Some(check_model_id(field, text(field, value)?)?);
            }
            "organization" => {
                self.organization = Some(check_header_value(field, text(field, value)?)?);
            }
            "project" => self.project = Some(check_header_value(field, text(field, value)?)?),
            "timeout" => {
                self.timeout = Some(Duration::from_secs(number(field, value, 1, 86_400)?));
            }
            "timeout_ms" => {
                self.timeout = Some(Duration::from_millis(number(field, value, 1, 86_400_000)?));
            }
            "retry" => self.retry = Some(check_retry(value)?),
            "rate_limit" => self.rate_limit = Some(check_rate_limit(value)?),
            "headers" => {
                for (name, value) in object(field, value)? {
                    let place = format!("headers.{name}");
                    let (name, value) = check_header(name, text(&place, value)?)?;
                    if self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(&name)) {
                        return Err(problem(&place, "is given twice: names differ only in case"));
                    }
                    self.headers.push((name, Secret::new(value)));
                }
            }
            "models" => {
                for (alias, id) in object(field, value)? {
                    let place = format!("models.{alias}");
                    if alias.is_empty() {
                        return Err(problem("models", "has an empty alias"));
                    }
                    self.models.push((alias.clone(), check_model_id(&place, text(&place, id)?)?));
                }
            }
            _ => {
                let names = value.as_array().ok_or_else(|| wrong_type(field, "an array", value))?;
                for name in names {
                    let name = text(field, name)?;
                    if !FIELDS.contains(&name) {
                        return Err(problem(field, &format!("names `{name}`, which is no field")));
                    }
                    let name = if name == "timeout_ms" { "timeout" } else { name };
                    self.remove.push(name.to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The field that a wrong name probably means: common wrong names have a fixed answer.
fn meant(field: &str) -> Option<String> {
    let known = match field {
        "url" | "endpoint" | "host" => "base_url",
        "key" | "apikey" | "token" => "api_key",
        "model" => "default_model",
        "type" | "kind" => "provider",
        "org" => "organization",
        "timeout_seconds" => "timeout",
        "retries" => "retry",
        _ => return closest(field, FIELDS),
    };
    Some(known.to_owned())
}

fn problem(field: &str, problem: &str) -> Problem {
    (field.to_owned(), problem.to_owned())
}

fn field_error(connection: &str, (field, problem): Problem) -> ConfigError {
    ConfigError::Field { connection: connection.to_owned(), field, problem }
}

fn wrong_type(field: &str, wanted: &str, found: &Json) -> Problem {
    let found = match found {
        Json::Null => "nil",
        Json::Bool(_) => "Bool",
        Json::Number(number) if number.is_f64() => "Float",
        Json::Number(_) => "Int",
        Json::String(_) => "String",
        Json::Array(_) => "Array",
        Json::Object(_) => "an object",
    };
    problem(field, &format!("must be {wanted}, found {found}"))
}

fn text<'a>(field: &str, value: &'a Json) -> Result<&'a str, Problem> {
    value.as_str().ok_or_else(|| wrong_type(field, "String", value))
}

fn object<'a>(field: &str, value: &'a Json) -> Result<&'a Map<String, Json>, Problem> {
    value.as_object().ok_or_else(|| wrong_type(field, "an object", value))
}

fn number(field: &str, value: &Json, low: u64, high: u64) -> Result<u64, Problem> {
    if !(value.is_i64() || value.is_u64()) {
        return Err(wrong_type(field, "Int", value));
    }
    match value.as_u64() {
        Some(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(problem(field, &format!("must be {low} to {high}, found {value}"))),
    }
}

/// A trimmed key of visible ASCII; white space only counts as no key and gives "".
pub(crate) fn check_key(key: &str) -> Result<String, Problem> {
    let key = key.trim_matches(|c: char| c.is_ascii_whitespace());
    if key.len() > 4096 || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(problem("api_key", "must be at most 4096 visible ASCII characters"));
    }
    Ok(key.to_owned())
}

pub(crate) fn check_url(text: &str) -> Result<String, Problem> {
    url::check(text).map_err(|what| problem("base_url", what))?;
    Ok(text.to_owned())
}

pub(crate) fn check_model_id(field: &str, id: &str) -> Result<String, Problem> {
    if id.is_empty() || id.chars().count() > 256 || id.chars().any(char::is_control) {
        return Err(problem(field, "must be 1 to 256 characters without control characters"));
    }
    Ok(id.to_owned())
}

pub(crate) fn check_header_value(field: &str, value: &str) -> Result<String, Problem> {
    let visible = value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
    if value.is_empty() || value.len() > 8192 || !visible {
        return Err(problem(field, "must be 1 to 8192 visible ASCII characters"));
    }
    Ok(value.to_owned())
}

pub(crate) fn check_header(name: &str, value: &str) -> Result<(String, String), Problem> {
    let place = format!("headers.{name}");
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(problem(&place, "is no name of an HTTP header"));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(problem(&place, "is reserved for the runtime"));
    }
    let visible = value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
    if value.len() > 8192 || !visible {
        return Err(problem(&place, "must be at most 8192 visible ASCII characters"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn check_timeout(seconds: i64) -> Result<Duration, Problem> {
    number("timeout", &Json::from(seconds), 1, 86_400).map(Duration::from_secs)
}

fn known(block: &str, value: &Json, names: &[&str]) -> Result<(), Problem> {
    for name in object(block, value)?.keys() {
        if !names.contains(&name.as_str()) {
            let short = match name.as_str() {
                "rpm" => Some("requests_per_minute"),
                "tpm" => Some("tokens_per_minute"),
                "concurrency" => Some("concurrent_requests"),
                _ => None,
            };
            let hint = short
                .filter(|name| names.contains(name))
                .map(str::to_owned)
                .or_else(|| closest(name, names.iter().copied()))
                .map_or(String::new(), |close| format!("; did you mean `{close}`?"));
            return Err(problem(block, &format!("has no field `{name}`{hint}")));
        }
    }
    Ok(())
}

fn check_retry(value: &Json) -> Result<RetryConfig, Problem> {
    let names = ["max_attempts", "backoff", "initial_delay_ms", "max_delay_ms", "retry_on"];
    known("retry", value, &names)?;
    let part = |name: &str, low, high| match value.get(name) {
        None => Ok(None),
        Some(part) => number(&format!("retry.{name}"), part, low, high).map(Some),
    };
    let retry = RetryConfig {
        max_attempts: part("max_attempts", 1, 100)?,
        initial_delay_ms: part("initial_delay_ms", 0, 600_000)?,
        max_delay_ms: part("max_delay_ms", 0, 3_600_000)?,
        backoff: value
            .get("backoff")
            .map(|b| word("retry.backoff", b, &["none", "linear", "exponential"]))
            .transpose()?,
        retry_on: match value.get("retry_on") {
            None => None,
            Some(Json::Array(classes)) => Some(
                classes
                    .iter()
                    .map(|c| word("retry.retry_on", c, &["rate_limit", "server_error", "timeout"]))
                    .collect::<Result<_, _>>()?,
            ),
            Some(other) => return Err(wrong_type("retry.retry_on", "an array", other)),
        },
    };
    match (retry.initial_delay_ms, retry.max_delay_ms) {
        (Some(first), Some(most)) if most < first => {
            Err(problem("retry.max_delay_ms", "is below `initial_delay_ms`"))
        }
        _ => Ok(retry),
    }
}

fn word(field: &str, value: &Json, words: &[&str]) -> Result<String, Problem> {
    let found = text(field, value)?;
    if words.contains(&found) {
        return Ok(found.to_owned());
    }
    Err(problem(field, &format!("must be one of {}, found `{found}`", words.join(", "))))
}

fn check_rate_limit(value: &Json) -> Result<RateLimitConfig, Problem> {
    known(
        "rate_limit",
        value,
        &["requests_per_minute", "tokens_per_minute", "concurrent_requests"],
    )?;
    let part = |name: &str, high| match value.get(name) {
        None => Ok(None),
        Some(part) => number(&format!("rate_limit.{name}"), part, 1, high).map(Some),
    };
    Ok(RateLimitConfig {
        requests_per_minute: part("requests_per_minute", 1_000_000)?,
        tokens_per_minute: part("tokens_per_minute", 1_000_000_000)?,
        concurrent_requests: part("concurrent_requests", 10_000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let fields = serde_json::from_str(json).unwrap();
        Layer::from_json("c", &fields).unwrap_err().to_string()
    }

    #[test]
    fn each_problem_names_connection_field_and_cure() {
        for (json, expected) in [
            (r#"{"timeout": "60"}"#, "connection `c`: `timeout` must be Int, found String"),
            (r#"{"timeout": 0}"#, "connection `c`: `timeout` must be 1 to 86400, found 0"),
            (r#"{"timeout": 1.5}"#, "connection `c`: `timeout` must be Int, found Float"),
            (
                r#"{"timout": 3}"#,
                "connection `c`: a connection has no field `timout`; did you mean `timeout`?",
            ),
            (
                r#"{"provider": "opnai"}"#,
                "connection `c`: `provider` must be one of openai, anthropic, google, ollama, custom",
            ),
            (
                r#"{"headers": {"Host": "x"}}"#,
                "connection `c`: `headers.Host` is reserved for the runtime",
            ),
            (
                r#"{"headers": {"X": "a\nb"}}"#,
                "connection `c`: `headers.X` must be at most 8192 visible ASCII characters",
            ),
            (
                r#"{"retry": {"backoff": "exp"}}"#,
                "connection `c`: `retry.backoff` must be one of none, linear, exponential, found `exp`",
            ),
            (
                r#"{"retry": {"initial_delay_ms": 9, "max_delay_ms": 5}}"#,
                "connection `c`: `retry.max_delay_ms` is below `initial_delay_ms`",
            ),
            (
                r#"{"rate_limit": {"rpm": 5}}"#,
                "connection `c`: `rate_limit` has no field `rpm`; did you mean `requests_per_minute`?",
            ),
            (
                r#"{"url": "http://h"}"#,
                "connection `c`: a connection has no field `url`; did you mean `base_url`?",
            ),
            (
                r#"{"headers": {"X-A": "1", "x-a": "2"}}"#,
                "connection `c`: `headers.x-a` is given twice: names differ only in case",
            ),
            (
                r#"{"timeout_ms": 5, "remove": ["timeout"]}"#,
                "connection `c`: `timeout` is both given and removed",
            ),
            (
                r#"{"base_url": "ftp://h"}"#,
                "connection `c`: `base_url` must begin with http:// or https://",
            ),
            (
                r#"{"api_key": "k", "remove": ["api_key"]}"#,
                "connection `c`: `api_key` is both given and removed",
            ),
            (
                r#"{"timeout": 1, "timeout_ms": 5}"#,
                "connection `c`: `timeout` and `timeout_ms` exclude each other",
            ),
        ] {
            assert_eq!(refusal(json), expected);
        }
    }

    #[test]
    fn upper_layers_win_field_by_field() {
        let layer =
            |json: &str| Layer::from_json("c", &serde_json::from_str(json).unwrap()).unwrap();
        let low =
            layer(r#"{"timeout": 5, "headers": {"X-A": "1", "X-B": "2"}, "organization": "o"}"#);
        let high = layer(r#"{"headers": {"x-a": "9"}, "remove": ["organization"]}"#);
        let both = low.under(&high);
        assert_eq!(both.timeout, Some(Duration::from_secs(5)));
        assert_eq!(both.organization, None);
        let headers: Vec<_> = both.headers.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(headers, [("X-B", "2"), ("x-a", "9")]);
    }
}
