"""The way to a provider as the environment sets it: authorities and proxies (C-62, C-63)."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import concerto
import pytest
from concerto import MockServer, errors
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = """
connect c { provider: "openai", api_key: "sk-canary-key", base_url: env("URL"), default_model: "m" }
model M { provider: c }
pub fn ask() -> Result<String, LlmError> { Ok(M.execute("Hi")?.text) }
fn main() {}
"""

VARIABLES = (
    "CONCERTO_CA_BUNDLE", "SSL_CERT_FILE",
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
    "NO_PROXY", "no_proxy",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


def ask(program: concerto.Program, url: str, **options: str) -> object:
    runtime = concerto.Runtime(program, env={"URL": url}, **options)  # type: ignore[arg-type]  # only strings here
    return runtime.call("ask")


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every question with "Hi"."""

    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["authorization"])
        message = {"role": "assistant", "content": "Hi"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def certificate() -> tuple[bytes, bytes]:
    """A certificate of `localhost` that vouches for itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return built.public_bytes(serialization.Encoding.PEM), secret


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL of a TLS server, and the file of its authority."""
    bundle, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    public, secret = certificate()
    bundle.write_bytes(public)
    key.write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, key)
    Answering.keys.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        # The handshake happens in the thread of the connection, where a refusal harms nobody.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refusals are expected
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://localhost:{server.server_address[1]}/v1", str(bundle)
        server.shutdown()
        thread.join()


def test_authorities_come_from_option_or_environment(
    program: concerto.Program,
    secure: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # C-62
    url, bundle = secure
    other = tmp_path / "other.pem"
    other.write_bytes(certificate()[0])

    with pytest.raises(errors.NetworkError, match="certificate") as refused:
        ask(program, url)
    assert (refused.value.retryable, refused.value.attempts) == (False, 1)
    assert Answering.keys == []

    assert ask(program, url, ca_bundle=bundle) == "Hi"
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert ask(program, url) == "Hi"
    monkeypatch.setenv("CONCERTO_CA_BUNDLE", str(other))  # it comes first
    with pytest.raises(errors.NetworkError, match="certificate"):
        ask(program, url)
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    monkeypatch.setenv("CONCERTO_CA_BUNDLE", bundle)
    assert ask(program, url) == "Hi"
    with pytest.raises(errors.NetworkError, match="certificate"):
        ask(program, url, ca_bundle=str(other))
    assert Answering.keys == ["Bearer sk-canary-key"] * 3


def test_an_authority_that_cannot_be_read_is_a_config_error(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # C-62
    missing = str(tmp_path / "missing.pem")
    monkeypatch.setenv("CONCERTO_CA_BUNDLE", missing)
    with pytest.raises(errors.ConfigurationError, match="cannot be read") as caught:
        ask(program, "https://localhost:9/v1")
    assert (caught.value.field, missing in str(caught.value)) == ("ca_bundle", True)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_come_from_the_environment(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:  # C-63
    with MockServer() as proxy:
        monkeypatch.setenv(name, proxy.root)
        assert ask(program, "http://provider.invalid/v1") == "[mock response to: Hi]"
        paths = [request["path"] for request in proxy.requests()]
    assert paths == ["http://provider.invalid/v1/chat/completions"]


def test_an_option_goes_before_the_environment(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch
) -> None:  # C-63
    url = "http://provider.invalid/v1"
    with MockServer() as named, MockServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root)
        ask(program, url, proxy=named.root)
        assert (named.counts()["requests"], proxy.counts()["requests"]) == (1, 0)
        with pytest.raises(errors.NetworkError):
            ask(program, url, proxy="none")
        monkeypatch.setenv("NO_PROXY", "provider.invalid")
        with pytest.raises(errors.NetworkError):
            ask(program, url)
        assert (named.counts()["requests"], proxy.counts()["requests"]) == (1, 0)


def test_loopback_never_goes_through_a_proxy_of_the_environment(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch
) -> None:  # C-63
    with MockServer() as server, MockServer() as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.root)
        assert ask(program, server.url) == "[mock response to: Hi]"
        assert (
            ask(program, server.url.replace("127.0.0.1", "localhost")) == "[mock response to: Hi]"
        )
        assert (server.counts()["requests"], proxy.counts()["requests"]) == (2, 0)
