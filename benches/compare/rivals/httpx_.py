"""Written by hand over httpx."""

from collections.abc import AsyncIterator

import httpx

from rivals import plain
from rivals.person import Person

LIMITS = httpx.Limits(max_connections=1024, max_keepalive_connections=1024)


def connect(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=plain.HEADERS, timeout=60)


def ask(client: httpx.Client) -> str:
    return plain.text(client.post("/chat/completions", json=plain.body()).raise_for_status().json())


def typed(client: httpx.Client) -> Person:
    answer = client.post("/chat/completions", json=plain.TYPED).raise_for_status().json()
    return Person.model_validate_json(plain.text(answer))


async def connect_async(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=plain.HEADERS, timeout=60, limits=LIMITS)


async def ask_async(client: httpx.AsyncClient) -> str:
    answer = await client.post("/chat/completions", json=plain.body())
    return plain.text(answer.raise_for_status().json())


async def stream(client: httpx.AsyncClient, prompt: str) -> AsyncIterator[str]:
    async with client.stream(
        "POST", "/chat/completions", json=plain.body(prompt, stream=True)
    ) as answer:
        async for line in answer.aiter_lines():
            if text := plain.piece(line):
                yield text
