//! The only user of the HTTP library: pools, TLS, proxies, time limits of one attempt.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use crate::config::{ConnectionSettings, is_loopback};
use crate::providers::{Failure, FailureKind, RetryClass};
use crate::wire::{HttpRequest, HttpResponse};

/// The longest body that is read, decoded.
const MAX_BODY: usize = 64 << 20;
/// Setting up a connection takes at most this long.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections close after this.
const IDLE: Duration = Duration::from_secs(90);

/// What a host says about the way to the providers.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// PEM file with trusted certificates besides Mozilla's.
    pub ca_bundle: Option<String>,
    /// URL of a proxy, or "none"; `None` takes the environment's.
    pub proxy: Option<String>,
}

/// Connection pools, one per connection and kind of URL, made on first use.
#[derive(Debug, Default)]
pub(super) struct Transport {
    options: TransportOptions,
    pools: Mutex<HashMap<(String, String), reqwest::Client>>,
}

impl Transport {
    pub(super) fn new(options: TransportOptions) -> Self {
        Self { options, pools: Mutex::default() }
    }

    fn client(&self, settings: &ConnectionSettings) -> Result<reqwest::Client, Failure> {
        let origin = settings.base_url.split('/').take(3).collect::<Vec<_>>().join("/");
        let key = (settings.name.clone(), origin);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = pools.get(&key) {
            return Ok(client.clone());
        }
        let client = build(&self.options, &settings.base_url)
            .map_err(|message| Failure::new(FailureKind::Config, message))?;
        pools.insert(key, client.clone());
        Ok(client)
    }

    /// Sends a request and waits for the head of the answer, until `deadline`.
    pub(super) async fn send(
        &self,
        settings: &ConnectionSettings,
        request: HttpRequest,
        stream: bool,
        deadline: Instant,
    ) -> Result<reqwest::Response, Failure> {
        let client = self.client(settings)?;
        let mut headers = HashMap::from([
            ("content-type".to_owned(), "application/json".to_owned()),
            (
                "accept".to_owned(),
                if stream { "text/event-stream" } else { "application/json" }.to_owned(),
            ),
            ("user-agent".to_owned(), concat!("concerto/", env!("CARGO_PKG_VERSION")).to_owned()),
        ]);
        headers.extend(request.headers);
        // The connection's own headers win over everything.
        let own = settings.headers.iter();
        headers.extend(own.map(|(n, v)| (n.to_ascii_lowercase(), v.expose().to_owned())));
        let mut builder = client.post(&request.url).body(request.body);
        for (name, value) in &headers {
            builder = builder.header(name, value);
        }
        match timeout_at(deadline, builder.send()).await {
            Err(_) => Err(timed_out("response", "no answer in time")),
            Ok(Err(error)) => Err(transport_failure(error, "response")),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

fn build(options: &TransportOptions, base_url: &str) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none()) // following would send the key to another host
        .retry(reqwest::retry::never()) // only our own loop retries
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .referer(false);
    if base_url.starts_with("http://") {
        builder = builder.http1_only();
    }
    builder = match options.proxy.as_deref() {
        _ if is_loopback(base_url) => builder.no_proxy(),
        Some("none") => builder.no_proxy(),
        Some(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|_| "`proxy` is no URL".to_owned())?;
            builder.no_proxy().proxy(proxy)
        }
        None => builder,
    };
    builder = tls(builder, options)?;
    builder.build().map_err(|error| format!("the HTTP client cannot be made: {}", causes(&error)))
}

#[cfg(feature = "rustls")]
fn tls(
    builder: reqwest::ClientBuilder,
    options: &TransportOptions,
) -> Result<reqwest::ClientBuilder, String> {
    use std::sync::Arc;

    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    if let Some(path) = &options.ca_bundle {
        let pem = std::fs::read(path)
            .map_err(|error| format!("the CA bundle `{path}` cannot be read: {error}"))?;
        let certificates = pem_certificates(&pem);
        if certificates.is_empty() {
            return Err(format!("the CA bundle `{path}` holds no certificate"));
        }
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
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
fn tls(
    builder: reqwest::ClientBuilder,
    _options: &TransportOptions,
) -> Result<reqwest::ClientBuilder, String> {
    Ok(builder)
}

/// Reads a whole body until `deadline`.
pub(super) async fn read_body(
    mut response: reqwest::Response,
    deadline: Instant,
) -> Result<HttpResponse, Failure> {
    let (status, headers) = head(&response);
    let mut body = BytesMut::new();
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Err(_) => return Err(timed_out("body", "the answer did not end in time")),
            Ok(Err(error)) => return Err(transport_failure(error, "body")),
            Ok(Ok(None)) => break,
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > MAX_BODY => {
                let _ = chunk;
                return Err(Failure::new(
                    FailureKind::InvalidResponse,
                    "the answer is larger than 64 MiB",
                ));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
    Ok(HttpResponse { status, headers, body: body.freeze() })
}

/// The next bytes of a stream until `deadline`; `None` at its end.
pub(super) async fn read_chunk(
    response: &mut reqwest::Response,
    deadline: Instant,
) -> Result<Option<Bytes>, Failure> {
    match timeout_at(deadline, response.chunk()).await {
        Err(_) => Err(timed_out("idle", "the stream went silent")),
        Ok(Err(error)) => Err(transport_failure(error, "idle")),
        Ok(Ok(chunk)) => Ok(chunk),
    }
}

/// Status and headers, names in lower case.
pub(super) fn head(response: &reqwest::Response) -> (u16, Vec<(String, String)>) {
    let headers = response.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    (response.status().as_u16(), headers.collect())
}

fn timed_out(phase: &'static str, message: &str) -> Failure {
    let failure = Failure::new(FailureKind::Timeout, message).retried_as(RetryClass::Timeout);
    Failure { phase: Some(phase), ..failure }
}

fn transport_failure(error: reqwest::Error, phase: &'static str) -> Failure {
    let error = error.without_url(); // a URL may hold a secret
    let what = causes(&error);
    if error.is_timeout() {
        let phase = if error.is_connect() { "connect" } else { phase };
        return timed_out(phase, &what);
    }
    let failure = Failure::new(FailureKind::Network, what);
    if failure.message.contains("certificate") {
        let hint = "; if the server uses a private authority, name its file with `ca_bundle`";
        return Failure { message: failure.message + hint, ..failure };
    }
    failure.retried_as(RetryClass::ServerError)
}

/// The innermost causes of an error, without the library's own frame around them.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
