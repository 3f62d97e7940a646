"""Traffic of providers in a file, from outside of the programs: a proxy that records, and a server that plays what was recorded.

The file is that of `concerto run --record`, which the runtime writes and reads: one JSON object a line for each answer, without keys.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from concerto._native import Playing, Recording

#: Headers that hold a key.
_KEYS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
#: Headers that belong to one connection, not to what is asked.
_HOP = ("host", "connection", "accept-encoding", "content-length", "transfer-encoding")
#: Seconds that a provider may be silent.
_PATIENCE = 600.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, answer: Any) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.close_connection = True
        self.server.answer(self, body)

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """The head of an answer, whose end is that of the connection."""
        self.send_response_only(status)
        for name, value in [*headers, ("connection", "close")]:
            self.send_header(name, value)
        self.end_headers()

    def refuse(self, status: int, message: str) -> None:
        self.begin(status, [("content-type", "application/json")])
        self.wfile.write(json.dumps({"error": {"message": message}}).encode("utf-8"))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests may hold what is not to be shown."""


@contextmanager
def recording(upstream: str, store: Path, port: int = 0) -> Iterator[str]:
    """Passes requests on to a provider and writes what it answers to a file, which is begun anew; gives the URL to send them to.

    Raises `OSError` if the file or the port cannot be had, `ValueError` if `upstream` is no URL.
    """
    if urlsplit(upstream).scheme not in ("http", "https"):
        raise ValueError(f"`{upstream}` is no URL of a provider: write it as https://..")
    recording = Recording(store)

    def answer(handler: _Handler, body: bytes) -> None:
        _pass_on(handler, upstream.rstrip("/"), body, recording)

    with _serving(_Server(port, answer)) as url:
        yield url


@contextmanager
def playing(store: Path, port: int = 0) -> Iterator[str]:
    """Answers requests from a file, each exchange once, by the end of the path and the body; gives the URL.

    Raises `OSError` if the file or the port cannot be had, `ValueError` if the file is no recording.
    """
    tape = Playing(store)

    def answer(handler: _Handler, body: bytes) -> None:
        found = tape.answer(handler.path, body, _keys(handler.headers))
        if found is None:
            path = handler.path.partition("?")[0]
            handler.refuse(400, f"the recording has no further answer to POST {path}")
            return
        status, headers, text = found
        handler.begin(status, headers)
        handler.wfile.write(text)

    with _serving(_Server(port, answer)) as url:
        yield url


@contextmanager
def _serving(server: _Server) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, name="concerto-tape", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _NoRedirect(HTTPRedirectHandler):
    """Following would send the key to another host."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _pass_on(handler: _Handler, upstream: str, body: bytes, recording: Recording) -> None:
    headers = {n: v for n, v in handler.headers.items() if n.lower() not in _HOP}
    request = Request(upstream + handler.path, data=body, headers=headers, method="POST")
    try:
        answer: HTTPResponse | HTTPError = build_opener(_NoRedirect).open(
            request, timeout=_PATIENCE
        )
    except HTTPError as error:
        answer = error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        handler.refuse(502, f"the provider cannot be reached: {reason}")
        return
    with answer:
        status = answer.status or 502
        kept = [(n.lower(), v) for n, v in answer.headers.items() if n.lower() not in _HOP]
        try:
            take = recording.begin(
                upstream + handler.path, body, _keys(handler.headers), status, kept
            )
        except OSError as error:
            handler.refuse(502, f"the answer cannot be recorded: {error}")
            return
        try:
            handler.begin(status, kept)
            while piece := answer.read1(65536):
                take.push(piece)
                handler.wfile.write(piece)
                handler.wfile.flush()
        finally:
            take.end()  # also of a stream that breaks, or that nobody reads to its end


def _keys(headers: Message[str, str]) -> list[str]:
    """What is masked: the keys, also without a word like `Bearer` before them."""
    words = (word for name in _KEYS for word in (headers.get(name) or "").split())
    return [word for word in words if word != "Bearer"]
