"""The mock provider, seen through OpenAI's own client: chat completions and responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from concerto import MockServer
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from openai.types.shared_params import ResponseFormatJSONSchema

SCRIPT = {
    "api_key": "sk-test",
    "rules": [
        {
            "times": 1,
            "match": {"contains": "busy"},
            "reply": {
                "error": {"status": 429, "message": "slow down"},
                "headers": [["retry-after", "0"]],
            },
        },
        {
            "match": {"contains": "level"},
            "reply": {
                "tool_calls": [
                    {"name": "water_level", "arguments": {"gauge": "K\u00f6lbe"}},
                    {"name": "list_gauges"},
                ]
            },
        },
        {"match": {"contains": "decline"}, "reply": {"refusal": "No."}},
        {"match": {"contains": "cut short"}, "reply": {"text": "a", "finish_reason": "length"}},
        {"match": {"contains": "broken"}, "reply": {"error": {"status": 500}}},
        {
            "match": {"contains": "quota"},
            "reply": {"error": {"status": 429, "type": "insufficient_quota"}},
        },
        {
            "match": {"contains": "mid"},
            "reply": {"chunks": ["one", "two"], "fault": "error_event", "after": 1},
        },
        {
            "match": {"contains": "pieces"},
            "reply": {
                "chunks": ["a", "b", "\u00e9"],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4},
            },
        },
    ],
}


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


def client(server: MockServer, key: str = "sk-test", retries: int = 0) -> OpenAI:
    return OpenAI(api_key=key, base_url=server.url, max_retries=retries)


def ask(prompt: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": prompt}]


def test_a_plain_answer(server: MockServer) -> None:
    with client(server) as api:
        answer = api.chat.completions.create(model="gpt-4o", messages=ask("Hi"))
    assert answer.choices[0].message.content == "[mock response to: Hi]"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 42)


def test_a_stream_with_usage(server: MockServer) -> None:
    with client(server) as api:
        stream = api.chat.completions.create(
            model="gpt-4o",
            messages=ask("pieces"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "ab\u00e9"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7


def test_structured_output_fits_the_schema(server: MockServer) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form: ResponseFormatJSONSchema = {
        "type": "json_schema",
        "json_schema": {"name": "S", "strict": True, "schema": schema},
    }
    with client(server) as api:
        answer = api.chat.completions.create(
            model="gpt-4o", messages=ask("Hi"), response_format=form
        )
        assert json.loads(answer.choices[0].message.content or "") == {"n": 0}
        schema["required"] = []
        with pytest.raises(openai.BadRequestError, match="Missing 'n'"):
            api.chat.completions.create(model="gpt-4o", messages=ask("Hi"), response_format=form)
        with pytest.raises(openai.BadRequestError, match="response_format"):
            api.chat.completions.create(
                model="gpt-4-turbo", messages=ask("Hi"), response_format=form
            )


TOOL: Any = {
    "type": "function",
    "function": {"name": "water_level", "parameters": {"type": "object", "properties": {}}},
}


def test_tool_calls_plain_and_streamed(server: MockServer) -> None:
    expected = [("water_level", '{"gauge":"K\u00f6lbe"}'), ("list_gauges", "{}")]
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": ask("level?"), "tools": [TOOL]}
    with client(server) as api:
        plain = api.chat.completions.create(**asked).choices[0]
        with api.chat.completions.stream(**asked) as stream:
            streamed = stream.get_final_completion().choices[0]
    for choice in (plain, streamed):
        calls = choice.message.tool_calls or []
        found = [(c.function.name, c.function.arguments) for c in calls if c.type == "function"]
        assert (choice.finish_reason, found) == ("tool_calls", expected)


def test_a_forced_tool_is_called_and_must_be_answered(server: MockServer) -> None:
    choice: Any = {"type": "function", "function": {"name": "water_level"}}
    with client(server) as api:
        answer = api.chat.completions.create(
            model="gpt-4o", messages=ask("Hi"), tools=[TOOL], tool_choice=choice
        )
        (call,) = answer.choices[0].message.tool_calls or []
        turn: Any = answer.choices[0].message.model_dump(exclude_none=True)
        turns: list[Any] = [*ask("Hi"), turn]
        with pytest.raises(openai.BadRequestError, match=f"response messages: {call.id}"):
            api.chat.completions.create(model="gpt-4o", messages=[*turns, *ask("And?")])
        turns.append({"role": "tool", "tool_call_id": call.id, "content": "212"})
        answer = api.chat.completions.create(model="gpt-4o", messages=turns)
    assert answer.choices[0].message.content == "[mock response to: Hi]"


def test_refusals_of_the_model_and_cut_answers(server: MockServer) -> None:
    with client(server) as api:
        declined = api.chat.completions.create(model="gpt-4o", messages=ask("decline")).choices[0]
        cut = api.chat.completions.create(model="gpt-4o", messages=ask("cut short")).choices[0]
    assert (declined.message.refusal, declined.message.content) == ("No.", None)
    assert (cut.message.content, cut.finish_reason) == ("a", "length")


def test_refusals(server: MockServer) -> None:
    with client(server, key="sk-wrong") as api, pytest.raises(openai.AuthenticationError):
        api.chat.completions.create(model="gpt-4o", messages=ask("Hi"))
    with (
        client(server) as api,
        pytest.raises(openai.BadRequestError, match="max_completion_tokens"),
    ):
        api.chat.completions.create(model="o3", messages=ask("Hi"), max_tokens=5)
    with client(server) as api, pytest.raises(openai.RateLimitError, match="slow down"):
        api.chat.completions.create(model="gpt-4o", messages=ask("busy"))
    with client(server) as api:
        with pytest.raises(openai.InternalServerError, match="had an error") as broken:
            api.chat.completions.create(model="gpt-4o", messages=ask("broken"))
        assert (broken.value.type, broken.value.request_id) == ("server_error", "req_mock_4")
        with pytest.raises(openai.RateLimitError) as quota:
            api.chat.completions.create(model="gpt-4o", messages=ask("quota"))
        assert (quota.value.code, quota.value.type) == ("insufficient_quota",) * 2
        with pytest.raises(openai.NotFoundError, match="v1/responses"):
            api.chat.completions.create(model="o3-pro", messages=ask("Hi"))
        with pytest.raises(openai.APIError, match="overloaded"):
            list(api.chat.completions.create(model="gpt-4o", messages=ask("mid"), stream=True))


def test_responses_plain(server: MockServer) -> None:
    with client(server) as api:
        answer = api.responses.create(model="gpt-5.6-sol", input="Hi")
        schema = {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        }
        form: Any = {
            "format": {"type": "json_schema", "name": "S", "strict": True, "schema": schema}
        }
        typed = api.responses.create(model="gpt-5.6-sol", input="Hi", text=form)
        cut = api.responses.create(model="gpt-5.6-sol", input="cut short")
        calls = api.responses.create(model="gpt-5.6-sol", input="level?")
    assert (answer.output_text, answer.status) == ("[mock response to: Hi]", "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 42)
    assert json.loads(typed.output_text) == {"n": 0}
    assert cut.incomplete_details is not None
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    found = [(c.name, c.arguments) for c in calls.output if c.type == "function_call"]
    assert found == [("water_level", '{"gauge":"K\u00f6lbe"}'), ("list_gauges", "{}")]


@pytest.mark.parametrize("prompt", ["Hi there", "level?", "decline", "cut short"])
def test_responses_streamed_equal_plain_ones(server: MockServer, prompt: str) -> None:
    with client(server) as api:
        plain = api.responses.create(model="gpt-5.6-sol", input=prompt)
        with api.responses.stream(model="gpt-5.6-sol", input=prompt) as stream:
            events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")

    def said(response: Any) -> Any:
        output = response.model_dump(mode="json", exclude={"parsed", "parsed_arguments"})["output"]
        for item in output:
            item.pop("parsed_arguments", None)
            item.pop("call_id", None)
            for part in item.get("content") or []:
                part.pop("parsed", None)
        return (response.status, output)

    assert said(last.response) == said(plain)


def test_what_responses_refuse(server: MockServer) -> None:
    with client(server) as api:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"extra_body": {"stop": "x"}}, "Unknown parameter: 'stop'"),
            ({"max_output_tokens": 3}, "Expected a value >= 16"),
            ({"temperature": 0.2}, "'temperature' is not supported"),
        ]
        for more, message in cases:
            asked: dict[str, Any] = {"model": "gpt-5.6-sol", "input": "Hi", **more}
            with pytest.raises(openai.BadRequestError, match=message):
                api.responses.create(**asked)
        *_, last = api.responses.create(model="gpt-5.6-sol", input="mid", stream=True)
    assert last.type == "error"
    assert (last.code, "overloaded" in last.message) == ("server_is_overloaded", True)


def test_a_rule_serves_as_often_as_it_says(server: MockServer) -> None:
    with client(server, retries=1) as api:
        answer = api.chat.completions.create(model="gpt-4o", messages=ask("busy"))
    assert answer.choices[0].message.content == "[mock response to: busy]"
    assert len(server.requests()) == 2


def test_models_are_listed(server: MockServer) -> None:
    with client(server) as api:
        assert [model.id for model in api.models.list()] == ["mock"]


def test_a_wrong_script_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown field `rule`"):
        MockServer(script='{"rule": []}')
