//! Base URLs: what is legal, and how a request's URL comes from one.

use super::ProviderKind;
use crate::models_table;

/// The model of a connection that names none; a release can move it.
#[must_use]
pub fn default_model(kind: ProviderKind) -> Option<&'static str> {
    models_table::default_model(kind.word())
}

/// The base URL of a kind. The custom kind has none.
pub(super) const fn default_url(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::OpenAi => Some("https://api.openai.com/v1"),
        ProviderKind::Anthropic => Some("https://api.anthropic.com/v1"),
        ProviderKind::Google => Some("https://generativelanguage.googleapis.com/v1beta"),
        ProviderKind::Ollama => Some("http://localhost:11434/v1"),
        ProviderKind::Custom => None,
    }
}

/// Says what is wrong with a base URL.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text);
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err("must begin with http:// or https://");
    }
    match url {
        Err(_) => Err("must be a URL"),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Err("must name a host"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("must not hold a user name or password")
        }
        Ok(url) if url.fragment().is_some() => Err("must not have a fragment"),
        Ok(_) => Ok(()),
    }
}

/// The base URL with the version segment that the kind needs and without a trailing slash; a query is kept.
#[must_use]
pub fn normalised(kind: ProviderKind, text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
    let path = path.trim_end_matches('/');
    let after_scheme = path.split_once("://").map_or(path, |(_, rest)| rest);
    let mut url = path.to_owned();
    if !after_scheme.contains('/') {
        url.push_str(if kind == ProviderKind::Google { "/v1beta" } else { "/v1" });
    } else if kind == ProviderKind::Anthropic && !path.ends_with("/v1") {
        url.push_str("/v1");
    }
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// The URL of an operation below a base URL.
#[must_use]
pub(crate) fn join(base: &str, operation: &str) -> String {
    match base.split_once('?') {
        Some((path, query)) => format!("{path}/{operation}?{query}"),
        None => format!("{base}/{operation}"),
    }
}

/// The host of a URL.
#[must_use]
pub(crate) fn host(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Whether a base URL, which was checked, names this host. Cheaper than reading the URL: requests ask.
#[must_use]
pub(crate) fn names_host(url: &str, host: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', ':']).next().is_some_and(|found| found.eq_ignore_ascii_case(host))
}

/// Whether a URL points at this machine.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    host(url).is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_urls_follow_the_base() {
        use ProviderKind as K;
        for (kind, base, expected) in [
            (
                K::OpenAi,
                "http://localhost:8080/mock-api",
                "http://localhost:8080/mock-api/chat/completions",
            ),
            (K::OpenAi, "http://127.0.0.1:9000", "http://127.0.0.1:9000/v1/chat/completions"),
            (K::OpenAi, "http://127.0.0.1:9000/", "http://127.0.0.1:9000/v1/chat/completions"),
            (K::Ollama, "http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
            (
                K::Custom,
                "https://x.example/api?api-version=7",
                "https://x.example/api/chat/completions?api-version=7",
            ),
        ] {
            assert_eq!(join(&normalised(kind, base), "chat/completions"), expected);
        }
        assert_eq!(normalised(K::Anthropic, "https://p.example/x"), "https://p.example/x/v1");
        assert_eq!(normalised(K::Google, "https://g.example"), "https://g.example/v1beta");
    }

    #[test]
    fn only_plain_http_urls_are_legal() {
        for bad in ["", "ftp://h", "http://", "https://u:p@h/", "https://h/#f", "localhost:80"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(check("https://h.example/x?q=1"), Ok(()));
    }

    #[test]
    fn the_host_of_a_base_url_is_told_from_others() {
        for (url, expected) in [
            ("https://api.openai.com/v1", true),
            ("https://API.openai.com", true),
            ("http://api.openai.com:8080/v1?x", true),
            ("https://api.openai.com.example/v1", false),
            ("https://example.com/api.openai.com", false),
        ] {
            assert_eq!(names_host(url, "api.openai.com"), expected, "{url}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (url, expected) in [
            ("http://localhost:1/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]:80/", true),
            ("http://10.0.0.1/", false),
            ("https://localhost.example/", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
