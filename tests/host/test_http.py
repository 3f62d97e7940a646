"""`std::http` against a real server on loopback (library reference 4.2)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import concerto
import pytest

CODE = """
pub fn get(url: String) -> Result<(Int, String, Bool), HttpError> {
    let r = std::http::get(url)?;
    Ok((r.status, r.body, r.ok()))
}
pub fn header(url: String, name: String) -> Result<Option<String>, HttpError> {
    Ok(std::http::get(url)?.header(name))
}
pub fn with_headers(url: String, headers: Map<String, String>) -> Result<String, HttpError> {
    Ok(std::http::get(url, headers: headers)?.body)
}
pub fn within(url: String, ms: Int) -> Result<String, HttpError> { Ok(std::http::get(url, timeout_ms: ms)?.body) }
pub fn send(url: String, body: Any) -> Result<String, HttpError> { Ok(std::http::post(url, body)?.body) }
pub fn own_type(url: String) -> Result<String, HttpError> {
    Ok(std::http::put(url, [1], headers: { "Content-Type": "x/y" })?.body)
}
pub fn method(method: String, url: String) -> Result<String, HttpError> { Ok(std::http::request(method, url)?.body) }
pub fn methods(url: String) -> Result<Array<String>, HttpError> {
    Ok([std::http::delete(url)?.body, std::http::patch(url, "b")?.body, std::http::head(url)?.body])
}
pub fn json(url: String) -> Result<Any, String> { Ok(std::http::get(url)?.json()?) }
pub fn message(url: String) -> String { std::http::get(url).unwrap_err().message }
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def echo(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        kind = self.headers.get("Content-Type")
        self.answer(200, f"{self.command} {kind} {body}".encode())

    def do_GET(self) -> None:
        match self.path:
            case "/missing":
                self.answer(404, b"no")
            case "/latin":
                self.answer(
                    200, "é".encode("latin-1"), ("Content-Type", "text/plain; charset=ISO-8859-1")
                )
            case "/bad":
                self.answer(200, b"a\xff")
            case "/twice":
                self.answer(200, b"", ("X-A", "1"), ("X-A", "2"))
            case "/json":
                self.answer(200, b'{"a": [1]}')
            case "/large":
                self.answer(200, b"x" * 2000)
            case "/loop":
                self.answer(302, b"", ("Location", "/loop"))
            case "/far":
                port = self.server.server_port  # type: ignore[attr-defined]  # of the class of HTTP servers
                self.answer(302, b"", ("Location", f"http://localhost:{port}/key"))
            case "/near":
                self.answer(307, b"", ("Location", "/key"))
            case "/key":
                self.answer(200, str(self.headers.get("Authorization")).encode())
            case "/slow":
                self.released.wait(30)
            case _:
                self.answer(200, b"hello")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_BREW = echo  # noqa: N815


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Handler.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(CODE)


@pytest.fixture(scope="module")
def runtime(program: concerto.Program) -> concerto.Runtime:
    return concerto.Runtime(program)


def kind(runtime: concerto.Runtime, *call: Any) -> str:
    with pytest.raises(concerto.ProgramError) as failed:
        runtime.call(*call)
    return str(failed.value.value.kind)


def test_any_status_is_an_answer(runtime: concerto.Runtime, url: str) -> None:
    assert runtime.call("get", url) == (200, "hello", True)
    assert runtime.call("get", f"{url}/missing") == (404, "no", False)


def test_bodies_are_decoded_by_their_charset(runtime: concerto.Runtime, url: str) -> None:
    assert runtime.call("get", f"{url}/latin")[1] == "é"
    assert runtime.call("get", f"{url}/bad")[1] == "a\ufffd"
    assert runtime.call("json", f"{url}/json") == {"a": [1]}
    with pytest.raises(concerto.ProgramError, match="invalid JSON at line 1, column 1"):
        runtime.call("json", url)


def test_headers_are_lower_case_and_joined(runtime: concerto.Runtime, url: str) -> None:
    assert runtime.call("header", f"{url}/twice", "X-A") == "1, 2"
    assert runtime.call("header", f"{url}/twice", "x-b") is None


def test_what_is_sent_is_text_or_json(runtime: concerto.Runtime, url: str) -> None:
    assert runtime.call("send", url, 'a "b"') == 'POST text/plain; charset=utf-8 a "b"'
    assert runtime.call("send", url, {"a": [1, None]}) == 'POST application/json {"a":[1,null]}'
    assert runtime.call("send", url, None) == "POST None "
    assert runtime.call("own_type", url) == "PUT x/y [1]"


def test_any_method_may_be_used(runtime: concerto.Runtime, url: str) -> None:
    assert runtime.call("method", "brew", url) == "BREW None "
    assert runtime.call("methods", url) == [
        "DELETE None ",
        "PATCH text/plain; charset=utf-8 b",
        "",
    ]
    assert kind(runtime, "method", "a b", url) == "protocol"
    assert kind(runtime, "with_headers", url, {"a b": "c"}) == "protocol"


def test_what_is_no_url_is_told(runtime: concerto.Runtime) -> None:
    for text in ("", "nothing", "/a", "ftp://h/", "http://"):
        assert kind(runtime, "get", text) == "url"


def test_a_refused_connection_is_told(runtime: concerto.Runtime) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/?token=secret"
    assert kind(runtime, "get", closed) == "connect"
    assert "secret" not in runtime.call("message", closed)


def test_the_time_limit_holds(runtime: concerto.Runtime, url: str) -> None:
    assert kind(runtime, "within", f"{url}/slow", 50) == "timeout"
    with pytest.raises(concerto.PanicError, match="`timeout_ms` must be at least 1, found 0"):
        runtime.call("within", url, 0)


def test_redirects_end_and_keep_keys_at_home(runtime: concerto.Runtime, url: str) -> None:
    assert kind(runtime, "get", f"{url}/loop") == "redirect"
    key = {"Authorization": "k"}
    assert runtime.call("with_headers", f"{url}/near", key) == "k"
    assert runtime.call("with_headers", f"{url}/far", key) == "None"


def test_the_host_limits_size_and_reach(program: concerto.Program, url: str) -> None:
    small = concerto.Runtime(program, http_body_limit=1000)
    assert kind(small, "get", f"{url}/large") == "too_large"
    assert small.call("get", url)[1] == "hello"
    assert kind(concerto.Runtime(program, offline=True), "get", url) == "denied"
    port = url.rsplit(":", 1)[1]
    some = concerto.Runtime(program, net_allow=[f"127.0.0.1:{port}"])
    assert some.call("get", url)[1] == "hello"
    assert kind(some, "get", f"http://localhost:{port}/") == "denied"
    assert kind(some, "get", f"{url}/far") == "denied", "also on the way of a redirect"


def test_offline_asks_only_models_on_this_machine() -> None:
    text = """
    connect far { provider: "custom", base_url: "http://models.example/v1", api_key: "k" }
    connect near { provider: "custom", base_url: "http://127.0.0.1:1/v1", api_key: "k" }
    model Far { provider: far, base: "m" }
    model Near { provider: near, base: "m" }
    pub fn kinds() -> Array<String> { [Far.execute("x").unwrap_err().kind, Near.execute("x").unwrap_err().kind] }
    """
    runtime = concerto.Runtime(concerto.compile(text), offline=True)
    assert runtime.call("kinds") == ["config", "network"]
