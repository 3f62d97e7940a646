"""Written by hand over aiohttp."""

from collections.abc import AsyncIterator

import aiohttp

from rivals import plain


async def connect_async(url: str) -> tuple[aiohttp.ClientSession, str]:
    connector = aiohttp.TCPConnector(limit=1024)
    return aiohttp.ClientSession(
        headers=plain.HEADERS, connector=connector
    ), f"{url}/chat/completions"


async def ask_async(client: tuple[aiohttp.ClientSession, str]) -> str:
    session, url = client
    async with session.post(url, json=plain.body(), raise_for_status=True) as answer:
        return plain.text(await answer.json())


async def stream(client: tuple[aiohttp.ClientSession, str], prompt: str) -> AsyncIterator[str]:
    session, url = client
    async with session.post(
        url, json=plain.body(prompt, stream=True), raise_for_status=True
    ) as answer:
        async for line in answer.content:
            if text := plain.piece(line.decode().rstrip()):
                yield text
