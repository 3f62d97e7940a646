"""What a Python process may do with a runtime: threads, re-entry, signals, fork, spawn, and leaving in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

from tests.waiting import wait_for

PROGRAM = """
connect c { base_url: env("URL"), api_key: "k", default_model: "m", timeout: 60 }
model M { provider: c }
pub fn ask(q: String) -> Result<String, LlmError> { Ok(M.execute(q)?.text) }
pub fn stream(q: String) -> Result<Int, LlmError> {
    let mut n = 0;
    for chunk in M.stream(q)? { emit("chunk", chunk.text); n += 1; }
    Ok(n)
}
pub fn down(n: Int) -> Int { emit("down", n); n }
pub fn numbers(count: Int) -> Int { let mut i = 0; while i < count { emit("number", i); i += 1; } i }
pub fn nap() -> Int { emit("chunk", "x"); std::time::sleep(5); 7 }
pub fn busy() -> Int { let mut i = 0; while true { i += 1; } i }
"""
RULES = [
    {"match": {"contains": "stall"}, "reply": {"text": "one two", "fault": "stall", "after": 1}},
    {"reply": {"text": "Hello."}},
]


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as running:
        yield running


def test_a_handler_may_call_the_runtime_that_called_it(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = concerto.Runtime(program, env={"URL": server.url})
    seen: list[object] = []

    @rt.on("down")
    def again(number: int) -> None:
        seen.append(number)
        if number > 0:
            seen.append(rt.call("down", number - 1))
        else:
            seen.append(rt.call("ask", "hello"))
            seen.append(rt.start("numbers", 2).result(timeout=10))

    assert rt.call("down", 3) == 3
    assert seen == [3, 2, 1, 0, "Hello.", 2, 0, 1, 2]


def test_a_handler_that_calls_itself_for_ever_is_told(program: concerto.Program) -> None:
    rt = concerto.Runtime(program)
    rt.on("down", lambda number: rt.call("down", number + 1))
    with pytest.raises(RuntimeError, match="nested more than 16 deep"):
        rt.call("down", 0)
    rt.off("down")
    assert rt.call("down", 7) == 7


def test_a_handler_that_blocks_holds_up_its_own_run_only(program: concerto.Program) -> None:
    rt = concerto.Runtime(program)
    entered, leave = threading.Event(), threading.Event()

    @rt.on("down")
    def block(number: int) -> None:
        if number == 1:
            entered.set()
            assert leave.wait(10)

    blocked = threading.Thread(target=rt.call, args=("down", 1))
    blocked.start()
    assert entered.wait(10)
    assert rt.call("down", 2) == 2
    leave.set()
    blocked.join(10)
    assert not blocked.is_alive()


def test_a_runtime_works_beside_a_running_event_loop(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    """As in a cell of a notebook."""

    async def cell() -> None:
        with concerto.Runtime(program, env={"URL": server.url}) as rt:
            assert rt.call("ask", "hello") == "Hello."
            assert [emit.payload for emit in rt.start("numbers", 3)] == [0, 1, 2]

    asyncio.run(cell())


def test_the_result_is_there_though_nobody_takes_the_emits(program: concerto.Program) -> None:
    run = concerto.Runtime(program).start("numbers", 50_000)
    assert run.result(timeout=30) == 50_000
    assert len(list(run)) == 1024


def test_closing_a_runtime_cancels_its_runs(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    with concerto.Runtime(program, env={"URL": server.url}) as rt:
        run = rt.start("ask", "stall")
    with pytest.raises(errors.RunCancelled):
        run.result(timeout=10)


def test_a_call_has_a_time_limit_of_its_own(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, execution_timeout=30)
    with pytest.raises(errors.LimitError, match="`timeout`"):
        rt.call("busy", timeout=0.02)
    with pytest.raises(errors.LimitError, match="`execution_timeout`"):
        concerto.Runtime(program, execution_timeout=0.02).call("busy", timeout=30)


def test_a_run_is_of_no_use_in_a_child(program: concerto.Program) -> None:
    run = concerto.Runtime(program).start("busy")
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            for use in (run.result, run.cancel, lambda: next(iter(run))):
                with pytest.raises(RuntimeError, match="parent process"):
                    use()
            del run
            status = 0
        os._exit(status)
    run.cancel()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_goes_on_in_the_parent_of_a_handler_that_forks(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = concerto.Runtime(program, env={"URL": server.url})
    children: list[int] = []

    @rt.on("chunk")
    def fork(text: str) -> None:
        if not children:
            children.append(os.fork())

    status = 1
    try:
        assert rt.call("nap") == 7
    except RuntimeError as error:
        status = 0 if "parent process" in str(error) else 2
    finally:
        if children[0] == 0:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert rt.call("ask", "hello") == "Hello."


def in_child(program: concerto.Program, url: str) -> Any:
    return concerto.Runtime(program, env={"URL": url}).call("ask", "hello")


def test_processes_that_are_spawned_get_the_program(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(in_child, (program, server.url)) == "Hello."


HEAD = """
import asyncio, concerto, sys, threading
program = concerto.Program.from_bytes(bytes.fromhex(sys.argv[1]))
"""
INTERRUPTED = {
    "call": "concerto.Runtime(program, env=env).call('ask', 'stall')",
    "computing": "sys.stdout.write('ready\\n'); sys.stdout.flush(); concerto.Runtime(program).call('busy')",
    "result": "concerto.Runtime(program, env=env).start('ask', 'stall').result()",
    "iteration": "list(concerto.Runtime(program, env=env).start('ask', 'stall'))",
    "asyncio": "asyncio.run(concerto.AsyncRuntime(program, env=env).call('ask', 'stall'))",
}


def script(program: concerto.Program, server: concerto.MockServer, code: str) -> list[str]:
    """A process that executes code beside a program."""
    head = HEAD + f"env = {{'URL': {server.url!r}}}\n"
    return [sys.executable, "-c", head + code, program.to_bytes().hex()]


@pytest.mark.parametrize("kind", INTERRUPTED)
def test_ctrl_c_ends_what_waits_at_once(
    program: concerto.Program, server: concerto.MockServer, kind: str
) -> None:
    command = script(program, server, INTERRUPTED[kind])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        if kind == "computing":
            assert process.stdout.readline() == b"ready\n"
        else:
            wait_for(lambda: bool(server.requests()))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in stderr
    assert process.returncode == -signal.SIGINT


LEAVING = {
    "a stream that is read": "run = concerto.Runtime(program, env=env).start('stream', 'stall'); next(iter(run))",
    "a stream in a loop": """
async def main():
    global rt, run
    rt = concerto.AsyncRuntime(program, env=env)
    run = rt.start('stream', 'stall')
    async for emit in run: break
asyncio.run(main())""",
    "a thread that waits": """
rt = concerto.Runtime(program, env=env)
seen = threading.Event()
rt.on('chunk', lambda _: seen.set())
threading.Thread(target=rt.call, args=('stream', 'stall'), daemon=True).start()
seen.wait()""",
    "a thread that computes": """
rt = concerto.Runtime(program)
threading.Thread(target=rt.call, args=('busy',), daemon=True).start()""",
    "an event loop in a thread": """
rt = concerto.AsyncRuntime(program, env=env)
seen = threading.Event()
rt.on('chunk', lambda _: seen.set())
threading.Thread(target=lambda: asyncio.run(rt.call('stream', 'stall')), daemon=True).start()
seen.wait()""",
}


@pytest.mark.parametrize("kind", LEAVING)
def test_a_process_leaves_in_the_middle(
    program: concerto.Program, server: concerto.MockServer, kind: str
) -> None:
    code = LEAVING[kind] + "\nprint('left')"
    processes = [
        subprocess.Popen(
            script(program, server, code), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.communicate(timeout=30) == (b"left\n", b"")
        assert process.returncode == 0
