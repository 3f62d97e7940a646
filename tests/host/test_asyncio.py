"""The host for asyncio against the mock provider over real HTTP (toolchain reference 9)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any

import anyio
import concerto
import pytest
from concerto import aio, errors

PROGRAM = """
connect c { base_url: env("URL"), api_key: "k", default_model: "m", timeout: 60 }
model M { provider: c }
pub fn add(a: Int, b: Int = 1) -> Int { a + b }
pub fn ask(q: String) -> Result<String, LlmError> { Ok(M.execute(q)?.text) }
pub fn numbers(count: Int) -> Int {
    let mut i = 0;
    while i < count { emit("number", i); i += 1; }
    emit("end");
    i
}
pub fn broken() -> Int { let a = [1]; a[7] }
pub fn spin() -> Int { let mut i = 0; while true { i = (i + 1) % 7; } i }
fn main() { emit("out", 40 + 2); }
"""
STALL = json.dumps(
    {
        "rules": [
            {"match": {"contains": "stall"}, "reply": {"fault": "stall"}},
            {"match": {"contains": "429"}, "reply": {"error": {"status": 429, "message": "no"}}},
            {"reply": {"text": "Hello."}},
        ]
    }
)


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=STALL) as running:
        yield running


@pytest.fixture
def rt(program: concerto.Program, server: concerto.MockServer) -> concerto.AsyncRuntime:
    return concerto.AsyncRuntime(program, env={"URL": server.url})


def go(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


async def until_requested(server: concerto.MockServer, count: int = 1) -> None:
    while len(server.requests()) < count:
        await asyncio.sleep(0.002)


async def until_closed(server: concerto.MockServer) -> None:
    """The server has seen that nobody waits for its answers any more."""
    while "open" in (outcomes := {request["outcome"] for request in server.requests()}):
        await asyncio.sleep(0.002)
    assert outcomes == {"client_closed"}


def test_a_call_that_only_computes_has_ended_at_once(rt: concerto.AsyncRuntime) -> None:
    """No thread and no turn of the loop stands between the call and its result, nor between the call and its error."""

    async def work() -> None:
        done = asyncio.ensure_future(rt.call("add", 4))
        failed = asyncio.ensure_future(rt.call("broken"))
        wrong = asyncio.ensure_future(rt.call("add", "x"))
        await asyncio.sleep(0)
        assert done.done()
        assert await done == 5
        assert isinstance(failed.exception(), concerto.PanicError)
        assert isinstance(wrong.exception(), TypeError)

    go(work())


def test_a_call_that_computes_long_leaves_the_loop_alone(rt: concerto.AsyncRuntime) -> None:
    """It goes on in a thread of Rust, and so does whatever sends or asks something."""

    async def work() -> None:
        calls = [
            asyncio.ensure_future(call)
            for call in (rt.call("spin"), rt.call("ask", "stall"), rt.call("ask", "Hi"))
        ]
        await asyncio.sleep(0)
        assert not any(call.done() for call in calls)
        assert await calls[2] == "Hello."
        for call in calls[:2]:
            call.cancel()
        ended = await asyncio.gather(*calls[:2], return_exceptions=True)
        assert [type(each) for each in ended] == [asyncio.CancelledError] * 2

    go(work())


def test_calls_that_end_at_once_let_the_loop_go_on(rt: concerto.AsyncRuntime) -> None:
    """Else a task that does nothing but such calls could not even be cancelled."""

    async def for_ever() -> None:
        for _ in range(10_000):
            await rt.call("add", 1)
        raise AssertionError("nobody else had a turn")

    async def work() -> None:
        task = asyncio.ensure_future(for_ever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    go(work())


def test_calls_are_awaited_and_raise_what_the_other_runtime_raises(
    rt: concerto.AsyncRuntime,
) -> None:
    async def work() -> None:
        async with rt:
            assert await rt.call("add", 1, b=2) == 3
            assert await rt.call("ask", "hello") == "Hello."
            for name, argument, error in (
                ("ask", "429", errors.RateLimitedError),
                ("ask", 7, TypeError),
                ("aks", "hello", TypeError),
            ):
                with pytest.raises(error):
                    await rt.call(name, argument)
            with pytest.raises(errors.PanicError) as caught:
                await rt.call("broken")
            assert [frame.function for frame in caught.value.trace] == ["broken"]
            assert await asyncio.gather(*[rt.call("add", n) for n in range(100)]) == [
                *range(1, 101)
            ]
            assert rt.get_metrics().counters("c")["calls"] == 2
        with pytest.raises(RuntimeError, match="closed"):
            await rt.call("add", 1)

    go(work())


def test_handlers_of_both_kinds_get_emits_in_order_in_the_calling_task(
    rt: concerto.AsyncRuntime,
) -> None:
    word = contextvars.ContextVar("word", default="")
    seen: list[tuple[str, Any]] = []

    @rt.on("number")
    async def slow(number: int) -> None:
        await asyncio.sleep(0)
        seen.append((word.get(), number))

    @rt.on("*")
    def plain(payload: object) -> None:
        seen.append((f"{word.get()} *", payload))

    async def one(name: str) -> None:
        word.set(name)
        assert await rt.call("numbers", 3) == 3

    async def work() -> None:
        await asyncio.gather(one("a"), one("b"))
        await rt.run()

    go(work())
    for name in "ab":
        mine = [entry for entry in seen if entry[0].startswith(name)]
        pairs = [[(name, n), (f"{name} *", n)] for n in range(3)]
        assert mine == [*(pair for both in pairs for pair in both), (f"{name} *", None)]
    assert seen[-1] == (" *", 42)


def test_a_handler_that_raises_ends_the_run_with_its_exception(rt: concerto.AsyncRuntime) -> None:
    @rt.on("number")
    async def refuse(number: int) -> None:
        if number == 2:
            raise LookupError("enough")

    async def work() -> None:
        with pytest.raises(LookupError, match="enough"):
            await rt.call("numbers", 10**9)
        rt.off("number")
        assert await rt.call("numbers", 5) == 5

    go(work())


def test_emits_are_iterated_and_the_result_awaited_in_any_order(rt: concerto.AsyncRuntime) -> None:
    async def work() -> None:
        run = rt.start("numbers", 3000)
        found = [(emit.channel, emit.payload, emit.sequence) async for emit in run]
        assert found == [*(("number", n, n) for n in range(3000)), ("end", None, 3000)]
        assert await run == await run == await run.result() == 3000
        assert run.done
        assert run.metrics.emit_count() == 3001
        # Whoever leaves the loop has not lost the result, though the queue is full.
        run = rt.start("numbers", 5000)
        async for emit in run:
            if emit.payload == 10:
                break
        assert await run == 5000
        # One task reads slowly while another one waits: nothing is let go.
        run = rt.start("numbers", 5000)
        numbers: list[object] = []

        async def read() -> None:
            async for emit in run:
                if emit.payload == 3:
                    await asyncio.sleep(0.01)
                numbers.append(emit.payload)

        async with asyncio.TaskGroup() as group:
            reading, waiting = group.create_task(read()), group.create_task(run.result())
        assert reading.done()
        assert waiting.result() == 5000
        assert numbers == [*range(5000), None]

    go(work())


def test_a_full_queue_holds_the_program_back(rt: concerto.AsyncRuntime) -> None:
    async def work() -> None:
        async with rt.start("numbers", 10**9) as run:
            emits = aiter(run)
            assert (await anext(emits)).payload == 0
            last = -1
            while last != run.metrics.emit_count():
                last = run.metrics.emit_count()
                await asyncio.sleep(0.05)
            assert 1024 <= last <= 1024 + 256 + 1
        with pytest.raises(errors.RunCancelled):
            await run

    go(work())


def test_a_cancelled_task_cancels_its_run_and_the_request(
    rt: concerto.AsyncRuntime, server: concerto.MockServer
) -> None:
    async def work() -> None:
        waiting = asyncio.create_task(rt.call("ask", "stall"))
        await until_requested(server)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until_closed(server)
        run = rt.start("ask", "stall")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run
        with pytest.raises(errors.RunCancelled):
            await run
        with pytest.raises(ExceptionGroup) as failed:
            async with asyncio.TaskGroup() as group:
                group.create_task(rt.call("ask", "stall"))
                group.create_task(rt.call("broken"))
        assert failed.group_contains(errors.PanicError)
        await until_closed(server)

    go(work())


def test_waiting_in_vain_leaves_a_run_as_it_is(
    rt: concerto.AsyncRuntime, server: concerto.MockServer
) -> None:
    async def work() -> None:
        run = rt.start("ask", "stall")
        for _ in range(3):
            with pytest.raises(TimeoutError, match="not ended in time"):
                await run.result(timeout=0.01)
        assert not run.done
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(run), 0.01)
        assert not run.done
        run.cancel()
        with pytest.raises(errors.RunCancelled):
            await run
        with pytest.raises(errors.LimitError) as late:
            await rt.call("ask", "stall", timeout=0.05)
        assert late.value.limit == "timeout"
        with pytest.raises(ValueError, match="positive seconds"):
            await rt.call("ask", "stall", timeout=0)
        await until_closed(server)

    go(work())


def test_a_run_that_is_dropped_or_closed_is_cancelled(
    rt: concerto.AsyncRuntime, server: concerto.MockServer
) -> None:
    async def work() -> None:
        run: concerto.AsyncRun | None = rt.start("ask", "stall")
        await until_requested(server)
        assert run is not None
        run = None
        await until_closed(server)
        left = rt.start("ask", "stall")
        called = asyncio.create_task(rt.call("ask", "stall"))
        await until_requested(server, 3)
        await rt.close()
        assert left.done
        for ended in (left, called):
            with pytest.raises(errors.RunCancelled):
                await ended
        await until_closed(server)

    go(work())


def test_a_run_may_be_awaited_in_another_loop(rt: concerto.AsyncRuntime) -> None:
    run = rt.start("numbers", 2000)  # no loop is running here

    async def first() -> int:
        async for emit in run:
            return int(emit.payload)
        return -1

    assert go(first()) == 0

    async def rest() -> list[object]:
        return [emit.payload async for emit in run]

    assert go(rest())[-2:] == [1999, None]

    async def result() -> object:
        return await run

    assert go(result()) == 2000


def test_loops_come_and_go_in_many_threads(rt: concerto.AsyncRuntime) -> None:
    loops: list[weakref.ref[Any]] = []
    failures: list[BaseException] = []

    async def work(number: int) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        found = await asyncio.gather(*[rt.call("add", number, n) for n in range(20)])
        assert found == [number + n for n in range(20)]
        assert await rt.call("ask", "hello") == "Hello."

    def thread(number: int) -> None:
        try:
            for _ in range(5):
                asyncio.run(work(number))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    gc.collect()
    assert [ref for ref in loops if ref() is not None] == []
    assert len(aio._loops) == 0


def test_a_handler_may_call_the_runtime_again(rt: concerto.AsyncRuntime) -> None:
    found: list[object] = []

    @rt.on("out")
    async def again(number: int) -> None:
        found.append(await rt.call("add", number, 1))
        found.append(await rt.call("numbers", 3))

    go(rt.run())
    assert found == [43, 3]


def test_the_clock_of_tests_works_here_too(program: concerto.Program) -> None:
    script = {
        "rules": [
            {"times": 2, "reply": {"error": {"status": 503, "message": "busy"}}},
            {"reply": {}},
        ]
    }
    clock = concerto.VirtualClock()
    with concerto.MockServer(script=json.dumps(script)) as server:
        runtime = concerto.AsyncRuntime(program, env={"URL": server.url}, clock=clock)
        runtime.override_connection(
            "c", retry={"max_attempts": 3, "initial_delay_ms": 30_000}, base_url=server.url
        )
        go(runtime.call("ask", "hello"))
    assert clock.elapsed == 60.0


def test_coroutines_are_handlers_of_one_kind_of_runtime_only(program: concerto.Program) -> None:
    async def handler(_: object) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        concerto.Runtime(program).on("out", handler)


def test_what_is_left_after_fork_says_so(rt: concerto.AsyncRuntime) -> None:
    run = rt.start("ask", "stall")
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            for work in (rt.call("add", 1), run.result(), rt.close()):
                try:
                    asyncio.run(work)
                except RuntimeError as error:
                    assert "parent process" in str(error)  # noqa: PT017
            fresh = concerto.AsyncRuntime(rt.program)
            status = 0 if asyncio.run(fresh.call("add", 1)) == 2 else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run.cancel()


ASKING = """
pub async fn ask(payload: Any) -> Any { await emit("ask", payload) }
pub async fn several() -> Array<Any> {
    parallel(max: 10) for n in 0..10 { await emit("double", n) }
}
"""


def test_requests_are_answered_by_functions_and_coroutines_several_at_a_time() -> None:
    rt = concerto.AsyncRuntime(concerto.compile(ASKING))
    waiting: list[int] = []

    @rt.on_emit("double")
    async def double(number: int) -> int:
        waiting.append(number)
        while len(waiting) < 10:  # it goes on when all are asked
            await asyncio.sleep(0.001)
        return 2 * number

    @rt.on_emit("ask")
    def plain(payload: object) -> object:
        if payload == "fail":
            raise LookupError("not here")
        return {"got": payload}

    async def work() -> None:
        assert await rt.call("several") == [2 * n for n in range(10)]
        assert await rt.call("ask", 3) == {"got": 3}
        with pytest.raises(concerto.ProgramError, match="not here") as failed:
            await rt.call("ask", "fail")
        assert (failed.value.value.kind, failed.value.value.channel) == ("handler", "ask")
        async with rt.start("ask", 4) as run:
            assert [emit.payload async for emit in run] == [4]
            assert await run == {"got": 4}
        assert await rt.start("ask", 5) == {"got": 5}
        rt.off("ask")
        with pytest.raises(concerto.ProgramError) as failed:
            await rt.call("ask", 6)
        assert failed.value.value.kind == "no_listener"

        @rt.on_emit("ask")
        async def never(_: object) -> None:
            await asyncio.get_running_loop().create_future()

        run = rt.start("ask", 7)
        with pytest.raises(TimeoutError):
            await run.result(timeout=0.01)
        await rt.close()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())


def test_failures_of_handlers_may_go_to_the_log(
    program: concerto.Program, capfd: pytest.CaptureFixture[str]
) -> None:
    rt = concerto.AsyncRuntime(program, handler_errors="log")

    @rt.on("number")
    async def fail(number: int) -> None:
        raise LookupError(f"no {number}")

    assert go(rt.call("numbers", 2)) == 2
    lines = capfd.readouterr().err.splitlines()
    assert [line.split("failed: ")[1] for line in lines] == [
        "LookupError: no 0",
        "LookupError: no 1",
    ]


async def anyio_work(rt: concerto.AsyncRuntime, server: concerto.MockServer) -> None:
    found: list[object] = []

    async def add() -> None:
        found.append(await rt.call("add", 1, 1))

    async with anyio.create_task_group() as group:
        group.start_soon(add)
        with anyio.move_on_after(0.05) as scope:
            await rt.call("ask", "stall")
    assert found == [2]
    assert scope.cancelled_caught
    await until_closed(server)


def test_anyio_on_asyncio(rt: concerto.AsyncRuntime, server: concerto.MockServer) -> None:
    go(anyio_work(rt, server))


async def lines(rt: concerto.AsyncRuntime) -> AsyncGenerator[str, None]:
    async with rt.start("numbers", 2) as run:
        async for emit in run:
            yield f"data: {emit.payload}\n\n"


def test_a_generator_of_emits_that_is_closed_early_cancels_the_run(
    rt: concerto.AsyncRuntime,
) -> None:
    async def work() -> list[str]:
        async with contextlib.aclosing(lines(rt)) as part:
            async for _ in part:
                break
        return [line async for line in lines(rt)]

    assert go(work()) == ["data: 0\n\n", "data: 1\n\n", "data: None\n\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows")
def test_uvloop(rt: concerto.AsyncRuntime, server: concerto.MockServer) -> None:
    import uvloop

    async def work() -> None:
        assert type(asyncio.get_running_loop()).__module__ == "uvloop"
        assert await asyncio.gather(*[rt.call("add", n) for n in range(100)]) == [*range(1, 101)]
        assert await rt.call("ask", "hello") == "Hello."
        assert len([emit async for emit in rt.start("numbers", 3000)]) == 3001
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await rt.call("ask", "stall")

    for _ in range(3):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
