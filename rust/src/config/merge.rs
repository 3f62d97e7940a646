//! The settings that one call uses.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::layer::{self, Layer};
use super::{ProviderKind, RateLimitConfig, RetryConfig, url};
use crate::secret::{Secret, is_secret_header};

/// Effective settings of one connection, as a call uses them; hosts see [`settings::ConnectionSettings`](super::settings::ConnectionSettings).
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Its name in the program.
    pub name: String,
    /// Which protocol it speaks.
    pub kind: ProviderKind,
    /// `None` sends no authentication header.
    pub api_key: Option<Secret>,
    /// With its version segment, without a trailing slash.
    pub base_url: String,
    /// Model id or alias.
    pub default_model: Option<String>,
    /// Of one attempt.
    pub timeout: Duration,
    /// As written; `None` makes one attempt.
    pub retry: Option<RetryConfig>,
    /// As written; `None` is no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// Names as written.
    pub headers: Vec<(String, Secret)>,
    /// OpenAI organization.
    pub organization: Option<String>,
    /// OpenAI project.
    pub project: Option<String>,
    /// Alias to id.
    pub models: IndexMap<String, String>,
    /// Counts the overrides before these settings: those with a higher number are newer.
    pub epoch: u64,
    origins: Vec<(&'static str, &'static str)>,
}

/// Lays the layers over one another, weakest first, and fills in the defaults of the kind.
///
/// # Errors
/// Name of the field and what is wrong: no base URL or no key where the kind needs one.
pub fn merge(
    name: &str,
    declared_kind: ProviderKind,
    layers: &[(&'static str, &Layer)],
) -> Result<ConnectionSettings, (String, String)> {
    let (settings, problem) = merge_for_view(name, declared_kind, layers);
    problem.map_or(Ok(settings), Err)
}

/// The same for looking at: with what is wrong beside the settings, if anything is.
#[must_use]
pub fn merge_for_view(
    name: &str,
    declared_kind: ProviderKind,
    layers: &[(&'static str, &Layer)],
) -> (ConnectionSettings, Option<(String, String)>) {
    let whole = layers.iter().fold(Layer::default(), |low, (_, high)| low.under(high));
    let kind = whole.provider.unwrap_or(declared_kind);
    let mut problem = None;
    let base_url = whole.base_url.as_deref().or_else(|| url::default_url(kind));
    if base_url.is_none() {
        problem = Some(("base_url".to_owned(), "is missing: this kind has no default".to_owned()));
    }
    let api_key = whole.api_key.filter(|key| !key.expose().is_empty());
    let has_auth_header = whole.headers.iter().any(|(name, _)| {
        ["authorization", "x-api-key", "x-goog-api-key", "api-key"]
            .contains(&name.to_ascii_lowercase().as_str())
    });
    let key_removed = whole.remove.iter().any(|field| field == "api_key");
    if api_key.is_none() && kind.needs_key() && !has_auth_header && !key_removed {
        problem = problem.or_else(|| Some(("api_key".to_owned(), "is empty".to_owned())));
    }
    let settings = ConnectionSettings {
        name: name.to_owned(),
        kind,
        api_key,
        base_url: base_url.map_or_else(String::new, |url| url::normalised(kind, url)),
        default_model: whole.default_model,
        timeout: whole.timeout.unwrap_or(Duration::from_secs(30)),
        retry: whole.retry,
        rate_limit: whole.rate_limit,
        headers: whole.headers,
        organization: whole.organization,
        project: whole.project,
        models: whole.models.into_iter().collect(),
        epoch: 0,
        origins: origins(layers),
    };
    (settings, problem)
}

/// The words before a key in an authentication header are no secrets.
fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "digest", "apikey", "token"].contains(&word.to_ascii_lowercase().as_str())
}

/// The layer that each field comes from; one that no layer has is `default`.
fn origins(layers: &[(&'static str, &Layer)]) -> Vec<(&'static str, &'static str)> {
    let has = |layer: &Layer, field: &str| match field {
        _ if layer.remove.iter().any(|removed| removed == field) => true,
        "headers" => !layer.headers.is_empty(),
        "models" => !layer.models.is_empty(),
        "provider" => layer.provider.is_some(),
        "base_url" => layer.base_url.is_some(),
        other => layer.covers(other),
    };
    layer::FIELDS
        .into_iter()
        .filter(|field| *field != "timeout_ms")
        .map(|field| {
            let origin = layers.iter().rev().find(|(_, layer)| has(layer, field));
            (field, origin.map_or("default", |(origin, _)| origin))
        })
        .collect()
}

impl ConnectionSettings {
    /// Every secret in these settings, for scrubbing.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let headers = self.headers.iter().filter(|(name, _)| is_secret_header(name));
        // A server may quote the key of `Bearer KEY` alone.
        let parts = headers.flat_map(|(_, value)| {
            std::iter::once(value.clone()).chain(value.expose().split_whitespace().map(Secret::new))
        });
        self.api_key.iter().cloned().chain(parts).filter(|s| !is_scheme(s.expose())).collect()
    }

    /// The provider's id for a model id or alias: aliases are followed until one is none or maps to itself.
    ///
    /// # Errors
    /// The chain, if it is a circle.
    pub fn resolve_model(&self, id: &str) -> Result<String, String> {
        let mut chain = vec![id];
        while let Some(next) = self.models.get(*chain.last().unwrap_or(&id)) {
            if chain.last() == Some(&next.as_str()) {
                break;
            }
            if chain.contains(&next.as_str()) {
                chain.push(next);
                return Err(chain.join(" -> "));
            }
            chain.push(next);
        }
        Ok((*chain.last().unwrap_or(&id)).to_owned())
    }

    /// Every field with its origin, secrets masked.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let value = |field: &str| match field {
            "api_key" => self.api_key.as_ref().map_or(Json::Null, |_| json!("***")),
            "base_url" => json!(self.base_url),
            "default_model" => json!(self.default_model),
            "timeout" => json!(self.timeout.as_secs_f64()),
            "retry" => json!(self.retry),
            "rate_limit" => json!(self.rate_limit),
            "headers" => self
                .headers
                .iter()
                .map(|(name, value)| {
                    let shown = if is_secret_header(name) { "***" } else { value.expose() };
                    (name.clone(), json!(shown))
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            "organization" => json!(self.organization),
            "project" => json!(self.project),
            "models" => json!(self.models),
            _ => json!(self.kind),
        };
        let fields = self.origins.iter().map(|(field, origin)| {
            ((*field).to_owned(), json!({ "value": value(field), "origin": origin }))
        });
        Json::Object(fields.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(json: &str) -> Layer {
        Layer::from_json("c", &serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn defaults_declaration_and_overrides_merge_in_order() {
        let program = layer(r#"{"api_key": "k-program", "timeout": 5}"#);
        let host = layer(r#"{"base_url": "http://127.0.0.1:9", "api_key": "k-host-1"}"#);
        let merged =
            merge("c", ProviderKind::OpenAi, &[("program", &program), ("override", &host)])
                .unwrap();
        assert_eq!(merged.base_url, "http://127.0.0.1:9/v1");
        assert_eq!(merged.api_key.as_ref().unwrap().expose(), "k-host-1");
        let shown = merged.to_json();
        assert_eq!(shown["api_key"], json!({"value": "***", "origin": "override"}));
        assert_eq!(shown["timeout"], json!({"value": 5.0, "origin": "program"}));
        assert_eq!(shown["retry"]["origin"], "default");
        assert!(!shown.to_string().contains("k-host"));
    }

    #[test]
    fn another_provider_brings_its_own_url() {
        let program = layer(r#"{"base_url": "https://a.example/v1", "api_key": "k-program"}"#);
        let host = layer(r#"{"provider": "ollama"}"#);
        let merged =
            merge("c", ProviderKind::OpenAi, &[("program", &program), ("override", &host)])
                .unwrap();
        assert_eq!(merged.base_url, "http://localhost:11434/v1");
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = merge("c", ProviderKind::OpenAi, &[]).unwrap_err();
        assert_eq!(error.0, "api_key");
        let header = layer(r#"{"headers": {"api-key": "k-azure"}}"#);
        assert!(merge("c", ProviderKind::OpenAi, &[("program", &header)]).is_ok());
    }

    #[test]
    fn aliases_are_followed_and_circles_reported() {
        let program = layer(
            r#"{"models": {"smart": "gpt-4o", "gpt-4o": "gpt-4o-mini", "x": "x", "a": "b", "b": "a"}}"#,
        );
        let merged = merge("c", ProviderKind::Ollama, &[("program", &program)]).unwrap();
        assert_eq!(merged.resolve_model("smart").unwrap(), "gpt-4o-mini");
        assert_eq!(merged.resolve_model("x").unwrap(), "x");
        assert_eq!(merged.resolve_model("other").unwrap(), "other");
        assert_eq!(merged.resolve_model("a").unwrap_err(), "a -> b -> a");
    }
}
