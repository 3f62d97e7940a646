"""The mock provider, seen through the vendor's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator

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


def test_the_documented_script_is_right() -> None:
    from tests.conftest import ROOT

    text = (ROOT / "docs/mock.md").read_text(encoding="utf-8")
    script = text.split("```json\n")[1].split("```")[0]
    with MockServer(script=script):
        pass
