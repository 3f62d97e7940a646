"""Concerto from Python: one call of a function of a program per question."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import concerto

from rivals.shared import KEY, QUESTION, WHO

PROGRAM = Path(os.environ.get("BENCH_PROGRAM", "target/compare/bench.conc-ir"))


def environment(url: str) -> dict[str, str]:
    return {"BENCH_URL": url, "BENCH_KEY": KEY}


def connect(url: str) -> concerto.Runtime:
    return concerto.Runtime(concerto.Program.load(PROGRAM), env=environment(url))


def ask(client: concerto.Runtime) -> str:
    text: str = client.call("ask", QUESTION)
    return text


def typed(client: concerto.Runtime) -> Any:
    return client.call("describe", WHO)


async def connect_async(url: str) -> concerto.AsyncRuntime:
    return concerto.AsyncRuntime(concerto.Program.load(PROGRAM), env=environment(url))


async def ask_async(client: concerto.AsyncRuntime) -> str:
    text: str = await client.call("ask", QUESTION)
    return text


async def stream(client: concerto.AsyncRuntime, prompt: str) -> AsyncIterator[str]:
    run = client.start("tell", prompt)
    async for emit in run:
        yield emit.payload
    await run
