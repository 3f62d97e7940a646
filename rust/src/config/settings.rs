//! Settings of a connection as data that owns itself: for configuration files of hosts, and for what is in force.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConnectionConfig, RateLimitConfig, RetryConfig, merge};
use crate::secret::{Secret, is_secret_header};

/// What stands where a secret was written out; as a key it would be a mistake.
const MASK: &str = "***";

/// The owned twin of [`ConnectionConfig`]: fields of one connection, read from a configuration file, or those in force, from
/// [`Runtime::connection_settings`](crate::Runtime::connection_settings). [`Runtime::override_connection_settings`](crate::Runtime::override_connection_settings)
/// puts them in force.
///
/// What is secret, the key and headers with a name like `authorization`, is written as `***`, by `Debug` and by serde; `***` is no key when it is read.
///
/// ```
/// use concerto::ConnectionSettings;
///
/// let text = r#"{"base_url": "http://127.0.0.1:8080/v1", "api_key": "sk-test", "retry": {"max_attempts": 3}}"#;
/// let settings: ConnectionSettings = serde_json::from_str(text).unwrap();
/// assert_eq!(settings.api_key.as_ref().unwrap().expose(), "sk-test");
/// assert!(!format!("{settings:?}").contains("sk-test"));
/// let written = serde_json::to_string(&settings).unwrap();
/// assert!(written.contains(r#""api_key":"***""#));
/// let wrong = serde_json::from_str::<ConnectionSettings>(&written).unwrap_err();
/// assert!(wrong.to_string().contains("a secret that was masked"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionSettings {
    /// `openai`, `anthropic`, `google`, `ollama` or `custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Model id or alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    /// Seconds; not together with `timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Replaces the whole block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Replaces the whole block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitConfig>,
    /// Merged by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "without_secrets")]
    pub headers: BTreeMap<String, Secret>,
    /// OpenAI organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// OpenAI project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Merged by alias.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
    /// Names of fields to unset; none in settings that are in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What is wrong, by field, with settings in force that cannot be evaluated, such as a key in a variable that is not set. Never read from a file.
    #[serde(skip_deserializing, skip_serializing_if = "BTreeMap::is_empty")]
    pub problems: BTreeMap<String, String>,
}

impl ConnectionSettings {
    /// Those that a call would use, with what is wrong with them.
    pub(crate) fn in_force(
        used: merge::ConnectionSettings,
        problems: BTreeMap<String, String>,
    ) -> Self {
        let whole_seconds = used.timeout.subsec_nanos() == 0;
        let millis = u64::try_from(used.timeout.as_millis()).unwrap_or(u64::MAX);
        let mut settings = Self {
            provider: Some(used.kind.word().to_owned()),
            api_key: used.api_key,
            base_url: Some(used.base_url).filter(|url| !url.is_empty()),
            default_model: used.default_model,
            timeout: whole_seconds.then_some(used.timeout.as_secs()),
            timeout_ms: (!whole_seconds).then_some(millis),
            retry: used.retry,
            rate_limit: used.rate_limit,
            headers: used.headers.into_iter().collect(),
            organization: used.organization,
            project: used.project,
            models: used.models.into_iter().collect(),
            remove: Vec::new(),
            problems: BTreeMap::new(),
        };
        problems.keys().for_each(|field| settings.leave_out(field));
        Self { problems, ..settings }
    }

    /// What cannot be evaluated is not what a call would use, so neither is the default that stands in its place.
    fn leave_out(&mut self, field: &str) {
        match field {
            "provider" => self.provider = None,
            "api_key" => self.api_key = None,
            "base_url" => self.base_url = None,
            "default_model" => self.default_model = None,
            "timeout" => (self.timeout, self.timeout_ms) = (None, None),
            "retry" => self.retry = None,
            "rate_limit" => self.rate_limit = None,
            "organization" => self.organization = None,
            "project" => self.project = None,
            _ => {}
        }
    }

    /// Works with these settings as hosts give them.
    pub(crate) fn with_config<T>(&self, work: impl FnOnce(ConnectionConfig<'_>) -> T) -> T {
        fn text(field: Option<&String>) -> &str {
            field.map_or("", String::as_str)
        }
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let models: Vec<_> =
            self.models.iter().map(|(alias, id)| (alias.as_str(), id.as_str())).collect();
        let remove: Vec<_> = self.remove.iter().map(String::as_str).collect();
        work(ConnectionConfig {
            provider: text(self.provider.as_ref()),
            api_key: self.api_key.as_ref().map_or("", Secret::expose),
            base_url: text(self.base_url.as_ref()),
            default_model: text(self.default_model.as_ref()),
            organization: text(self.organization.as_ref()),
            project: text(self.project.as_ref()),
            timeout: self.timeout,
            timeout_ms: self.timeout_ms,
            retry: self.retry.clone(),
            rate_limit: self.rate_limit.clone(),
            headers: &headers,
            models: &models,
            remove: &remove,
        })
    }
}

impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSettings")
            .field("provider", &self.provider)
            .field("api_key", &self.api_key)
            .field("base_url", &self.base_url)
            .field("default_model", &self.default_model)
            .field("timeout", &self.timeout)
            .field("timeout_ms", &self.timeout_ms)
            .field("retry", &self.retry)
            .field("rate_limit", &self.rate_limit)
            .field("headers", &self.headers.keys())
            .field("organization", &self.organization)
            .field("project", &self.project)
            .field("models", &self.models)
            .field("remove", &self.remove)
            .field("problems", &self.problems)
            .finish()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == MASK {
            return Err(serde::de::Error::custom(
                "`***` stands for a secret that was masked: write the secret itself, or leave the field out",
            ));
        }
        Ok(Self::new(text))
    }
}

/// Values of headers as they are, but for those that are secret by their name.
fn without_secrets<S: Serializer>(
    headers: &BTreeMap<String, Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        headers.iter().map(|(name, value)| {
            (name, if is_secret_header(name) { MASK } else { value.expose() })
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Layer;

    #[test]
    fn each_field_of_a_file_arrives_in_the_layer() {
        let file = json!({
            "provider": "custom", "api_key": "sk-canary-1", "base_url": "http://127.0.0.1:9/v1", "default_model": "m",
            "timeout_ms": 1500, "retry": {"max_attempts": 3}, "rate_limit": {"concurrent_requests": 2},
            "headers": {"Authorization": "Bearer canary", "X-Team": "ads"}, "organization": "o", "project": "p",
            "models": {"fast": "m-small"}, "remove": [],
        });
        let settings: ConnectionSettings = serde_json::from_value(file.clone()).unwrap();
        let layer = settings.with_config(|config| Layer::from_config("c", &config)).unwrap();
        let expected = Layer::from_json("c", file.as_object().unwrap()).unwrap();
        assert_eq!(format!("{layer:?}"), format!("{expected:?}"));
        assert_eq!(layer.api_key.unwrap().expose(), "sk-canary-1");
        let removing: ConnectionSettings =
            serde_json::from_value(json!({"remove": ["retry"]})).unwrap();
        let layer = removing.with_config(|config| Layer::from_config("c", &config)).unwrap();
        assert_eq!(layer.remove, ["retry"]);
    }

    #[test]
    fn secrets_are_not_written_and_masks_are_not_read() {
        let settings: ConnectionSettings = serde_json::from_value(json!({
            "api_key": "sk-canary-1", "headers": {"X-Team": "ads", "Authorization": "Bearer canary"},
        }))
        .unwrap();
        let written = serde_json::to_value(&settings).unwrap();
        let headers = json!({"Authorization": "***", "X-Team": "ads"});
        assert_eq!(written, json!({"api_key": "***", "headers": headers}));
        assert!(!format!("{settings:?}").contains("canary"));
        for wrong in [json!({"api_key": "***"}), json!({"headers": {"Authorization": "***"}})] {
            let error = serde_json::from_value::<ConnectionSettings>(wrong).unwrap_err();
            assert!(error.to_string().contains("a secret that was masked"), "{error}");
        }
    }

    #[test]
    fn fields_that_connections_do_not_have_are_refused() {
        for wrong in [json!({"timout": 3}), json!({"problems": {}}), json!({"timeout": "3"})] {
            serde_json::from_value::<ConnectionSettings>(wrong).unwrap_err();
        }
    }
}
