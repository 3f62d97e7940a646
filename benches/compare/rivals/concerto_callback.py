"""Concerto from Python: chunks are handed to a callback."""

import asyncio

import concerto

from rivals.concerto_ import PROGRAM, environment


class Client:
    def __init__(self, url: str) -> None:
        self.runtime = concerto.AsyncRuntime(concerto.Program.load(PROGRAM), env=environment(url))
        self.count = 0
        self.runtime.on("text", self._take)

    def _take(self, _text: str) -> None:
        self.count += 1


async def connect_async(url: str) -> Client:
    return Client(url)


async def pull_all(client: Client, prompts: list[str]) -> int:
    """Reads all streams at once; how many chunks came."""
    before = client.count
    await asyncio.gather(*(client.runtime.call("tell", prompt) for prompt in prompts))
    return client.count - before
