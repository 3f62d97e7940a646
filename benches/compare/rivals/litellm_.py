"""LiteLLM."""

from collections.abc import AsyncIterator

import litellm

from rivals.person import Person
from rivals.shared import KEY, MODEL, QUESTION, WHO


def connect(url: str) -> dict[str, str]:
    return {"model": f"openai/{MODEL}", "api_key": KEY, "api_base": url}


def ask(client: dict[str, str]) -> str:
    answer = litellm.completion(messages=[{"role": "user", "content": QUESTION}], **client)
    return answer.choices[0].message.content or ""


def typed(client: dict[str, str]) -> Person:
    answer = litellm.completion(
        messages=[{"role": "user", "content": WHO}], response_format=Person, **client
    )
    return Person.model_validate_json(answer.choices[0].message.content)


async def connect_async(url: str) -> dict[str, str]:
    return connect(url)


async def ask_async(client: dict[str, str]) -> str:
    answer = await litellm.acompletion(messages=[{"role": "user", "content": QUESTION}], **client)
    return answer.choices[0].message.content or ""


async def stream(client: dict[str, str], prompt: str) -> AsyncIterator[str]:
    chunks = await litellm.acompletion(
        messages=[{"role": "user", "content": prompt}], stream=True, **client
    )
    async for chunk in chunks:
        if text := chunk.choices[0].delta.content:
            yield text
