"""One stream of 1,000,000 chunks, consumed from Python: `make long-stream` (release build) prints one table.

Concerto hands the chunks of one program to a callback, to an iteration and to asyncio; the OpenAI SDK reads the same answer of the same mock server, which
is a process of its own. Each measurement is a process of its own, too, and the ways take turns, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = """
connect c { base_url: env("URL"), api_key: "k", provider: openai, default_model: "m", timeout: 600 }
model M { provider: c }
pub fn tell(prompt: String) -> Result<Int, LlmError> {
    let mut n = 0;
    for chunk in M.stream(prompt)? { emit("chunk", chunk.text); n += 1; }
    Ok(n)
}
"""


def script(count: int) -> dict[str, Any]:
    """What the mock server answers: so many words, each a chunk."""
    return {"rules": [{"reply": {"repeat": {"text": "{n} ", "count": count}}}]}


class Heard:
    """Counts chunks and their characters, as little as a consumer can do, and tells what that took."""

    def __init__(self) -> None:
        self.chunks = 0
        self.length = 0

    def __call__(self, text: str) -> None:
        self.chunks += 1
        self.length += len(text)

    def begin(self) -> None:
        """All is loaded, and the request goes out now."""
        self._started, self._computed = time.perf_counter(), time.process_time()

    def figures(self) -> dict[str, float]:
        """Seconds, seconds of processor time of all threads, and MiB at the peak."""
        seconds, computed = (
            time.perf_counter() - self._started,
            time.process_time() - self._computed,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": seconds, "computed": computed, "mib": peak}


def runtime(url: str, make: Callable[..., Any]) -> Any:
    import concerto

    return make(concerto.compile(PROGRAM), env={"URL": url})


def callback(url: str, heard: Heard) -> None:
    import concerto

    rt = runtime(url, concerto.Runtime)
    rt.on("chunk", heard)
    heard.begin()
    rt.call("tell", "stream")


def iteration(url: str, heard: Heard) -> None:
    import concerto

    rt = runtime(url, concerto.Runtime)
    heard.begin()
    with rt.start("tell", "stream") as run:
        for emit in run:
            heard(emit.payload)
        run.result()


def asyncio_callback(url: str, heard: Heard) -> None:
    import concerto

    rt = runtime(url, concerto.AsyncRuntime)
    rt.on("chunk", heard)
    heard.begin()
    asyncio.run(rt.call("tell", "stream"))


def asyncio_iteration(url: str, heard: Heard) -> None:
    import concerto

    rt = runtime(url, concerto.AsyncRuntime)

    async def main() -> None:
        async with rt.start("tell", "stream") as run:
            async for emit in run:
                heard(emit.payload)
            await run

    heard.begin()
    asyncio.run(main())


QUESTION: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "stream"}],
    "stream": True,
}


def openai_iteration(url: str, heard: Heard) -> None:
    from openai import OpenAI

    with OpenAI(api_key="k", base_url=url) as client:
        heard.begin()
        for chunk in client.chat.completions.create(**QUESTION):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                heard(text)


def openai_asyncio(url: str, heard: Heard) -> None:
    from openai import AsyncOpenAI

    async def main() -> None:
        async with AsyncOpenAI(api_key="k", base_url=url) as client:
            heard.begin()
            async for chunk in await client.chat.completions.create(**QUESTION):
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    heard(text)

    asyncio.run(main())


WAYS: dict[str, Callable[[str, Heard], None]] = {
    "Concerto, callback": callback,
    "Concerto, iteration": iteration,
    "Concerto, asyncio, callback": asyncio_callback,
    "Concerto, asyncio, iteration": asyncio_iteration,
    "OpenAI SDK, iteration": openai_iteration,
    "OpenAI SDK, asyncio": openai_asyncio,
}


def measure(way: str, url: str, count: int) -> dict[str, float]:
    """Consumes the stream once in this process. A chunk that is lost fails."""
    heard = Heard()
    WAYS[way](url, heard)
    figures = heard.figures()
    expected = sum(len(f"{n} ") for n in range(count))
    assert (heard.chunks, heard.length) == (count, expected), vars(heard)
    return figures


@contextmanager
def server(count: int) -> Iterator[str]:
    """A mock server in a process of its own; gives its URL."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "script.json").write_text(json.dumps(script(count)), encoding="utf-8")
        command = [sys.executable, "-m", "concerto", "mock", "--script", f"{folder}/script.json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None, "the mock server did not start"
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.url, options.chunks)))
        return
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with server(options.chunks) as url:
        for _ in range(options.rounds):
            for way, results in rounds.items():
                command = [sys.executable, __file__, "--way", way, "--url", url]
                done = subprocess.run(
                    [*command, "--chunks", str(options.chunks)],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                results.append(json.loads(done.stdout))
    print(f"{options.chunks:,} chunks, median of {options.rounds} rounds; each chunk:")
    print(f"{'':30}{'µs':>8}{'µs of processor':>18}{'MiB at the peak':>18}")
    for way, results in rounds.items():
        seconds, computed, mib = (
            statistics.median(result[figure] for result in results)
            for figure in ("seconds", "computed", "mib")
        )
        each = 1e6 / options.chunks
        print(f"{way:30}{seconds * each:8.2f}{computed * each:18.2f}{mib:18.0f}", flush=True)


if __name__ == "__main__":
    main()
