"""Cancelling a run aborts its HTTP request within 100 ms (8.4 (6) of the toolchain reference).

That no timer stands between the two is told by the fastest of ten rounds: whatever else the machine does, one of them is as fast as the code allows.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import concerto
import pytest

from tests.waiting import wait_for

PROGRAM = """
connect c { provider: custom, base_url: env("URL"), default_model: "m", timeout: 3600 }
model M { provider: c }
pub fn ask() -> Result<String, LlmError> { Ok(M.execute("hello")?.text) }
pub fn read() -> Result<Int, LlmError> {
    let mut count = 0;
    for part in M.stream("hello")? { emit("part", part.text); count += 1; }
    Ok(count)
}
"""
ROUNDS = 10


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    script = json.dumps({"rules": [{"reply": {"fault": "stall"}}]})
    with concerto.MockServer(script=script) as running:
        yield running


def open_requests(server: concerto.MockServer) -> int:
    return int(server.counts()["open_requests"])


def check(server: concerto.MockServer, took: list[float]) -> None:
    assert server.counts()["outcomes"] == {"client_closed": ROUNDS}
    assert min(took) < 0.1, took


@pytest.mark.parametrize("function", ["ask", "read"])
def test_a_cancelled_run_closes_its_request_at_once(
    program: concerto.Program, server: concerto.MockServer, function: str
) -> None:
    runtime, took = concerto.Runtime(program, env={"URL": server.url}), []
    for _ in range(ROUNDS):
        run = runtime.start(function)
        wait_for(lambda: open_requests(server) == 1)
        cancelled = time.perf_counter()
        run.cancel()
        wait_for(lambda: open_requests(server) == 0)
        took.append(time.perf_counter() - cancelled)
        with pytest.raises(concerto.RunCancelled):
            run.result()
    check(server, took)


@pytest.mark.parametrize("function", ["ask", "read"])
def test_a_cancelled_task_closes_its_request_at_once(
    program: concerto.Program, server: concerto.MockServer, function: str
) -> None:
    runtime, took = concerto.AsyncRuntime(program, env={"URL": server.url}), []

    async def requests(count: int) -> None:
        while open_requests(server) != count:
            await asyncio.sleep(0.001)

    async def work() -> None:
        for _ in range(ROUNDS):
            task = asyncio.create_task(runtime.call(function))
            await requests(1)
            cancelled = time.perf_counter()
            task.cancel()
            await requests(0)
            took.append(time.perf_counter() - cancelled)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(asyncio.wait_for(work(), 30))
    check(server, took)
