"""The mock provider, seen through Google's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from concerto import MockServer
from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
SCRIPT = {
    "api_key": "AIza-test",
    "rules": [
        {
            "match": {"contains": "level"},
            "reply": {"tool_calls": [{"name": "water_level", "arguments": {"gauge": "Kölbe"}}]},
        },
        {
            "match": {"contains": "think"},
            "reply": {
                "text": "Ten.",
                "thinking": "Count.",
                "usage": {
                    "prompt_tokens": 5,
                    "completion_tokens": 9,
                    "reasoning_tokens": 4,
                    "cached_tokens": 2,
                },
            },
        },
        {"match": {"contains": "decline"}, "reply": {"refusal": "No."}},
        {
            "match": {"contains": "busy"},
            "reply": {"error": {"status": 429, "retry_after": {"retry_info": 22}}},
        },
        {"match": {"contains": "broken"}, "reply": {"error": {"status": 500}}},
        {
            "match": {"contains": "mid"},
            "reply": {"chunks": ["one", "two"], "fault": "error_event", "after": 1},
        },
    ],
}
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="water_level",
            description="Water level of a gauge.",
            parameters_json_schema={"type": "object", "properties": {"gauge": {"type": "string"}}},
        )
    ]
)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


def client(server: MockServer, key: str = "AIza-test") -> genai.Client:
    options = types.HttpOptions(base_url=server.root, api_version="v1beta")
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture
def api(server: MockServer) -> Iterator[genai.Client]:
    with client(server) as made:
        yield made


def finish(answer: types.GenerateContentResponse) -> str:
    assert answer.candidates is not None
    reason = answer.candidates[0].finish_reason
    return reason.value if reason else ""


def counts(answer: types.GenerateContentResponse) -> tuple[int | None, ...]:
    usage = answer.usage_metadata
    assert usage is not None
    return (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)


def test_a_plain_answer(api: genai.Client, server: MockServer) -> None:
    answer = api.models.generate_content(model=MODEL, contents="Hi")
    assert (answer.text, finish(answer)) == ("[mock response to: Hi]", "STOP")
    assert (answer.model_version, counts(answer)) == (MODEL, (2, 42, None))
    (asked,) = server.requests()
    assert asked["path"] == f"/v1beta/models/{MODEL}:generateContent"
    assert asked["headers"]["x-goog-api-key"] == "***"


def test_a_stream(api: genai.Client) -> None:
    chunks = list(api.models.generate_content_stream(model=MODEL, contents="Hi there"))
    pieces = [chunk.text for chunk in chunks if chunk.text]
    assert pieces == ["[mock ", "response ", "to: ", "Hi ", "there]"]
    assert finish(chunks[-1]) == "STOP"
    assert [counts(chunk)[1] for chunk in chunks] == [1, 2, 3, 4, 5, 42]


@pytest.mark.parametrize("streamed", [False, True])
def test_function_calls(api: genai.Client, streamed: bool) -> None:
    config = types.GenerateContentConfig(
        tools=[TOOL],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    if streamed:
        (answer,) = api.models.generate_content_stream(
            model=MODEL, contents="level?", config=config
        )
    else:
        answer = api.models.generate_content(model=MODEL, contents="level?", config=config)
    assert answer.function_calls is not None
    (call,) = answer.function_calls
    assert (call.name, call.args) == ("water_level", {"gauge": "Kölbe"})
    assert finish(answer) == "STOP"


def test_structured_output_fits_the_schema(api: genai.Client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=schema
    )
    answer = api.models.generate_content(model=MODEL, contents="Hi", config=config)
    assert json.loads(answer.text or "") == {"n": 0}


def test_thoughts_and_blocks(api: genai.Client) -> None:
    answer = api.models.generate_content(model=MODEL, contents="think")
    assert answer.text == "Ten."
    assert counts(answer) == (5, 5, 4)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.cached_content_token_count == 2
    answer = api.models.generate_content(model=MODEL, contents="decline")
    assert (answer.text, finish(answer)) == (None, "SAFETY")


def test_tokens_are_counted(api: genai.Client) -> None:
    assert api.models.count_tokens(model=MODEL, contents="seven b").total_tokens == 7


def test_models_are_listed(api: genai.Client) -> None:
    assert [model.name for model in api.models.list()] == ["models/mock"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
            "valid role: user, model",
        ),
        (
            {"contents": "Hi", "config": {"http_options": {"extra_body": {"temperatur": 1}}}},
            'Unknown name "temperatur"',
        ),
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "a"}]},
                    {"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]},
                    {"role": "user", "parts": [{"text": "b"}]},
                ]
            },
            "number of function response parts",
        ),
    ],
)
def test_what_the_service_refuses(api: genai.Client, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ClientError, match=message):
        api.models.generate_content(model=MODEL, **asked)


def test_calls_come_back_with_their_signature(api: genai.Client) -> None:
    def turns(part: types.Part) -> list[types.Content]:
        answer = types.Part.from_function_response(name="water_level", response={"output": 212})
        return [
            types.Content(role="user", parts=[types.Part(text="level?")]),
            types.Content(role="model", parts=[part]),
            types.Content(role="user", parts=[answer]),
        ]

    model = "gemini-3.6-flash"
    config = types.GenerateContentConfig(
        tools=[TOOL],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    first = api.models.generate_content(model=model, contents="level?", config=config)
    assert first.candidates is not None
    assert first.candidates[0].content is not None
    (part,) = first.candidates[0].content.parts or []
    api.models.generate_content(model=model, contents=list[Any](turns(part)), config=config)
    part.thought_signature = None
    with pytest.raises(errors.ClientError, match="thought_signature"):
        api.models.generate_content(model=model, contents=list[Any](turns(part)), config=config)


def test_each_class_of_error(server: MockServer, api: genai.Client) -> None:
    with client(server, "AIza-wrong") as stranger:
        with pytest.raises(errors.ClientError, match="API key not valid") as refused:
            stranger.models.generate_content(model=MODEL, contents="Hi")
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    with pytest.raises(errors.ClientError) as limited:
        api.models.generate_content(model=MODEL, contents="busy")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert limited.value.details["error"]["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22s"}
    ]
    with pytest.raises(errors.ServerError, match="INTERNAL"):
        api.models.generate_content(model=MODEL, contents="broken")
    with pytest.raises(errors.ServerError, match="UNAVAILABLE"):
        list(api.models.generate_content_stream(model=MODEL, contents="mid"))
