"""The workloads, for one rival in its own environment. `run.py` starts this for each in turn and reads pytest-benchmark's JSON."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest

# How many questions one after another a round has; the first tenth warms up.
SEQUENCE = 200
# Questions of a burst, per question that is under way at once.
BURST = {64: 1_280, 512: 2_560}
STREAMS = [(50, 2_000), (500, 200)]


def needs(rival: ModuleType, name: str) -> Any:
    found = getattr(rival, name, None)
    if found is None:
        pytest.skip(f"{rival.__name__} has no {name}")
    return found


def one_by_one(benchmark: Any, rival: ModuleType, url: str, single: str, many: str) -> None:
    if (run_many := getattr(rival, many, None)) is not None:
        client = rival.connect(url)
        run_many(client, SEQUENCE // 10)
        benchmark.pedantic(run_many, args=(client, SEQUENCE), rounds=1)
        benchmark.extra_info["per_call"] = benchmark.stats.stats.mean / SEQUENCE
        return
    if hasattr(rival, single):
        client = rival.connect(url)
        ask = getattr(rival, single)
        benchmark.pedantic(ask, args=(client,), rounds=SEQUENCE, warmup_rounds=SEQUENCE // 10)
    else:
        ask_async = needs(rival, f"{single}_async")
        with asyncio.Runner() as runner:
            client = runner.run(rival.connect_async(url))
            benchmark.pedantic(
                lambda: runner.run(ask_async(client)), rounds=SEQUENCE, warmup_rounds=SEQUENCE // 10
            )
            runner.run(close(client))
    benchmark.extra_info["per_call"] = benchmark.stats.stats.median
    times = sorted(benchmark.stats.stats.data)
    benchmark.extra_info["p95"] = times[len(times) * 95 // 100]


def test_sequence(benchmark: Any, rival: ModuleType, url: str) -> None:
    one_by_one(benchmark, rival, url, "ask", "ask_many")
    benchmark.extra_info["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_typed(benchmark: Any, rival: ModuleType, url: str) -> None:
    one_by_one(benchmark, rival, url, "typed", "typed_many")


async def close(client: Any) -> None:
    """Closes what would complain otherwise."""
    session = client[0] if isinstance(client, tuple) else client
    if type(session).__name__ == "ClientSession":
        await session.close()


async def at_once(
    ask: Callable[[Any], Awaitable[str]], client: Any, total: int, width: int
) -> None:
    left = iter(range(total))

    async def worker() -> None:
        for _ in left:
            await ask(client)

    await asyncio.gather(*(worker() for _ in range(width)))


def timed(benchmark: Any, work: Callable[[], Any], count: int) -> None:
    """One round, with its rate and processor time."""
    before = time.process_time()
    benchmark.pedantic(work, rounds=1)
    benchmark.extra_info["rate"] = count / benchmark.stats.stats.mean
    benchmark.extra_info["cpu_per_1000"] = (time.process_time() - before) / count * 1_000


@pytest.mark.parametrize("delay", [0, 50])
@pytest.mark.parametrize("width", [64, 512])
def test_concurrent(
    benchmark: Any, rival: ModuleType, url: str, slow_url: str, width: int, delay: int
) -> None:
    ask = needs(rival, "ask_async")
    with asyncio.Runner() as runner:
        client = runner.run(rival.connect_async(slow_url if delay else url))
        runner.run(at_once(ask, client, width, width))
        timed(
            benchmark, lambda: runner.run(at_once(ask, client, BURST[width], width)), BURST[width]
        )
        runner.run(close(client))


@pytest.mark.parametrize(("streams", "chunks"), STREAMS)
def test_streams(benchmark: Any, rival: ModuleType, url: str, streams: int, chunks: int) -> None:
    pull_all = getattr(rival, "pull_all", None)
    stream = needs(rival, "stream") if pull_all is None else None
    counted = 0

    async def count(client: Any, prompt: str) -> int:
        found = 0
        async for _ in stream(client, prompt):
            found += 1
        return found

    async def all_of(client: Any, prompts: list[str]) -> None:
        nonlocal counted
        if pull_all is not None:
            counted = await pull_all(client, prompts)
        else:
            counted = sum(await asyncio.gather(*(count(client, prompt) for prompt in prompts)))

    with asyncio.Runner() as runner:
        client = runner.run(rival.connect_async(url))
        runner.run(all_of(client, ["stream 200"] * 4))
        timed(
            benchmark,
            lambda: runner.run(all_of(client, [f"stream {chunks}"] * streams)),
            streams * chunks,
        )
        runner.run(close(client))
    # Whoever joins chunks into larger pieces is told by this number.
    benchmark.extra_info["delivered"] = counted
