"""One program, all five kinds of connections, against the mock provider."""

from __future__ import annotations

import json
from collections.abc import Iterator

import concerto
import pytest
from concerto import MockServer, errors

from tests.waiting import wait_for

KINDS = {
    "openai": ("openai", "gpt-4o"),
    "anthropic": ("anthropic", "claude-haiku-4-5-20251001"),
    "google": ("gemini", "gemini-2.5-flash"),
    "ollama": ("openai", "llama3.1"),
    "custom": ("openai", "tuned"),
}
"""The protocol and a model of each kind."""

PROGRAM = "schema Point { x: Int, label: String }\n" + "".join(
    f"""
connect c_{kind} {{ provider: {kind}, api_key: "sk-canary-key", base_url: env("ROOT") + "/{kind}/v1", timeout: 5 }}
model M_{kind} {{ provider: c_{kind}, base: "{model}" }}
pub fn text_{kind}(prompt: String) -> Result<Array<String>, LlmError> {{
    let answer = M_{kind}.execute(prompt)?;
    Ok([answer.text, answer.finish_reason, answer.model, "${{answer.tokens_in}} ${{answer.tokens_out}}"])
}}
pub fn typed_{kind}() -> Result<Point, LlmError> {{ M_{kind}.execute_with_schema<Point>("A point") }}
pub fn streamed_{kind}(prompt: String) -> Result<Array<String>, LlmError> {{
    let mut pieces = [];
    for chunk in M_{kind}.stream(prompt)? {{ pieces.push(chunk.text); }}
    Ok(pieces)
}}
"""
    for kind, (_, model) in KINDS.items()
)

SCRIPT = {
    "api_key": "sk-canary-key",
    "rules": [
        {
            "match": {"contains": "bytewise"},
            "reply": {"chunks": ["é", "日本", "🚢"], "bytewise": True},
        },
        {
            "match": {"contains": "break"},
            "reply": {"chunks": ["one", "two", "three"], "fault": "error_event", "after": 2},
        },
        {
            "match": {"contains": "cut"},
            "reply": {"chunks": ["one", "two"], "fault": "cut", "after": 1},
        },
        {"match": {"contains": "busy"}, "reply": {"error": {"status": 429}}},
        {"match": {"contains": "down"}, "reply": {"error": {"status": 503}}},
        {"match": {"contains": "long"}, "reply": {"text": "a", "finish_reason": "length"}},
        {"match": {"contains": "decline"}, "reply": {"refusal": "No."}},
        {"match": {"connection": "google", "contains": "who"}, "reply": {"text": "Gemini"}},
        {"match": {"connection": "anthropic", "contains": "who"}, "reply": {"text": "Claude"}},
    ],
}


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM + "fn main() {}\n")


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


@pytest.fixture
def runtime(program: concerto.Program, server: MockServer) -> concerto.Runtime:
    return concerto.Runtime(program, env={"ROOT": server.root})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_answers(kind: str, runtime: concerto.Runtime, server: MockServer) -> None:
    protocol, model = KINDS[kind]
    text = "[mock response to: Hi there]"
    assert runtime.call(f"text_{kind}", "Hi there") == [text, "stop", model, "8 42"]
    assert runtime.call(f"streamed_{kind}", "Hi there") == [
        "[mock ", "response ", "to: ", "Hi ", "there]",
    ]  # fmt: skip
    point = runtime.call(f"typed_{kind}")
    assert (point.x, point.label) == (0, "[mock label]")
    assert runtime.call(f"streamed_{kind}", "bytewise") == ["é", "日本", "🚢"]
    assert runtime.call(f"text_{kind}", "long")[1] == "length"
    wait_for(lambda: server.counts()["open_requests"] == 0)  # the client may know the end first
    seen = server.requests()
    assert {(each["dialect"], each["status"], each["outcome"]) for each in seen} == {
        (protocol, 200, "complete")
    }
    assert "canary" not in json.dumps(seen)
    metrics = runtime.get_metrics()
    used = metrics.tokens_by_connection(f"c_{kind}")
    counts = server.counts()
    assert (used.tokens_in, used.tokens_out) == (
        counts["prompt_tokens"],
        counts["completion_tokens"],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fails_alike(kind: str, runtime: concerto.Runtime) -> None:
    with pytest.raises(errors.RateLimitedError) as limited:
        runtime.call(f"text_{kind}", "busy")
    assert (limited.value.status, limited.value.retryable) == (429, True)
    with pytest.raises(errors.ServerError) as down:
        runtime.call(f"text_{kind}", "down")
    assert down.value.status == 503
    for prompt, delivered in [("break", "onetwo"), ("cut", "one")]:
        with pytest.raises(errors.StreamInterruptedError) as broken:
            runtime.call(f"streamed_{kind}", prompt)
        assert broken.value.partial_text == delivered


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_a_model_that_declines_is_filtered(kind: str, runtime: concerto.Runtime) -> None:
    if kind == "anthropic":  # it says so in the text, which makes it an answer
        assert runtime.call("text_anthropic", "decline")[:2] == ["No.", "content_filter"]
        return
    with pytest.raises(errors.ContentFilteredError):
        runtime.call(f"text_{kind}", "decline")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_is_refused(kind: str, runtime: concerto.Runtime) -> None:
    runtime.override_connection(f"c_{kind}", api_key="sk-other-key")
    with pytest.raises(errors.AuthenticationError) as refused:
        runtime.call(f"text_{kind}", "Hi")
    assert "sk-other" not in str(refused.value)


def test_rules_may_ask_for_the_connection(runtime: concerto.Runtime) -> None:
    assert runtime.call("text_google", "who?")[0] == "Gemini"
    assert runtime.call("text_anthropic", "who?")[0] == "Claude"
    assert runtime.call("text_openai", "who?")[0] == "[mock response to: who?]"
