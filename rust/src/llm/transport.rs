//! Requests and answers of the HTTP library: TLS, proxies, time limits of one attempt. `pools.rs` keeps its clients; nobody else uses it.

use std::pin::pin;
use std::sync::Arc;
#[cfg(feature = "rustls")]
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use reqwest::Method;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use tokio::time::Instant;

use super::pools::Pool;
use super::tape::{Recording, Tape};
use crate::clock::Clock;
use crate::config::{ConnectionSettings, is_loopback};
use crate::providers::{Failure, FailureKind, RetryClass};
use crate::wire::{self, HttpRequest, HttpResponse, find};

/// The longest body that is read, decoded.
const MAX_BODY: usize = 64 << 20;
/// Setting up a connection takes at most this long.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections close after this.
const IDLE: Duration = Duration::from_secs(90);
/// Idle connections that are kept: with fewer than calls at once, some would connect anew for each call.
const MAX_IDLE: usize = 1024;
/// How much later than the connector's clock ours runs out.
const GRACE: Duration = Duration::from_millis(50);
/// The longest error body that is read; the rest would not be shown.
const MAX_ERROR: usize = 64 << 10;

/// What a host says about the way to the providers.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// PEM file with trusted certificates besides Mozilla's.
    pub ca_bundle: Option<String>,
    /// URL of a proxy, or "none"; `None` takes the environment's.
    pub proxy: Option<String>,
    /// Where traffic is recorded, or played from.
    pub tape: Option<Tape>,
}

/// When an attempt or a wait is over, and how long it may take in all.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: Clock,
    at: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(clock: &Clock, limit: Duration) -> Self {
        Self::from(clock, clock.now(), limit)
    }

    pub(super) fn from(clock: &Clock, start: Instant, limit: Duration) -> Self {
        Self { clock: clock.clone(), at: start + limit, limit }
    }

    /// What is left.
    pub(super) fn room(&self) -> Duration {
        self.at.saturating_duration_since(self.clock.now())
    }

    /// Does work in time; `None` if it has not ended by then.
    async fn limits<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.clock.until(self.at, work).await
    }
}

/// Work within the time of a whole call.
pub(super) async fn within<T>(
    call: Option<&Deadline>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    in_phase("call", "the call did not end", call, work).await
}

/// Waiting for the rate limits within the time of a whole call.
pub(super) async fn queued_within<T>(
    call: Option<&Deadline>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    in_phase("queue", "the rate limits let the call not start", call, work).await
}

/// The time of a call does not come back, so what it ends is not retried (C-60).
async fn in_phase<T>(
    phase: &'static str,
    what: &str,
    call: Option<&Deadline>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(deadline) = call else { return work.await };
    let over = || Failure { class: None, ..timed_out(phase, what, deadline.limit) };
    deadline.limits(work).await.unwrap_or_else(|| Err(over()))
}

impl Pool {
    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        settings: &ConnectionSettings,
        request: &HttpRequest,
        stream: bool,
        deadline: &Deadline,
    ) -> Result<reqwest::Response, Failure> {
        if let Some(Tape::Play(played)) = &self.tape {
            let Some(answer) = played.answer(request, &settings.secrets()) else {
                let what = "has no further answer to this request";
                return Err(wrong("replay", &format!("{what} (connection `{}`)", settings.name)));
            };
            return response(answer.status, &answer.headers, answer.body);
        }
        let mut ready = reqwest::Request::new(Method::POST, self.url(&request.url)?);
        *ready.headers_mut() = headers(settings, request, stream)?;
        *ready.body_mut() = Some(request.body.clone().into());
        self.look().await;
        let sending = pin!(self.client.execute(ready));
        // The connector's own clock starts a moment later; it knows that it is connecting, this one does not.
        match deadline.clock.until(deadline.at + GRACE, sending).await {
            None => Err(timed_out("response", "no answer", deadline.limit)),
            Some(Err(error)) => {
                let host = settings.base_url.split('/').nth(2);
                Err(transport_failure(error, "response", deadline.limit, host))
            }
            Some(Ok(answer)) => {
                self.answered();
                match &self.tape {
                    Some(Tape::Record(recording)) => recorded(recording, settings, request, answer),
                    _ => Ok(answer),
                }
            }
        }
    }
}

/// The same answer, whose body is written down as it is read.
fn recorded(
    recording: &Arc<Recording>,
    settings: &ConnectionSettings,
    request: &HttpRequest,
    answer: reqwest::Response,
) -> Result<reqwest::Response, Failure> {
    let status = answer.status().as_u16();
    let headers = texts(answer.headers().iter());
    let mut take = recording
        .begin(request, settings.secrets(), status, headers.clone())
        .map_err(|why| wrong("record", &format!("cannot be written: {why}")))?;
    let body = answer.bytes_stream().inspect_ok(move |bytes| take.push(bytes));
    response(status, &headers, reqwest::Body::wrap_stream(body))
}

/// An answer as if it came from a server.
fn response(
    status: u16,
    headers: &[(String, String)],
    body: impl Into<reqwest::Body>,
) -> Result<reqwest::Response, Failure> {
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    let response = builder.body(body.into());
    response.map(Into::into).map_err(|error| wrong("replay", &error.to_string()))
}

/// All headers of a request: the runtime's, over them the provider's, over them the connection's own.
fn headers(
    settings: &ConnectionSettings,
    request: &HttpRequest,
    stream: bool,
) -> Result<HeaderMap, Failure> {
    let accept = if stream { "text/event-stream" } else { "application/json" };
    let own = [
        (CONTENT_TYPE, "application/json"),
        (ACCEPT, accept),
        (ACCEPT_ENCODING, "identity"), // a compressor holds small events back
        (USER_AGENT, concat!("concerto/", env!("CARGO_PKG_VERSION"))),
    ];
    let mut headers = HeaderMap::with_capacity(12);
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in request.headers.iter().chain(&settings.headers) {
        let illegal = || {
            let message = "is no legal header".to_owned();
            Failure {
                param: Some(format!("headers.{name}")),
                ..Failure::new(FailureKind::Config, message)
            }
        };
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| illegal())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| illegal())?;
        value.set_sensitive(true);
        headers.insert(field, value);
    }
    Ok(headers)
}

/// A client for one server; `connect` limits how long a connection takes.
pub(super) fn build(
    options: &TransportOptions,
    base_url: &str,
    connect: Duration,
) -> Result<reqwest::Client, Failure> {
    let plain = base_url.starts_with("http://");
    let (builder, way) = common(options, base_url, connect)?;
    // Without redirects and proxies there is no TLS on the way, and reading certificates takes longer than all else before a first request.
    let mut builder = match way {
        Way::Straight if plain => without_tls(builder),
        _ => with_tls(builder, options),
    }?
    .redirect(reqwest::redirect::Policy::none()); // following would send the key to another host
    if plain {
        builder = builder.http1_only();
    }
    builder.build().map_err(|error| {
        wrong("base_url", &format!("the HTTP client cannot be made: {}", causes(&error)))
    })
}

/// What all clients have in common, with TLS.
pub(super) fn client(
    options: &TransportOptions,
    url: &str,
    connect: Duration,
) -> Result<reqwest::ClientBuilder, Failure> {
    with_tls(common(options, url, connect)?.0, options)
}

/// Whether a proxy may be on the way to a server.
enum Way {
    Straight,
    MayHaveProxy,
}

fn common(
    options: &TransportOptions,
    url: &str,
    connect: Duration,
) -> Result<(reqwest::ClientBuilder, Way), Failure> {
    let builder = reqwest::Client::builder()
        .retry(reqwest::retry::never()) // only our own loop retries
        .connect_timeout(connect)
        .pool_max_idle_per_host(MAX_IDLE)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .referer(false);
    Ok(match options.proxy.as_deref() {
        None if is_loopback(url) => (builder.no_proxy(), Way::Straight),
        Some("none") => (builder.no_proxy(), Way::Straight),
        Some(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|_| wrong("proxy", "is no URL"))?;
            (builder.no_proxy().proxy(proxy), Way::MayHaveProxy)
        }
        None => (builder, Way::MayHaveProxy),
    })
}

pub(super) fn wrong(option: &str, message: &str) -> Failure {
    Failure { param: Some(option.to_owned()), ..Failure::new(FailureKind::Config, message) }
}

#[cfg(feature = "rustls")]
fn with_tls(
    builder: reqwest::ClientBuilder,
    options: &TransportOptions,
) -> Result<reqwest::ClientBuilder, Failure> {
    /// Mozilla's certificates, read once for all clients of the process.
    static MOZILLA: LazyLock<Arc<rustls::RootCertStore>> = LazyLock::new(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        Arc::new(roots)
    });
    let mut roots = Arc::clone(&MOZILLA);
    if let Some(path) = &options.ca_bundle {
        let wrong = |what: &str| wrong("ca_bundle", &format!("the CA bundle `{path}` {what}"));
        let pem =
            std::fs::read(path).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let (added, _) =
            Arc::make_mut(&mut roots).add_parsable_certificates(pem_certificates(&pem));
        if added == 0 {
            return Err(wrong("holds no certificate"));
        }
    }
    trusting(builder, roots)
}

/// A client that speaks to `http://` only trusts nobody: the library would else read certificates of its own.
#[cfg(feature = "rustls")]
fn without_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Failure> {
    trusting(builder, Arc::new(rustls::RootCertStore::empty()))
}

#[cfg(feature = "rustls")]
fn trusting(
    builder: reqwest::ClientBuilder,
    roots: Arc<rustls::RootCertStore>,
) -> Result<reqwest::ClientBuilder, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("base_url", &format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

#[cfg(feature = "rustls")]
fn pem_certificates(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

#[cfg(not(feature = "rustls"))]
fn with_tls(
    builder: reqwest::ClientBuilder,
    _options: &TransportOptions,
) -> Result<reqwest::ClientBuilder, Failure> {
    Ok(builder)
}

#[cfg(not(feature = "rustls"))]
fn without_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Failure> {
    Ok(builder)
}

/// Reads a whole body; of an error only its beginning.
pub(super) async fn read_body(
    Head { status, headers }: Head,
    mut response: reqwest::Response,
    deadline: &Deadline,
) -> Result<HttpResponse, Failure> {
    let is_good = is_good(status);
    if let Some(coding) = coding(&headers) {
        if is_good {
            let message = format!("the answer is compressed ({coding}), which cannot be read");
            return Err(Failure::new(FailureKind::InvalidResponse, message));
        }
        return Ok(HttpResponse { status, headers, body: Bytes::new() });
    }
    let mut body = Body::default();
    while is_good || body.len() < MAX_ERROR {
        match deadline.limits(response.chunk()).await {
            Some(Ok(Some(chunk))) if body.len() + chunk.len() <= MAX_BODY => body.push(chunk),
            Some(Ok(Some(_))) => {
                let message = "the answer is larger than 64 MiB";
                return Err(Failure::new(FailureKind::InvalidResponse, message));
            }
            Some(Ok(None)) => break,
            // An error whose text is lost is still that error.
            _ if !is_good => break,
            None => return Err(timed_out("body", "the answer did not end", deadline.limit)),
            Some(Err(error)) => return Err(transport_failure(error, "body", deadline.limit, None)),
        }
    }
    Ok(HttpResponse { status, headers, body: body.into_bytes() })
}

/// A body as it comes; most come in one piece, which is not copied.
#[derive(Default)]
struct Body {
    first: Bytes,
    more: BytesMut,
}

impl Body {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
        } else {
            self.more.extend_from_slice(&std::mem::take(&mut self.first));
            self.more.extend_from_slice(&chunk);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.freeze() }
    }
}

/// The next bytes of a stream; `None` at its end.
pub(super) async fn read_chunk(
    response: &mut reqwest::Response,
    deadline: &Deadline,
) -> Result<Option<Bytes>, Failure> {
    match deadline.limits(response.chunk()).await {
        None => Err(timed_out("idle", "the stream sent nothing", deadline.limit)),
        Some(Err(error)) => Err(transport_failure(error, "idle", deadline.limit, None)),
        Some(Ok(chunk)) => Ok(chunk),
    }
}

/// Status and headers, names in lower case; of a good answer only those that somebody reads.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// Whether a stream follows: anything but an error, JSON, or what cannot be read as a stream.
    pub(super) fn is_event_stream(&self) -> bool {
        let content = find(&self.headers, "content-type").unwrap_or_default();
        is_good(self.status)
            && !content.to_ascii_lowercase().starts_with("application/json")
            && coding(&self.headers).is_none()
    }
}

pub(super) fn head(response: &reqwest::Response) -> Head {
    let status = response.status().as_u16();
    let is_kept = |name: &str| !is_good(status) || wire::is_read_in_good_answers(name);
    let headers = response.headers().iter().filter(|(name, _)| is_kept(name.as_str()));
    Head { status, headers: texts(headers) }
}

fn texts<'a>(
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Vec<(String, String)> {
    headers
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

/// How a body is still compressed: the HTTP library has unpacked the usual codings, though we ask for none.
fn coding(headers: &[(String, String)]) -> Option<&str> {
    find(headers, "content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// A time limit of ours that ran out. The message says after how long.
pub(super) fn timed_out(phase: &'static str, what: &str, limit: Duration) -> Failure {
    let message = format!("{what} within {} s", limit.as_secs_f64());
    let failure = Failure::new(FailureKind::Timeout, message).retried_as(RetryClass::Timeout);
    Failure { phase: Some(phase), ..failure }
}

/// The failure for an error of the HTTP library; `to` is whom it was to reach.
fn transport_failure(
    error: reqwest::Error,
    phase: &'static str,
    limit: Duration,
    to: Option<&str>,
) -> Failure {
    let error = error.without_url(); // a URL may hold a secret
    if error.is_timeout() {
        return if error.is_connect() {
            timed_out("connect", "no connection", limit.min(CONNECT))
        } else {
            timed_out(phase, "no answer", limit)
        };
    }
    if is_unpacking(&error) {
        let message = format!("the answer cannot be unpacked: {}", innermost(&error));
        return Failure::new(FailureKind::InvalidResponse, message);
    }
    let message = match to {
        Some(host) if error.is_connect() => {
            format!("cannot connect to {host}: {}", innermost(&error))
        }
        _ => causes(&error),
    };
    let failure = Failure::new(FailureKind::Network, message);
    if failure.message.contains("certificate") {
        let hint = "; if the server uses a private authority, name its file with `ca_bundle`";
        return Failure { message: failure.message + hint, ..failure };
    }
    failure.retried_as(RetryClass::ServerError)
}

/// What the operating system, TLS or a decompressor said.
fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut last: &(dyn std::error::Error + 'static) = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last
}

/// Whether a decompressor failed, not the connection below it: the HTTP library tells both as errors of decoding.
fn is_unpacking(error: &reqwest::Error) -> bool {
    use std::io::{Error, ErrorKind};
    let kind = innermost(error).downcast_ref::<Error>().map(Error::kind);
    let kinds = [ErrorKind::InvalidData, ErrorKind::InvalidInput, ErrorKind::Other];
    error.is_decode() && kind.is_some_and(|kind| kinds.contains(&kind))
}

/// The innermost causes of an error, without the library's own frames around them: a body that is recorded has two.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !cause.is::<reqwest::Error>() && !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
