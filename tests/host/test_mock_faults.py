"""What the mock provider does wrong on purpose, byte by byte, and what its ledger says of it."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from concerto import MockServer

from tests.conftest import ROOT
from tests.waiting import wait_for

PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
    "ollama": "/api/chat",
}
"""The endpoint of each dialect."""


def body_of(dialect: str, prompt: str = "Hi", stream: bool = False) -> dict[str, Any]:
    message = {"role": "user", "content": prompt}
    match dialect:
        case "responses":
            return {"model": "m", "input": prompt, "stream": stream}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
        case _:
            body = {"model": "m", "messages": [message], "stream": stream}
            return {**body, "max_tokens": 9} if dialect == "anthropic" else body


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.cut = False
        try:
            self.body = response.read()
        except http.client.IncompleteRead as partial:
            self.body, self.cut = partial.partial, True

    def json(self) -> Any:
        return json.loads(self.body)

    def data(self) -> list[str]:
        """The data of each event, or each line."""
        lines = self.body.decode().splitlines()
        if self.headers["content-type"] == "application/x-ndjson":
            return lines
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@contextmanager
def connected(server: MockServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
    yield connection
    connection.close()


def port_of(server: MockServer) -> int:
    return int(server.root.rsplit(":", 1)[1])


def send(
    connection: http.client.HTTPConnection, dialect: str = "openai", stream: bool = False
) -> None:
    path = PATHS[dialect]
    if dialect == "gemini" and stream:
        path = path.replace(":generateContent", ":streamGenerateContent") + "?alt=sse"
    body = json.dumps(body_of(dialect, stream=stream))
    connection.request("POST", path, body, {"anthropic-version": "2023-06-01"})


def ask(server: MockServer, dialect: str = "openai", stream: bool = False) -> Answer:
    with connected(server) as connection:
        send(connection, dialect, stream)
        return Answer(connection.getresponse())


@contextmanager
def replying(reply: dict[str, Any], **more: Any) -> Iterator[MockServer]:
    with MockServer(script=json.dumps({"rules": [{"reply": reply}]}), **more) as server:
        yield server


@pytest.mark.parametrize(
    ("dialect", "status", "error"),
    [
        ("openai", 429, {"type": "requests", "code": "rate_limit_exceeded"}),
        ("responses", 503, {"type": "service_unavailable_error", "code": "server_is_overloaded"}),
        ("anthropic", 529, {"type": "overloaded_error", "message": "Overloaded"}),
        ("gemini", 503, {"code": 503, "status": "UNAVAILABLE"}),
        ("gemini", 403, {"code": 403, "status": "PERMISSION_DENIED"}),
        ("ollama", 404, "model not found, try pulling it first"),
    ],
)
def test_errors_have_the_form_of_their_provider(dialect: str, status: int, error: Any) -> None:
    with replying({"error": {"status": status}}) as server:
        answer = ask(server, dialect)
    found = answer.json()["error"]
    assert answer.status == status
    assert (found if isinstance(error, str) else {key: found[key] for key in error}) == error


def test_every_form_of_retry_after() -> None:
    def waiting(form: str, value: float, dialect: str = "openai") -> Answer:
        with replying({"error": {"status": 429, "retry_after": {form: value}}}) as server:
            return ask(server, dialect)

    assert waiting("seconds", 7).headers["retry-after"] == "7"
    assert waiting("ms", 6400).headers["retry-after-ms"] == "6400"
    date = parsedate_to_datetime(waiting("date", 60).headers["retry-after"]).timestamp()
    assert 50 < date - time.time() < 61
    reset = waiting("reset", 6.4).headers
    assert reset["x-ratelimit-remaining-requests"] == "0"
    assert reset["x-ratelimit-reset-requests"] == "6.4s"
    reset = waiting("reset", 60, "anthropic").headers
    assert reset["anthropic-ratelimit-requests-remaining"] == "0"
    assert reset["anthropic-ratelimit-requests-reset"].endswith("Z")
    details = waiting("retry_info", 22, "gemini").json()["error"]["details"]
    assert [each["retryDelay"] for each in details] == ["22s"]
    message = waiting("text", 5.25).json()["error"]["message"]
    assert message == "Rate limit reached for requests Please try again in 5.25s."
    with replying({"error": {"status": 429}}) as server:
        assert "retry-after" not in ask(server).headers


def test_bodies_that_are_none() -> None:
    for reply, status, content_type, body in [
        ({"fault": "html"}, 502, "text/html", b"<html><body>502 Bad Gateway</body></html>"),
        ({"fault": "not_json"}, 200, "application/json", b"this is not JSON"),
        ({"fault": "empty"}, 200, "application/json", b""),
    ]:
        with replying(reply) as server:
            answer = ask(server)
        found = (answer.status, answer.headers["content-type"], answer.body)
        assert found == (status, content_type, body)
    with replying({"error": {"status": 400, "body": [{"error": {"code": 1}}]}}) as server:
        assert ask(server).json() == [{"error": {"code": 1}}]
    with replying({"text": "a", "fault": "wrong_type"}) as server:
        assert ask(server).headers["content-type"] == "text/plain"
        streamed = ask(server, stream=True)
    assert streamed.headers["content-type"] == "application/json"
    assert streamed.json()["choices"][0]["message"]["content"] == "a"


@pytest.mark.parametrize("dialect", PATHS)
def test_streams_that_break(dialect: str) -> None:
    def broken(fault: str) -> list[str]:
        with replying({"chunks": ["one", "two"], "fault": fault, "after": 1}) as server:
            answer = ask(server, dialect, stream=True)
            wait_for(lambda: server.counts()["open_requests"] == 0)
            (seen,) = server.requests()
        assert not answer.cut
        assert (seen["outcome"], seen["fault"], seen["chunks"]) == ("broken", fault, 1)
        return answer.data()

    cut = broken("cut")
    assert '"one"' in cut[-1]
    assert "two" not in "".join(cut)
    malformed = broken("malformed_event")
    assert malformed == [*cut, '{"broken']
    *before, last = broken("error_event")
    assert len(before) == len(cut)
    assert "error" in last
    assert "overload" in last.lower() or "busy" in last


@pytest.mark.parametrize("dialect", PATHS)
def test_every_byte_may_come_alone(dialect: str) -> None:
    with replying({"chunks": ["é", "日本"]}) as server:
        whole = ask(server, dialect, stream=True).body
    with replying({"chunks": ["é", "日本"], "bytewise": True}) as server:
        with connected(server) as connection:
            send(connection, dialect, stream=True)
            response = connection.getresponse()
            pieces = []
            while piece := response.read1(1 << 16):
                pieces.append(piece)
            wait_for(lambda: server.counts()["open_requests"] == 0)
            (seen,) = server.requests()
    assert b"".join(pieces) == whole
    assert seen["bytes_sent"] > 6 * len(whole)  # the frame of a piece is five bytes


def test_connections_that_close() -> None:
    for fault in ("close", "reset"):
        with replying({"fault": fault}) as server:
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                ask(server)
            wait_for(lambda server=server: server.counts()["open_requests"] == 0)  # type: ignore[misc]
            assert server.counts()["outcomes"] == {"broken": 1}
    with replying({"text": "a long text", "fault": "cut"}) as server:
        answer = ask(server)
    assert answer.cut
    assert answer.body.startswith(b'{"id":')
    with replying({"chunks": ["a", "b"], "fault": "close", "after": 1}) as server:
        assert ask(server, stream=True).cut


@pytest.mark.parametrize(
    ("fault", "stream", "received"),
    [
        ("stall_headers", False, b""),
        ("stall_headers", True, b""),
        ("stall", False, b""),
        ("stall_body", False, b'"object":"chat.completion"'),
        ("stall_body", True, b"transfer-encoding: chunked\r\n\r\n"),
        ("stall", True, b'"content":"one"'),
    ],
)
def test_silence_lasts_until_the_client_hangs_up(fault: str, stream: bool, received: bytes) -> None:
    with replying({"chunks": ["one", "two"], "fault": fault, "after": 1}) as server:
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as client:
            body = json.dumps(body_of("openai", stream=stream)).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            wait_for(lambda: server.counts()["requests"] == 1)
            found = b""
            while received not in found:
                found += client.recv(1 << 16)
            assert server.requests()[0]["outcome"] == "open"
        wait_for(lambda: server.counts()["open_connections"] == 0)
        (seen,) = server.requests()
    assert seen["outcome"] == "client_closed"
    assert seen["ended_ms"] >= seen["started_ms"]
    assert seen["bytes_sent"] == len(found)
    assert b"[DONE]" not in found
    assert b"usage" not in found


def test_a_client_that_resets_in_the_middle_is_seen() -> None:
    reply = {"repeat": {"text": "x", "count": 1000}, "chunk_delay_ms": 5}
    with replying(reply) as server:
        with connected(server) as connection:
            send(connection, stream=True)
            connection.getresponse().read1(1)
            linger = struct.pack("ii", 1, 0)
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        wait_for(lambda: server.counts()["outcomes"] == {"client_closed": 1})
        assert server.requests()[0]["chunks"] < 1000


def test_oversized_answers() -> None:
    with replying({"text": "a", "fault": "oversized"}) as server:
        answer = ask(server)
        events = ask(server, stream=True).data()
    assert len(answer.body) > 64 << 20
    assert answer.json()["choices"][0]["message"]["content"] == "a"
    assert max(map(len, events)) > 4 << 20


def test_gemini_without_sse_streams_one_array() -> None:
    with replying({"chunks": ["one", "two"]}) as server, connected(server) as connection:
        body = json.dumps(body_of("gemini"))
        connection.request("POST", "/v1beta/models/m:streamGenerateContent", body)
        events = Answer(connection.getresponse()).json()
    assert [e["candidates"][0].get("content", {}).get("parts") for e in events] == [
        [{"text": "one"}],
        [{"text": "two"}],
        None,
    ]


def test_framing_is_that_of_each_provider() -> None:
    with replying({"chunks": ["one"]}) as server:
        bodies = {dialect: ask(server, dialect, stream=True).body for dialect in PATHS}
    assert bodies["openai"].endswith(b"\n\ndata: [DONE]\n\n")
    assert b'"usage"' not in bodies["openai"]  # it was not asked for
    assert bodies["responses"].startswith(b"event: response.created\ndata: ")
    assert b"}     \n\n" in bodies["anthropic"]
    assert b"event: ping\n" in bodies["anthropic"]
    assert bodies["anthropic"].rstrip().endswith(b'{"type":"message_stop"}')
    assert b"\r\n\r\n" in bodies["gemini"]
    assert b"\n" not in bodies["gemini"].replace(b"\r\n", b"")
    assert all(line.startswith(b"{") for line in bodies["ollama"].splitlines())


def test_the_ledger_masks_keys_and_knows_what_answered() -> None:
    script = {"rules": [{"match": {"connection": "eu"}, "reply": {"text": "a b"}}]}
    with MockServer(script=json.dumps(script)) as server, connected(server) as connection:
        body = json.dumps(body_of("openai", stream=True))
        keys = {"Authorization": "Bearer sk-canary", "X-Team": "search"}
        connection.request("POST", "/eu/v1/chat/completions?key=canary&a=1", body, keys)
        answer = Answer(connection.getresponse())
        wait_for(lambda: server.counts()["open_requests"] == 0)
        (seen,) = server.requests()
        counts = server.counts()
    assert "canary" not in json.dumps(seen)
    assert seen.pop("started_ms") <= seen.pop("ended_ms")
    assert seen.pop("headers")["authorization"] == "***"
    assert seen.pop("bytes_sent") > len(answer.body)
    usage = {"prompt_tokens": 2, "completion_tokens": 42, "cached_tokens": 0}
    assert seen == {
        "method": "POST", "path": "/eu/v1/chat/completions", "query": "key=***&a=1",
        "body": json.loads(body), "dialect": "openai", "prefix": "/eu/v1", "model": "m",
        "stream": True, "rule": 0, "fault": None, "status": 200, "chunks": 2,
        "usage": usage, "outcome": "complete",
    }  # fmt: skip
    counts.pop("bytes_sent")
    assert counts == {
        "requests": 1, "open_requests": 0, "most_open_requests": 1, "open_connections": 1, "chunks": 2,
        "outcomes": {"complete": 1}, "statuses": {"200": 1}, **usage,
    }  # fmt: skip


def test_the_rate_limit_says_how_long_to_wait() -> None:
    with MockServer(rate_limit=2) as server:
        answers = [ask(server) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert 55 <= int(answers[-1].headers["retry-after"]) <= 60


def test_the_error_rate_repeats_with_its_seed() -> None:
    def statuses(seed: int) -> list[int | None]:
        with MockServer(error_rate=0.5, seed=seed) as server:
            for _ in range(40):
                with suppress(ConnectionError):
                    ask(server)
            wait_for(lambda: server.counts()["open_requests"] == 0)
            return [seen["status"] for seen in server.requests()]

    first = statuses(1)
    assert set(first) == {200, 429, 500, 503, None}
    assert first == statuses(1)
    assert first != statuses(2)
    with pytest.raises(ValueError, match=r"the error rate is 1.5, but must be 0 to 1"):
        MockServer(error_rate=1.5)


def test_the_log_has_a_line_for_each_request(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with MockServer(log=str(log)) as server:
        ask(server)
        ask(server, "gemini", stream=True)
        wait_for(lambda: server.counts()["open_requests"] == 0)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(line["dialect"], line["outcome"]) for line in lines] == [
        ("openai", "complete"),
        ("gemini", "complete"),
    ]


def test_unknown_paths_are_named() -> None:
    with MockServer() as server, connected(server) as connection:
        connection.request("POST", "/v1/chat", "{}")
        answer = Answer(connection.getresponse())
    assert answer.status == 404
    assert answer.json()["error"]["message"] == "no such path: POST /v1/chat"


def test_the_documented_scripts_are_right() -> None:
    import tomllib

    text = (ROOT / "docs/mock.md").read_text(encoding="utf-8")
    script = text.split("```json\n")[1].split("```")[0]
    with MockServer(script=script):
        pass
    script = text.split("```toml\n")[1].split("```")[0]
    with MockServer(script=json.dumps(tomllib.loads(script))):
        pass
