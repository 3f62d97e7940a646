"""All kinds of connections in one program, each in its own protocol, against the mock provider, which refuses what the real services refuse."""

from __future__ import annotations

import json
from typing import Any

import concerto
import pytest
from concerto import MockServer, errors

from tests.waiting import wait_for

#: Connection, kind, model ids that take schemas in different ways.
MODELS = [
    ("a", "openai", "gpt-4o-mini"),
    ("b", "openai", "o3"),
    ("c", "anthropic", "claude-haiku-4-5"),
    ("d", "anthropic", "claude-sonnet-4-20250514"),
    ("e", "anthropic", "claude-opus-5-5"),
    ("f", "google", "gemini-2.5-flash"),
    ("g", "ollama", "llama3.1"),
    ("h", "custom", "some-model"),
]


def program(body: str) -> str:
    """Declares one connection and one model for each row, then `body` with `MODEL` for each model."""
    lines = ['schema Ticket { area: "billing" | "login", urgent: Bool, note?: String }']
    for name, kind, base in MODELS:
        key = ' api_key: "sk-test-1234",'
        url = 'base_url: "http://127.0.0.1:9/v1"'
        lines.append(f'connect {name} {{ provider: "{kind}",{key} {url} }}')
        system = 'system_prompt: "Be brief."'
        fields = f'provider: {name}, base: "{base}", {system}, max_tokens: 500'
        lines.append(f"model {name.upper()} {{ {fields} }}")
        lines.append(body.replace("MODEL", name.upper()).replace("NAME", name))
    return "\n".join(lines)


def runtime(body: str, server: MockServer) -> concerto.Runtime:
    made = concerto.Runtime(concerto.compile(program(body)))
    for name, _, _ in MODELS:
        made.override_connection(name, base_url=server.url)
    return made


PATHS = {
    "openai": "/v1/chat/completions",
    "ollama": "/v1/chat/completions",
    "custom": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1/models/gemini-2.5-flash:generateContent",
}


# C-38 to C-42, C-50, C-54
def test_plain_calls() -> None:
    body = 'pub fn NAME() -> Result<String, LlmError> { Ok(MODEL.execute("Hello?")?.text) }'
    with MockServer() as server, runtime(body, server) as made:
        for name, _, _ in MODELS:
            assert made.call(name) == "[mock response to: Hello?]"
        sent = server.requests()
        assert [request["status"] for request in sent] == [200] * len(MODELS)
        assert [request["path"] for request in sent] == [PATHS[kind] for _, kind, _ in MODELS]
        metrics = made.get_metrics()
        for name, _, _ in MODELS:
            tokens = metrics.tokens_by_connection(name)
            assert (tokens.tokens_in, tokens.tokens_out) == (len("Hello?"), 42)


# M-40: each way to ask for a typed answer, in requests that the services take.
def test_typed_calls() -> None:
    body = """pub fn NAME() -> Result<Ticket, LlmError> {
        Ok(MODEL.execute_with_schema<Ticket>("Sort this.")?)
    }"""
    with MockServer() as server, runtime(body, server) as made:
        for name, _, _ in MODELS:
            ticket = made.call(name)
            assert (ticket.area, ticket.urgent) == ("billing", False), name
        bodies: list[dict[str, Any]] = [request["body"] for request in server.requests()]
    ways = [
        "response_format",
        "response_format",
        "output_config",
        "tool_choice",
        "output_config",
        "generationConfig",
        "response_format",
        "response_format",
    ]
    assert [way in body for way, body in zip(ways, bodies, strict=True)] == [True] * len(MODELS)


# S-1, S-14
def test_streams() -> None:
    body = """pub fn NAME() -> Result<String, LlmError> {
        let mut text = "";
        for chunk in MODEL.stream("Tell me a tale of the sea")? { text += chunk.text; }
        Ok(text)
    }"""
    script = {"rules": [{"reply": {"chunks": ["Ham", "burg — ", "🚢"], "bytewise": True}}]}
    with MockServer(script=json.dumps(script)) as server, runtime(body, server) as made:
        for name, _, _ in MODELS:
            assert made.call(name) == "Hamburg — 🚢", name
        wait_for(lambda: server.counts()["open_requests"] == 0)  # the client may know the end first
        assert {request["outcome"] for request in server.requests()} == {"complete"}


# E-4, C-72: the same failure has the same kind in every protocol.
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.ModelNotFoundError),
        (429, errors.RateLimitedError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_errors(status: int, kind: type[Exception]) -> None:
    body = 'pub fn NAME() -> Result<String, LlmError> { Ok(MODEL.execute("Hello?")?.text) }'
    script = {"rules": [{"reply": {"error": {"status": status, "retry_after": {"seconds": 2}}}}]}
    with MockServer(script=json.dumps(script)) as server, runtime(body, server) as made:
        for name, _, _ in MODELS:
            with pytest.raises(kind) as caught:
                made.call(name)
            found = (caught.value.status, caught.value.retry_after_ms)  # type: ignore[attr-defined]
            waits = 2000 if status in (429, 500, 503) else None
            assert found == (status, waits), name


# S-11: an error event in the middle, in the protocol's own form.
def test_streams_that_break() -> None:
    body = """pub fn NAME() -> Result<String, LlmError> {
        let mut text = "";
        for chunk in MODEL.stream("Tell")? { text += chunk.text; }
        Ok(text)
    }"""
    for fault, cause in (("cut", "network"), ("error_event", "server_error")):
        reply = {"chunks": ["one ", "two ", "three"], "fault": fault, "after": 2}
        with (
            MockServer(script=json.dumps({"rules": [{"reply": reply}]})) as server,
            runtime(body, server) as made,
        ):
            for name, _, _ in MODELS:
                with pytest.raises(errors.StreamInterruptedError) as caught:
                    made.call(name)
                assert (caught.value.partial_text, caught.value.cause) == ("one two ", cause), name
