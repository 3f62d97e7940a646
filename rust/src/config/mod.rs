//! Settings of connections: what a host may override, how layers merge, what is in range.
//!
//! Weakest first: defaults, the program's declaration, the command line, the host. [`merge`] is the one function that lays them over one
//! another. Pure: nothing here reads the environment or the clock.

mod layer;
mod merge;
mod overrides;
pub(crate) mod settings;
mod url;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use layer::Layer;
pub(crate) use layer::{
    check_header, check_header_value, check_key, check_model_id, check_timeout, check_url,
};
pub use merge::{ConnectionSettings, merge, merge_for_view};
pub use overrides::Overrides;
pub use url::{default_model, is_loopback};
pub(crate) use url::{host as url_host, join as join_url, names_host};

/// Which provider's protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProviderKind {
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Google,
    /// Ollama.
    Ollama,
    /// Any server that is compatible with OpenAI's chat completions.
    Custom,
}

impl ProviderKind {
    /// The word for it in programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
            Self::Ollama => "ollama",
            Self::Custom => "custom",
        }
    }

    /// Whether calls without a key are pointless.
    #[must_use]
    pub fn needs_key(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Google)
    }
}

impl FromStr for ProviderKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::OpenAi, Self::Anthropic, Self::Google, Self::Ollama, Self::Custom]
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(())
    }
}

/// When and how often a failed request is sent again; `None` takes the default of the language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// `none`, `linear` or `exponential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// 0 to 600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay_ms: Option<u64>,
    /// 1 to 100, the first attempt included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// 0 to 3,600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// `rate_limit`, `server_error`, `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<String>>,
}

/// Limits of a connection; `None` means no limit of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<u64>,
    /// 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// 1 to 1,000,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
}

/// US dollars per million tokens of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Prompt from the provider's cache; `None` costs as `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<f64>,
    /// Prompt.
    pub input: f64,
    /// Answer.
    pub output: f64,
}

impl PriceConfig {
    /// Prices are finite and not negative.
    ///
    /// # Errors
    /// [`ConfigError::Price`] names the one that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let prices =
            [("input", Some(self.input)), ("output", Some(self.output)), ("cached", self.cached)];
        for (name, price) in prices {
            if price.is_some_and(|price| !(0.0..=1e6).contains(&price)) {
                return Err(ConfigError::Price { name });
            }
        }
        Ok(())
    }
}

/// Fields of one connection to replace. `""`, `None` and `&[]` leave a field as the program declares it.
///
/// ```
/// use concerto::ConnectionConfig;
/// let config = ConnectionConfig { api_key: "sk-test", ..Default::default() };
/// assert!(!format!("{config:?}").contains("sk-test"));
/// ```
#[derive(Clone, Default)]
pub struct ConnectionConfig<'a> {
    /// `openai`, `anthropic`, `google`, `ollama` or `custom`.
    pub provider: &'a str,
    /// Key.
    pub api_key: &'a str,
    /// Endpoint.
    pub base_url: &'a str,
    /// Model id or alias.
    pub default_model: &'a str,
    /// OpenAI organization.
    pub organization: &'a str,
    /// OpenAI project.
    pub project: &'a str,
    /// Seconds; not together with `timeout_ms`.
    pub timeout: Option<u64>,
    /// Milliseconds.
    pub timeout_ms: Option<u64>,
    /// Replaces the whole block.
    pub retry: Option<RetryConfig>,
    /// Replaces the whole block.
    pub rate_limit: Option<RateLimitConfig>,
    /// Merged by name.
    pub headers: &'a [(&'a str, &'a str)],
    /// Merged by alias.
    pub models: &'a [(&'a str, &'a str)],
    /// Names of fields to unset.
    pub remove: &'a [&'a str],
}

impl std::fmt::Debug for ConnectionConfig<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ConnectionConfig")
            .field("provider", &self.provider)
            .field("api_key", &if self.api_key.is_empty() { "" } else { "***" })
            .field("base_url", &self.base_url)
            .field("default_model", &self.default_model)
            .field("timeout", &self.timeout)
            .field("timeout_ms", &self.timeout_ms)
            .field("retry", &self.retry)
            .field("rate_limit", &self.rate_limit)
            .field("headers", &names)
            .field("models", &self.models)
            .field("remove", &self.remove)
            .finish_non_exhaustive()
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The program declares no such connection.
    #[error("the program declares no connection `{name}`{}", known(.close.as_deref(), .declared))]
    UnknownConnection {
        /// What was asked for.
        name: String,
        /// A declared name that is close.
        close: Option<String>,
        /// All declared names.
        declared: Vec<String>,
    },
    /// A field that connections do not have.
    #[error("connection `{connection}`: a connection has no field `{field}`{}", known(.close.as_deref(), &[]))]
    UnknownField {
        /// Which connection.
        connection: String,
        /// The field.
        field: String,
        /// A field that is close.
        close: Option<String>,
    },
    /// A field of a wrong type or out of range.
    #[error("connection `{connection}`: `{field}` {problem}")]
    Field {
        /// Which connection.
        connection: String,
        /// The field.
        field: String,
        /// Such as "must be 1 to 86400".
        problem: String,
    },
    /// The program declares no such tool or method.
    #[error("the program declares no tool or method `{name}`{}", known(.close.as_deref(), .declared))]
    UnknownTool {
        /// What was asked for.
        name: String,
        /// A declared name that is close.
        close: Option<String>,
        /// All declared names.
        declared: Vec<String>,
    },
    /// An option of a runtime that cannot be.
    #[error("the option `{option}` {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Such as "must be at least 1".
        problem: String,
    },
    /// An option that runtimes do not have.
    #[error("a runtime has no option `{option}`{}", known(.close.as_deref(), &[]))]
    UnknownOption {
        /// What was given.
        option: String,
        /// An option that is close.
        close: Option<String>,
    },
    /// A price that cannot be.
    #[error("the price `{name}` must be 0 to 1000000 US dollars per million tokens")]
    Price {
        /// `input`, `output` or `cached`.
        name: &'static str,
    },
}

fn known(close: Option<&str>, declared: &[String]) -> String {
    match (close, declared) {
        (Some(close), _) => format!("; did you mean `{close}`?"),
        (None, []) => String::new(),
        (None, declared) => format!("; it declares: {}", declared.join(", ")),
    }
}

/// A name that the writer probably meant: Damerau-Levenshtein distance at most 2, at most 1 for names under 5 letters.
#[must_use]
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = if name.chars().count() < 5 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Optimal string alignment distance.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped && a != b {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found() {
        assert_eq!(closest("opneai", ["openai", "other"]), Some("openai".to_owned()));
        assert_eq!(closest("timout", ["timeout"]), Some("timeout".to_owned()));
        assert_eq!(closest("abc", ["xyz"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
