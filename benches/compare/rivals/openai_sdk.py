"""The OpenAI SDK."""

from collections.abc import AsyncIterator

from openai import AsyncOpenAI, OpenAI

from rivals.person import Person
from rivals.shared import KEY, MODEL, QUESTION, WHO


def connect(url: str) -> OpenAI:
    return OpenAI(api_key=KEY, base_url=url)


def ask(client: OpenAI) -> str:
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    return answer.choices[0].message.content or ""


def typed(client: OpenAI) -> Person | None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": WHO}], response_format=Person
    )
    return answer.choices[0].message.parsed


async def connect_async(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=KEY, base_url=url)


async def ask_async(client: AsyncOpenAI) -> str:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    return answer.choices[0].message.content or ""


async def stream(client: AsyncOpenAI, prompt: str) -> AsyncIterator[str]:
    chunks = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], stream=True
    )
    async for chunk in chunks:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield text
