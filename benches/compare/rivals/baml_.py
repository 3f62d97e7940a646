"""BAML: a Rust core behind a generated Python client (`baml_src/bench.baml`)."""

import os
from collections.abc import AsyncIterator
from typing import Any

from rivals.shared import QUESTION, WHO


def connect(url: str) -> Any:
    os.environ["BENCH_URL"] = url
    os.environ.setdefault("BAML_LOG", "off")
    from baml_client.sync_client import b

    return b


def ask(client: Any) -> str:
    text: str = client.Ask(QUESTION)
    return text


def typed(client: Any) -> Any:
    return client.Describe(WHO)


async def connect_async(url: str) -> Any:
    connect(url)
    from baml_client.async_client import b

    return b


async def ask_async(client: Any) -> str:
    text: str = await client.Ask(QUESTION)
    return text


async def stream(client: Any, prompt: str) -> AsyncIterator[str]:
    # Each partial answer is the whole text so far.
    seen = 0
    async for text in client.stream.Ask(prompt):
        yield text[seen:]
        seen = len(text)
