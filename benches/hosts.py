"""The Python host under load: `make hosts` (release build) prints one table; what must hold is asserted, figures are only printed.

Each function takes its count, so that tests can run all of it small.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import concerto

PROGRAM = """
connect c { base_url: env("URL"), api_key: "k", default_model: "m", timeout: 600 }
connect narrow { provider: "custom", base_url: env("URL"), default_model: "m", timeout: 600, rate_limit: { concurrent_requests: 1 } }
model M { provider: c }
model N { provider: narrow }
pub fn nothing() -> Int { 1 }
pub fn ask(q: String) -> Result<String, LlmError> { Ok(M.execute(q)?.text) }
pub fn queue(q: String) -> Result<String, LlmError> { Ok(N.execute(q)?.text) }
pub fn stream(q: String) -> Result<Int, LlmError> {
    let mut n = 0;
    for chunk in M.stream(q)? { emit("chunk", chunk.text); n += 1; }
    Ok(n)
}
pub fn emits(count: Int) -> Int { let mut i = 0; while i < count { emit("chunk", "word "); i += 1; } i }
"""
RULES = [
    {"match": {"contains": "stall"}, "reply": {"text": "one two", "fault": "stall", "after": 1}},
    {"reply": {"text": "Hello."}},
]

LEAVING = """
import concerto, sys
rt = concerto.Runtime(concerto.Program.from_bytes(sys.stdin.buffer.read()), env={"URL": sys.argv[1]})
streams = [rt.start("stream", "stall") for _ in range(20)]
for stream in streams:
    next(iter(stream))
"""


def row(name: str, seconds: float, count: int) -> None:
    print(f"{name:<52} {seconds / count * 1e6:10.2f} \u00b5s", flush=True)


def memory() -> int:
    """Resident bytes of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def descriptors() -> int:
    """Open file descriptors of this process; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


class Bench:
    """A program and a mock provider for all that follows."""

    def __init__(self, server: concerto.MockServer) -> None:
        self.server = server
        self.program = concerto.compile(PROGRAM)
        self.env = {"URL": server.url}

    def sync(self) -> concerto.Runtime:
        return concerto.Runtime(self.program, env=self.env)

    def asyncio(self) -> concerto.AsyncRuntime:
        return concerto.AsyncRuntime(self.program, env=self.env)

    def calls(self, count: int) -> None:
        """What does a run cost that does nothing?"""
        rt, art = self.sync(), self.asyncio()
        started = time.perf_counter()
        for _ in range(count):
            rt.call("nothing")
        row("a run that does nothing, `Runtime.call`", time.perf_counter() - started, count)

        async def one_by_one() -> float:
            started = time.perf_counter()
            for _ in range(count):
                await art.call("nothing")
            return time.perf_counter() - started

        async def at_once() -> float:
            started = time.perf_counter()
            for _ in range(0, count, 100):
                await asyncio.gather(*[art.call("nothing") for _ in range(100)])
            return time.perf_counter() - started

        row(".. `await AsyncRuntime.call`, one after another", asyncio.run(one_by_one()), count)
        row(".. 100 at once", asyncio.run(at_once()), count)

    def snapshots(self, count: int) -> float:
        """What does it cost to look at the metrics, and at one number of them? Gives seconds for a snapshot."""
        rt = self.sync()
        for _ in range(100):
            rt.call("ask", "hello")
        started = time.perf_counter()
        for _ in range(count):
            rt.get_metrics()
        taken = time.perf_counter() - started
        row("a snapshot of the metrics, `get_metrics()`", taken, count)
        started = time.perf_counter()
        for _ in range(count):
            rt.get_metrics().total_tokens()
        row(".. and one number of it", time.perf_counter() - started, count)
        return taken / count

    def emits(self, count: int) -> None:
        """What does an emit cost until the host has it?"""
        rt, art, heard = self.sync(), self.asyncio(), [0]

        def hear(_: str) -> None:
            heard[0] += 1

        async def hear_later(_: str) -> None:
            heard[0] += 1

        async def iterate() -> None:
            async for _ in art.start("emits", count):
                heard[0] += 1

        def iterate_sync() -> None:
            for _ in rt.start("emits", count):
                heard[0] += 1

        rt.on("chunk", hear)
        art.on("chunk", hear)
        works: dict[str, Callable[[], object]] = {
            "an emit, to a callback of `Runtime`": lambda: rt.call("emits", count),
            ".. iterating over a `Run`": iterate_sync,
            ".. to a callback of `AsyncRuntime`": lambda: asyncio.run(art.call("emits", count)),
            ".. to a coroutine of `AsyncRuntime`": lambda: asyncio.run(art.call("emits", count)),
            ".. iterating over an `AsyncRun`": lambda: asyncio.run(iterate()),
        }
        for name, work in works.items():
            if "coroutine" in name:
                art.off("chunk")
                art.on("chunk", hear_later)
            heard[0] = 0
            started = time.perf_counter()
            work()
            row(name, time.perf_counter() - started, count)
            assert heard[0] == count, name

    def waiting(self, count: int) -> float:
        """How much memory do runs take that wait for model calls? Gives KiB for each."""

        async def work() -> float:
            rt = self.asyncio()
            tasks = [asyncio.create_task(rt.call("queue", "stall")) for _ in range(10)]
            while rt.get_metrics().counters("narrow")["queued"] < 9:
                await asyncio.sleep(0.01)
            gc.collect()
            before, started = memory(), time.perf_counter()
            tasks += [asyncio.create_task(rt.call("queue", "stall")) for _ in range(count)]
            while rt.get_metrics().counters("narrow")["queued"] < count + 9:
                await asyncio.sleep(0.01)
            each = (memory() - before) / count / 1024
            row(
                f"{count} runs at once, until all wait for a model",
                time.perf_counter() - started,
                count,
            )
            print(f"{'.. memory for each':<52} {each:10.2f} KiB")
            started = time.perf_counter()
            await rt.close()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            row(".. to cancel them all", time.perf_counter() - started, count)
            assert {type(each) for each in ended} == {concerto.RunCancelled}
            return each

        return asyncio.run(work())

    def loops(self, threads: int, rounds: int) -> None:
        """Event loops that come and go in many threads share one runtime, and leave no socket behind."""
        asyncio.run(self.asyncio().call("ask", "hello"))  # the I/O threads are there from now on
        before = self.open_at_rest()
        self._loops(threads, rounds)
        assert self.open_at_rest() <= before, "sockets were left open"

    def open_at_rest(self) -> int:
        """Open descriptors, once the server has noticed that nobody is there any more."""
        gc.collect()
        while self.server.counts()["open_connections"]:
            time.sleep(0.005)
        return descriptors()

    def _loops(self, threads: int, rounds: int) -> None:
        rt, failures = self.asyncio(), []

        async def work() -> None:
            await rt.call("nothing")
            assert await rt.call("ask", "hello") == "Hello."

        def thread() -> None:
            try:
                for _ in range(rounds):
                    asyncio.run(work())
            except BaseException as failure:
                failures.append(failure)

        started = time.perf_counter()
        workers = [threading.Thread(target=thread) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        row(
            f"an event loop in one of {threads} threads",
            time.perf_counter() - started,
            threads * rounds,
        )
        assert failures == []

    def exits(self, count: int) -> None:
        """Processes that end in the middle of 20 streams."""
        started = time.perf_counter()
        for _ in range(count):
            command = [sys.executable, "-c", LEAVING, self.server.url]
            ran = subprocess.run(
                command, input=self.program.to_bytes(), capture_output=True, timeout=60
            )
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
        row("a process that ends in the middle of 20 streams", time.perf_counter() - started, count)

    def leaks(self, count: int) -> None:
        """Short runs of all kinds leave nothing behind."""
        rt, art, marks = self.sync(), self.asyncio(), []
        rt.on("chunk", lambda _: None)

        def mark() -> None:
            gc.collect()
            marks.append((memory(), descriptors(), threading.active_count()))

        async def some(runs: int) -> None:
            for number in range(runs):
                match number % 4:
                    case 0:
                        await art.call("nothing")
                    case 1:
                        async for _ in art.start("emits", 3):
                            break
                    case 2:
                        rt.call("emits", 3)
                    case _:
                        art.start("emits", 10_000).cancel()
            assert len(asyncio.all_tasks()) == 1

        started = time.perf_counter()
        for _ in range(10):
            asyncio.run(some(count // 10))
            mark()
        row("a short run of one of four kinds", time.perf_counter() - started, count)
        (first, last) = marks[0], marks[-1]
        print(
            f"{'.. memory after a tenth, and after all':<52} {first[0] >> 10} KiB, {last[0] >> 10} KiB"
        )
        assert last[0] <= first[0] * 1.05 + (4 << 20), "memory grows"
        # Fewer is well: what runs before this needed may end meanwhile.
        assert last[1] <= first[1], "descriptors are left over"
        assert last[2] <= first[2], "threads are left over"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--exits", type=int, default=100)
    parser.add_argument("--short", type=int, default=100_000)
    options = parser.parse_args()
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as server:
        bench = Bench(server)
        bench.calls(options.calls)
        assert bench.snapshots(options.calls) < 10e-6, "a snapshot takes longer than 10 \u00b5s"
        bench.emits(options.chunks)
        bench.waiting(options.waiting)
        bench.loops(options.threads, 10)
        bench.exits(options.exits)
        bench.leaks(options.short)


if __name__ == "__main__":
    main()
