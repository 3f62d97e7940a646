//! Certificates, proxies and redirects, against servers on loopback: the way of a request to its provider and to nobody else.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{KEY, call};
use crate::llm::{Answer, CallOptions, Client, LlmError, TransportOptions};

const ANSWER: &str = r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}"#;

/// An authority that nobody knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// What a server needs to prove that it has one of these names.
    fn acceptor(&self, names: &[&str], expired: bool) -> TlsAcceptor {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Its certificate as a file.
    fn bundle(&self) -> File {
        File::new(&self.0.pem())
    }
}

/// A file that lives as long as the test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let name = format!("concerto-test-{}-{}.pem", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::File::create_new(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a server does with a connection.
#[derive(Clone)]
enum Role {
    /// Answers, with this head before the body.
    Answers(String),
    /// Answers over TLS.
    AnswersOverTls(TlsAcceptor),
    /// Passes connections on to this port, whatever host they name.
    Tunnels(u16),
}

/// A server that keeps the head of each request.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(role: Role) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, role.clone(), Arc::clone(&kept)));
            }
        });
        Self { port, heads, task }
    }

    async fn plain() -> Self {
        Self::start(Role::Answers("HTTP/1.1 200 OK\r\n".to_owned())).await
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, role: Role, heads: Arc<Mutex<Vec<String>>>) {
    match role {
        Role::Answers(head) => answer(&mut socket, &head, &heads).await,
        Role::AnswersOverTls(acceptor) => {
            // A client that does not trust the certificate ends here.
            let Ok(mut secure) = acceptor.accept(socket).await else { return };
            answer(&mut secure, "HTTP/1.1 200 OK\r\n", &heads).await;
        }
        Role::Tunnels(port) => {
            let head = read_head(&mut socket).await;
            heads.lock().unwrap().push(head);
            let mut target = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut target).await;
        }
    }
}

async fn answer(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &str,
    heads: &Mutex<Vec<String>>,
) {
    let request = read_head(socket).await;
    heads.lock().unwrap().push(request);
    let length = ANSWER.len();
    let whole = format!(
        "{head}content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ANSWER}"
    );
    socket.write_all(whole.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
}

/// The head of a request; its body is left unread.
async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        // The first byte of TLS: no head will come.
        if socket.read_buf(&mut bytes).await.unwrap() == 0 || bytes.starts_with(&[22]) {
            break;
        }
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn client(ca_bundle: Option<String>, proxy: Option<String>) -> Client {
    Client::new(TransportOptions { ca_bundle, proxy, tape: None }, CallOptions::default())
}

async fn ask(client: &Client, url: &str) -> Result<Answer, LlmError> {
    client.execute(call(url), vec![]).await
}

fn trusting(bundle: &File) -> Client {
    client(Some(bundle.path()), None)
}

/// Never retried: neither the certificate nor the file changes by itself.
fn assert_final(error: &LlmError, kind: &str, says: &[&str]) {
    assert_eq!((error.failure.kind.word(), error.failure.class), (kind, None), "{error}");
    for part in says {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_its_file_is_named() {
    // C-62
    let authority = Authority::new();
    let server =
        Server::start(Role::AnswersOverTls(authority.acceptor(&["localhost"], false))).await;
    let bundle = authority.bundle();
    let url = format!("https://localhost:{}/v1", server.port);
    let answer = ask(&trusting(&bundle), &url).await.unwrap();
    assert_eq!(answer.response.text, "Hi");
    let heads = server.heads();
    assert!(heads[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains(&format!("authorization: Bearer {KEY}")), "{heads:?}");
}

#[tokio::test]
async fn an_unknown_authority_is_refused_for_good_and_gets_no_key() {
    // C-62, C-72
    let authority = Authority::new();
    let server =
        Server::start(Role::AnswersOverTls(authority.acceptor(&["localhost"], false))).await;
    let url = format!("https://localhost:{}/v1", server.port);
    let stranger = Authority::new().bundle();
    for client in [client(None, None), trusting(&stranger)] {
        let error = ask(&client, &url).await.unwrap_err();
        assert_final(&error, "network", &["certificate", "name its file with `ca_bundle`"]);
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_certificate_for_another_name_or_time_is_refused_for_good() {
    // C-62
    let authority = Authority::new();
    let bundle = authority.bundle();
    for (names, expired, says) in
        [(&["other.example"], false, "not valid for name"), (&["localhost"], true, "expired")]
    {
        let acceptor = authority.acceptor(names, expired);
        let server = Server::start(Role::AnswersOverTls(acceptor)).await;
        let url = format!("https://localhost:{}/v1", server.port);
        let error = ask(&trusting(&bundle), &url).await.unwrap_err();
        assert_final(&error, "network", &["certificate", says]);
        assert_eq!(server.heads(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_a_config_error() {
    // C-62
    let empty = File::new("no certificate here");
    let broken = File::new("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (path, says) in [
        ("/nonexistent/roots.pem".to_owned(), "cannot be read"),
        (empty.path(), "holds no certificate"),
        (broken.path(), "holds no certificate"),
    ] {
        let error =
            ask(&client(Some(path.clone()), None), "https://localhost:9/v1").await.unwrap_err();
        assert_final(&error, "config", &[&format!("the CA bundle `{path}` {says}")]);
        assert_eq!(error.field.as_deref(), Some("ca_bundle"));
        assert_eq!(error.attempts, 0);
    }
}

#[tokio::test]
async fn a_server_without_tls_on_a_tls_port_is_a_network_error() {
    let server = Server::plain().await;
    let url = format!("https://localhost:{}/v1", server.port);
    let error = ask(&client(None, None), &url).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "network", "{error}");
    assert!(!server.heads().iter().any(|head| head.contains("canary")));
}

#[tokio::test]
async fn a_proxy_passes_plain_requests_on() {
    // C-63
    let proxy = Server::plain().await;
    let through = client(None, Some(format!("http://127.0.0.1:{}", proxy.port)));
    let answer = ask(&through, "http://provider.invalid/v1").await.unwrap();
    assert_eq!(answer.response.text, "Hi");
    let start = "POST http://provider.invalid/v1/chat/completions HTTP/1.1\r\n";
    assert!(proxy.heads()[0].starts_with(start), "{:?}", proxy.heads());
}

#[tokio::test]
async fn a_proxy_tunnels_tls_without_seeing_the_key() {
    // C-63, E-14
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["provider.invalid"], false);
    let server = Server::start(Role::AnswersOverTls(acceptor)).await;
    let proxy = Server::start(Role::Tunnels(server.port)).await;
    let bundle = authority.bundle();
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let through = client(Some(bundle.path()), Some(url));
    let answer = ask(&through, "https://provider.invalid/v1").await.unwrap();
    assert_eq!(answer.response.text, "Hi");
    let seen = proxy.heads();
    assert!(seen[0].starts_with("CONNECT provider.invalid:443 HTTP/1.1\r\n"), "{seen:?}");
    assert!(!seen[0].contains("canary"), "{seen:?}");
    assert!(server.heads()[0].contains(KEY));
}

#[tokio::test]
async fn a_proxy_that_is_named_serves_loopback_too_and_none_serves_nobody() {
    // C-63
    let (server, proxy) = (Server::plain().await, Server::plain().await);
    let url = format!("http://127.0.0.1:{}/v1", server.port);
    let through = client(None, Some(format!("http://127.0.0.1:{}", proxy.port)));
    ask(&through, &url).await.unwrap();
    assert_eq!((server.heads().len(), proxy.heads().len()), (0, 1));
    ask(&client(None, Some("none".to_owned())), &url).await.unwrap();
    assert_eq!((server.heads().len(), proxy.heads().len()), (1, 1));
}

#[tokio::test]
async fn a_proxy_that_is_no_url_is_a_config_error_without_its_password() {
    // C-63
    let wrong = client(None, Some("http://user:canary@:not a url".to_owned()));
    let error = ask(&wrong, "http://provider.invalid/v1").await.unwrap_err();
    assert_final(&error, "config", &["is no URL"]);
    assert_eq!(error.field.as_deref(), Some("proxy"));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_network_error_without_its_password() {
    // C-63
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gone = client(None, Some(format!("http://user:canary@127.0.0.1:{port}")));
    let error = ask(&gone, "http://provider.invalid/v1").await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "network", "{error}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_redirect_leads_the_key_nowhere() {
    // C-43, E-14
    let elsewhere = Server::plain().await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{}/v1/chat/completions\r\n",
            elsewhere.port
        );
        let server = Server::start(Role::Answers(head)).await;
        let url = format!("http://127.0.0.1:{}/v1", server.port);
        let error = ask(&client(None, None), &url).await.unwrap_err();
        assert_final(&error, "invalid_request", &["redirects are not followed"]);
        assert_eq!(server.heads().len(), 1);
    }
    assert_eq!(elsewhere.heads(), Vec::<String>::new());
}
