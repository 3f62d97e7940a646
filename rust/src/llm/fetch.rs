//! Plain HTTP for programs (`std::http`): one request, with redirects, a limit of time and one of size. Nothing of models is known here.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};

use super::pools::Pools;
use super::transport;
use crate::turns::look_around;

/// More redirects than this are an error.
const MOST_REDIRECTS: usize = 10;

/// One request of a program.
#[derive(Debug)]
pub struct Fetch {
    /// In upper case.
    pub method: String,
    /// As the program wrote it.
    pub url: String,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// Content type and content.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// For everything, redirects and body included.
    pub timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub most: usize,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case; repeated ones joined with `, `.
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: String,
}

/// Why there is no usable answer: a `kind` of `HttpError` and its message.
#[derive(Debug)]
pub struct FetchFailure {
    /// Which.
    pub kind: &'static str,
    /// One line.
    pub message: String,
}

fn fail<T>(kind: &'static str, message: impl Into<String>) -> Result<T, FetchFailure> {
    Err(FetchFailure { kind, message: message.into() })
}

/// A host that the policy forbids, met on a redirect.
#[derive(Debug, thiserror::Error)]
#[error("the program may not reach `{0}`")]
struct Denied(String);

type Allowed = Arc<dyn Fn(&str, u16) -> bool + Send + Sync>;

/// Sends a request; `allowed` judges host and port of each step.
pub(super) async fn fetch(
    pools: &Pools,
    fetch: Fetch,
    allowed: Allowed,
) -> Result<Fetched, FetchFailure> {
    let (url, host) = target(&fetch.url)?;
    if !allowed(&host, url.port_or_known_default().unwrap_or_default()) {
        return fail("denied", Denied(host).to_string());
    }
    let Ok(method) = reqwest::Method::from_bytes(fetch.method.as_bytes()) else {
        return fail("protocol", format!("`{}` is no HTTP method", fetch.method.escape_debug()));
    };
    let (limit, most) = (fetch.timeout, fetch.most);
    let client = pools.plain(&fetch.url, || redirects(allowed));
    let client = client.or_else(|message| fail("protocol", message))?;
    let mut request = client.request(method, url);
    let mut headers = headers(&fetch.headers)?;
    if let Some((kind, content)) = fetch.body {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        request = request.body(content);
    }
    let work = async {
        look_around().await;
        let response = request.headers(headers).send().await;
        read(response.map_err(|error| failure(&error, &host))?, most, &host).await
    };
    let late = || format!("no answer from `{host}` within {} ms", limit.as_millis());
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| fail("timeout", late()))
}

fn target(written: &str) -> Result<(reqwest::Url, String), FetchFailure> {
    let wrong = |why: &str| fail("url", format!("`{}` {why}", written.escape_debug()));
    let Ok(url) = reqwest::Url::parse(written) else { return wrong("is no URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("is no URL of HTTP");
    }
    match url.host_str().map(str::to_owned) {
        Some(host) => Ok((url, host)),
        None => wrong("names no host"),
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, FetchFailure> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(field), Ok(mut value)) = pair else {
            let message = format!("the header `{}` is not legal", name.escape_debug());
            return fail("protocol", message);
        };
        value.set_sensitive(true);
        headers.append(field, value);
    }
    Ok(headers)
}

/// Follows up to ten; the HTTP library drops `Authorization` on the way to another origin.
fn redirects(allowed: Allowed) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| -> Action {
        if attempt.previous().len() > MOST_REDIRECTS {
            return attempt.error("more than 10 redirects");
        }
        let url = attempt.url();
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        if allowed(&host, port) { attempt.follow() } else { attempt.error(Denied(host)) }
    })
}

async fn read(
    mut response: reqwest::Response,
    most: usize,
    host: &str,
) -> Result<Fetched, FetchFailure> {
    let status = response.status().as_u16();
    let headers = joined(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, host))? {
        if body.len() + chunk.len() > most {
            return fail(
                "too_large",
                format!("the answer of `{host}` is larger than {most} bytes"),
            );
        }
        body.extend_from_slice(&chunk);
    }
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    Ok(Fetched { status, body: decoded(kind.map_or("", |(_, kind)| kind), &body), headers })
}

fn joined(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
            (name.as_str().to_owned(), texts.collect::<Vec<_>>().join(", "))
        })
        .collect()
}

/// By the charset of the content type; UTF-8 where there is none or an unknown one.
fn decoded(content_type: &str, body: &[u8]) -> String {
    let charset = content_type.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    let encoding = charset.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    encoding.unwrap_or(encoding_rs::UTF_8).decode(body).0.into_owned()
}

fn failure(error: &reqwest::Error, host: &str) -> FetchFailure {
    let causes = transport::causes(error);
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(denied) = inner.downcast_ref::<Denied>() {
            return FetchFailure { kind: "denied", message: denied.to_string() };
        }
        source = inner.source();
    }
    let is_tls = causes.contains("certificate") || causes.contains("TLS") || causes.contains("tls");
    let (kind, message) = if error.is_redirect() {
        ("redirect", format!("`{host}` redirects more than {MOST_REDIRECTS} times"))
    } else if error.is_timeout() {
        ("timeout", format!("no answer from `{host}` in time"))
    } else if is_tls {
        ("tls", format!("no secure connection to `{host}`: {causes}"))
    } else if error.is_connect() {
        ("connect", format!("cannot connect to `{host}`: {causes}"))
    } else {
        ("protocol", format!("the answer of `{host}` cannot be read: {causes}"))
    };
    FetchFailure { kind, message }
}
