"""The mock provider, seen through Ollama's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from concerto import MockServer
from ollama import Client, Message, ResponseError

MODEL = "llama3.1"
SCRIPT = {
    "rules": [
        {
            "match": {"contains": "level"},
            "reply": {"tool_calls": [{"name": "water_level", "arguments": {"gauge": "Kölbe"}}]},
        },
        {"match": {"contains": "think"}, "reply": {"text": "Ten.", "thinking": "Count."}},
        {"match": {"contains": "cut short"}, "reply": {"text": "a", "finish_reason": "length"}},
        {
            "match": {"contains": "missing"},
            "reply": {"error": {"status": 404, "message": "model 'llama9' not found"}},
        },
        {
            "match": {"contains": "mid"},
            "reply": {"chunks": ["one", "two"], "fault": "error_event", "after": 1},
        },
    ],
}


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


@pytest.fixture
def api(server: MockServer) -> Iterator[Client]:
    with Client(host=server.root) as client:
        yield client


def ask(prompt: str) -> list[Message]:
    return [Message(role="user", content=prompt)]


def test_a_plain_answer(api: Client) -> None:
    answer = api.chat(MODEL, ask("Hi"))
    assert answer.message.content == "[mock response to: Hi]"
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (2, 42)


def test_a_stream(api: Client) -> None:
    chunks = list(api.chat(MODEL, ask("Hi there"), stream=True))
    pieces = [chunk.message.content for chunk in chunks]
    assert pieces == ["[mock ", "response ", "to: ", "Hi ", "there]", ""]
    assert [chunk.done for chunk in chunks] == [False] * 5 + [True]
    assert chunks[-1].eval_count == 42


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls(api: Client, streamed: bool) -> None:
    ways = {
        True: lambda: next(iter(api.chat(MODEL, ask("level?"), stream=True))),
        False: lambda: api.chat(MODEL, ask("level?")),
    }
    answer = ways[streamed]()
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("water_level", {"gauge": "Kölbe"})


def test_structured_output_fits_the_schema(api: Client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    answer = api.chat(MODEL, ask("Hi"), format=schema)
    assert json.loads(answer.message.content or "") == {"n": 0}


def test_thinking_and_ends(api: Client) -> None:
    answer = api.chat(MODEL, ask("think"))
    assert (answer.message.content, answer.message.thinking) == ("Ten.", "Count.")
    thoughts = [chunk.message.thinking for chunk in api.chat(MODEL, ask("think"), stream=True)]
    assert thoughts == ["Count.", None, None]
    assert api.chat(MODEL, ask("cut short")).done_reason == "length"


def test_generate(api: Client) -> None:
    assert api.generate(MODEL, "Hi").response == "[mock response to: Hi]"
    pieces = [chunk.response for chunk in api.generate(MODEL, "Hi", stream=True)]
    assert pieces == ["[mock ", "response ", "to: ", "Hi]", ""]


def test_models_are_listed(api: Client) -> None:
    assert [model.model for model in api.list().models] == ["mock"]


def test_each_class_of_error(api: Client) -> None:
    with pytest.raises(ResponseError, match="model 'llama9' not found") as missing:
        api.chat(MODEL, ask("missing"))
    assert missing.value.status_code == 404
    received = []
    with pytest.raises(ResponseError, match="server busy"):
        for chunk in api.chat(MODEL, ask("mid"), stream=True):
            received.append(chunk.message.content)
    assert received == ["one"]
