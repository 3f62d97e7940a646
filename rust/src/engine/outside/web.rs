//! `std::http`: what a program sends and gets. The policy of the host is kept at each redirect, too.

use std::time::Duration;

use super::Answer;
use crate::engine::Shared;
use crate::llm::{Fetch, FetchFailure};
use crate::value::{Key, MapValue, Text, Value, builtin, to_json};
use crate::vm::PanicKind;

/// The hosts that a program may reach with `std::http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetAccess {
    /// None at all.
    pub offline: bool,
    /// Names, `name:port`, or `*.name` for all below it; `None` allows all.
    pub hosts: Option<Vec<String>>,
}

impl NetAccess {
    /// Whether a host may be reached; `port` is the one that is used.
    pub(crate) fn allows(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let with_port = format!("{host}:{port}");
        let fits = |pattern: &String| {
            let pattern = pattern.to_ascii_lowercase();
            pattern == host
                || pattern == with_port
                || pattern.strip_prefix('*').is_some_and(|end| {
                    end.starts_with('.') && (host.ends_with(end) || with_port.ends_with(end))
                })
        };
        !self.offline && self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(fits))
    }
}

/// Answers `http.request`: method, URL, body, headers, milliseconds.
pub(super) async fn request(shared: &Shared, args: &[Value]) -> Answer {
    let [Value::Str(method), Value::Str(url), body, Value::Map(headers), Value::Int(ms)] = args
    else {
        return Err((PanicKind::TypeMismatch, "wrong arguments of `http.request`".to_owned()));
    };
    let Some(timeout) = u64::try_from(*ms).ok().filter(|ms| *ms > 0) else {
        let message = format!("`timeout_ms` must be at least 1, found {ms}");
        return Err((PanicKind::InvalidArgument, message));
    };
    let fetch = Fetch {
        method: method.to_uppercase(),
        url: url.to_string(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_value().to_string(), value.to_string()))
            .collect(),
        body: encoded(body),
        timeout: Duration::from_millis(timeout),
        most: shared.http_body_limit,
    };
    let net = shared.net.clone();
    let allowed = move |host: &str, port: u16| net.allows(host, port);
    Ok(match shared.client.fetch(fetch, allowed).await {
        Ok(answer) => {
            let headers: MapValue = answer
                .headers
                .into_iter()
                .map(|(name, value)| (Key::Str(Text::new(name)), value.into()))
                .collect();
            let headers = Value::Map(headers.into());
            Value::ok(builtin::http_response(answer.status.into(), &answer.body, headers))
        }
        Err(FetchFailure { kind, message }) => Value::err(builtin::http_error(&message, kind, url)),
    })
}

/// What is sent, and its type: nothing for `nil`, text as it is, all else as JSON.
fn encoded(body: &Value) -> Option<(&'static str, Vec<u8>)> {
    match body {
        Value::Nil | Value::None => None,
        Value::Str(text) => Some(("text/plain; charset=utf-8", text.as_bytes().to_vec())),
        other => Some(("application/json", to_json(other).to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_allowed_by_name_port_and_domain() {
        let hosts = ["api.example.com", "localhost:8080", "*.test"].map(str::to_owned).to_vec();
        let net = NetAccess { offline: false, hosts: Some(hosts) };
        for (host, port, allowed) in [
            ("api.example.com", 443, true),
            ("API.example.com", 80, true),
            ("example.com", 443, false),
            ("localhost", 8080, true),
            ("localhost", 80, false),
            ("a.b.test", 443, true),
            ("test", 443, false),
            ("nottest", 443, false),
        ] {
            assert_eq!(net.allows(host, port), allowed, "{host}:{port}");
        }
        assert!(!NetAccess { offline: true, hosts: None }.allows("a", 1));
        assert!(NetAccess::default().allows("a", 1));
    }
}
