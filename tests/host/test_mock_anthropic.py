"""The mock provider, seen through Anthropic's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam, TextBlock, ThinkingBlock, ToolUseBlock
from concerto import MockServer

MODEL = "claude-haiku-4-5-20251001"
SCRIPT = {
    "api_key": "sk-ant-test",
    "rules": [
        {
            "match": {"contains": "level"},
            "reply": {
                "text": "I look.",
                "tool_calls": [{"name": "water_level", "arguments": {"gauge": "Kölbe"}}],
                "usage": {"prompt_tokens": 30, "completion_tokens": 9, "cached_tokens": 10},
            },
        },
        {"match": {"contains": "think"}, "reply": {"text": "Ten.", "thinking": "Count."}},
        {"match": {"contains": "cut short"}, "reply": {"text": "a", "finish_reason": "length"}},
        {"match": {"contains": "decline"}, "reply": {"refusal": "No."}},
        {
            "match": {"contains": "busy"},
            "reply": {"error": {"status": 429, "retry_after": {"seconds": 0}}},
        },
        {"match": {"contains": "overloaded"}, "reply": {"error": {"status": 529}}},
        {
            "match": {"contains": "break"},
            "reply": {"chunks": ["one", "two"], "fault": "error_event", "after": 1},
        },
    ],
}
TOOL: Any = {
    "name": "water_level",
    "description": "Water level of a gauge.",
    "input_schema": {"type": "object", "properties": {"gauge": {"type": "string"}}},
}


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


@pytest.fixture
def api(server: MockServer) -> Iterator[Anthropic]:
    with Anthropic(api_key="sk-ant-test", base_url=server.root, max_retries=0) as client:
        yield client


def ask(prompt: str) -> list[MessageParam]:
    return [{"role": "user", "content": prompt}]


def test_a_plain_answer(api: Anthropic) -> None:
    answer = api.messages.create(model=MODEL, max_tokens=50, messages=ask("Hi"))
    assert [block.type for block in answer.content] == ["text"]
    assert isinstance(answer.content[0], TextBlock)
    assert answer.content[0].text == "[mock response to: Hi]"
    assert (answer.stop_reason, answer.model) == ("end_turn", MODEL)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 42)


def test_a_stream(api: Anthropic) -> None:
    with api.messages.stream(model=MODEL, max_tokens=50, messages=ask("Hi there")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert pieces == ["[mock ", "response ", "to: ", "Hi ", "there]"]
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 42)


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls(api: Anthropic, streamed: bool) -> None:
    question = ask("level?")
    if streamed:
        with api.messages.stream(
            model=MODEL, max_tokens=50, messages=question, tools=[TOOL]
        ) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = api.messages.create(model=MODEL, max_tokens=50, messages=question, tools=[TOOL])
    text, call = answer.content
    assert text.text == "I look."
    assert isinstance(call, ToolUseBlock)
    assert (call.name, call.input) == ("water_level", {"gauge": "Kölbe"})
    assert answer.stop_reason == "tool_use"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (20, 10, 9)


def test_a_call_must_be_answered(api: Anthropic) -> None:
    call: Any = {"type": "tool_use", "id": "toolu_1", "name": "water_level", "input": {}}
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "212"}
    turns: list[MessageParam] = [*ask("Hi"), {"role": "assistant", "content": [call]}]
    create = api.messages.create
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result` blocks"):
        create(model=MODEL, max_tokens=50, tools=[TOOL], messages=[*turns, *ask("And?")])
    turns.append({"role": "user", "content": [result]})
    with pytest.raises(anthropic.BadRequestError, match="must define tools"):
        create(model=MODEL, max_tokens=50, messages=turns)
    answer = create(model=MODEL, max_tokens=50, tools=[TOOL], messages=turns)
    assert answer.stop_reason == "end_turn"


def test_structured_output_fits_the_schema_either_way(api: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "schema": schema}}
    answer = api.messages.create(model=MODEL, max_tokens=50, messages=ask("Hi"), output_config=form)
    assert isinstance(answer.content[0], TextBlock)
    assert json.loads(answer.content[0].text) == {"n": 0}
    tool: Any = {"name": "respond_T", "input_schema": schema}
    answer = api.messages.create(
        model=MODEL,
        max_tokens=50,
        messages=ask("Hi"),
        tools=[tool],
        tool_choice={"type": "tool", "name": "respond_T"},
    )
    assert isinstance(answer.content[0], ToolUseBlock)
    assert answer.content[0].input == {"n": 0}
    schema["properties"] = {"n": {"type": "integer", "minimum": 1}}
    with pytest.raises(anthropic.BadRequestError, match="'minimum' is not supported"):
        api.messages.create(model=MODEL, max_tokens=50, messages=ask("Hi"), output_config=form)


def test_thinking_and_ends(api: Anthropic) -> None:
    with api.messages.stream(model=MODEL, max_tokens=50, messages=ask("think")) as stream:
        thought, said = stream.get_final_message().content
    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking == "Count."
    assert isinstance(said, TextBlock)
    assert said.text == "Ten."
    for prompt, reason in [("cut short", "max_tokens"), ("decline", "refusal")]:
        answer = api.messages.create(model=MODEL, max_tokens=50, messages=ask(prompt))
        assert answer.stop_reason == reason


def test_tokens_are_counted(api: Anthropic) -> None:
    assert api.messages.count_tokens(model=MODEL, messages=ask("seven b")).input_tokens == 7


def test_models_are_listed(api: Anthropic) -> None:
    assert [model.id for model in api.models.list()] == ["mock"]


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        (MODEL, {"temperature": 1.5}, "temperature: range: 0..1"),
        (MODEL, {"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
        ("claude-opus-5-5", {"temperature": 0.5}, "`temperature` is deprecated"),
        (MODEL, {"extra_body": {"seed": 7}}, "seed: Extra inputs are not permitted"),
        (
            MODEL,
            {"temperature": 0.5, "extra_headers": {"anthropic-version": "2026-10-21"}},
            "temperature: Extra inputs are not permitted",
        ),
        (MODEL, {"max_tokens": 0}, "max_tokens: "),
        (MODEL, {"messages": [{"role": "user", "content": " "}]}, "must be non-empty"),
        (MODEL, {"messages": [{"role": "assistant", "content": "a"}]}, '"user" role'),
    ],
)
def test_what_the_service_refuses(
    api: Anthropic, model: str, more: dict[str, Any], message: str
) -> None:
    asked: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": ask("Hi"), **more}
    with_old_version = {"anthropic-version": "2023-06-01"}
    asked["extra_headers"] = {**with_old_version, **asked.get("extra_headers", {})}
    for field in ("temperature", "top_p"):  # the client no longer has them
        if field in asked:
            asked.setdefault("extra_body", {})[field] = asked.pop(field)
    with pytest.raises(anthropic.BadRequestError, match=message) as caught:
        api.messages.create(**asked)
    assert caught.value.request_id == "req_mock_1"


def test_each_class_of_error(server: MockServer, api: Anthropic) -> None:
    with (
        Anthropic(api_key="sk-wrong", base_url=server.root, max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"),
    ):
        stranger.messages.create(model=MODEL, max_tokens=5, messages=ask("Hi"))
    with pytest.raises(anthropic.RateLimitError) as limited:
        api.messages.create(model=MODEL, max_tokens=5, messages=ask("busy"))
    assert limited.value.response.headers["retry-after"] == "0"
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        api.messages.create(model=MODEL, max_tokens=5, messages=ask("overloaded"))
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        api.messages.stream(model=MODEL, max_tokens=5, messages=ask("break")) as stream,
    ):
        list(stream.text_stream)
