"""Traffic of providers in a file, from outside of the programs: a proxy that records, and a server that plays what was recorded.

The file is that of `concerto run --record`: one JSON object a line for each answer, without keys.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

#: Headers that hold a key.
_KEYS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
#: Headers that belong to one connection, not to what is asked.
_HOP = ("host", "connection", "accept-encoding", "content-length", "transfer-encoding")
#: Headers of an answer that tell nothing when it is played.
_DROPPED = (*_HOP, "content-encoding", "date", "set-cookie", "server")
#: Shorter ones could be a part of anything.
_SHORTEST_KEY = 6
#: Seconds that a provider may be silent.
_PATIENCE = 600.0

Exchange = dict[str, Any]


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
    lock = threading.Lock()
    with store.open("w", encoding="utf-8") as file:

        def answer(handler: _Handler, body: bytes) -> None:
            _pass_on(handler, upstream.rstrip("/"), body, file, lock)

        with _serving(_Server(port, answer)) as url:
            yield url


@contextmanager
def playing(store: Path, port: int = 0) -> Iterator[str]:
    """Answers requests from a file, each exchange once, by the end of the path and the body; gives the URL.

    Raises `OSError` if the file or the port cannot be had, `ValueError` if the file is no recording.
    """
    left: defaultdict[str, deque[Exchange]] = defaultdict(deque)
    for number, line in enumerate(store.read_text(encoding="utf-8").splitlines(), 1):
        try:
            exchange = json.loads(line)
            left[_question(exchange["url"], exchange["request"])].append(exchange)
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"`{store}` is no recording: see line {number}") from None
    lock = threading.Lock()

    def answer(handler: _Handler, body: bytes) -> None:
        question = _question(
            handler.path, _read(_masked(body.decode("utf-8", "replace"), _keys(handler.headers)))
        )
        with lock:
            found = left[question].popleft() if left.get(question) else None
        if found is None:
            handler.refuse(
                400, f"the recording has no further answer to POST {handler.path.partition('?')[0]}"
            )
            return
        handler.begin(found["status"], [(name, value) for name, value in found["headers"]])
        handler.wfile.write(found["body"].encode("utf-8"))

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


def _pass_on(
    handler: _Handler, upstream: str, body: bytes, file: IO[str], lock: threading.Lock
) -> None:
    keys = _keys(handler.headers)
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
        handler.refuse(502, _masked(f"the provider cannot be reached: {reason}", keys))
        return
    with answer:
        status = answer.status or 502
        kept = [(n.lower(), v) for n, v in answer.headers.items() if n.lower() not in _DROPPED]
        handler.begin(status, kept)
        pieces = []
        try:
            while piece := answer.read1(65536):
                pieces.append(piece)
                handler.wfile.write(piece)
                handler.wfile.flush()
        finally:
            # Also of a stream that breaks, or that nobody reads to its end.
            exchange = {
                "url": _masked((upstream + handler.path).partition("?")[0], keys),
                "request": _read(_masked(body.decode("utf-8", "replace"), keys)),
                "status": status,
                "headers": [(name, _masked(value, keys)) for name, value in kept],
                "body": _masked(b"".join(pieces).decode("utf-8", "replace"), keys),
            }
            with lock:
                file.write(json.dumps(exchange, ensure_ascii=False) + "\n")
                file.flush()


def _keys(headers: Message[str, str]) -> list[str]:
    """What is masked: the keys, also without a word like `Bearer` before them."""
    words = (word for name in _KEYS for word in (headers.get(name) or "").split())
    return [word for word in words if len(word) >= _SHORTEST_KEY and word != "Bearer"]


def _masked(text: str, keys: list[str]) -> str:
    for key in keys:
        text = text.replace(key, "***")
    return text


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _question(url: str, request: Any) -> str:
    """What has the same answer: the end of the path, which may name the model, and the body."""
    end = url.partition("?")[0].rpartition("/")[2]
    return f"{end} {json.dumps(request, sort_keys=True)}"
