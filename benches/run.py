"""The benchmarks of the README's claims: `make bench` runs them all and prints one table.

Ways to do the same work take turns, round by round, so that a change of the machine's speed meets them all alike. See README.md.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import concerto

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benches" / "programs"
COMMAND = [str(Path(sys.executable).with_name("concerto"))]
ROUNDS = 20
VM_ROUNDS = 7
"""Rounds of work that takes a second."""

Work = Callable[[], object]


def interleaved(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each work; a first round warms up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number > 0:
                times[name].append(time.perf_counter() - start)
    return times


def report(name: str, times: list[float], against: list[float] | None = None) -> None:
    """One row: median and 95th percentile, and the ratio to the median of what it is compared with."""
    median = statistics.median(times)
    high = sorted(times)[int(0.95 * (len(times) - 1))]
    ratio = "" if against is None else f"{statistics.median(against) / median:8.2f}x"
    print(f"{name:<44} {_time(median)} {_time(high)} {ratio}", flush=True)


def _time(seconds: float) -> str:
    unit, factor = (
        ("s ", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("\u00b5s", 1e6)
    )
    return f"{seconds * factor:9.1f} {unit}"


def heading(title: str, ratio: str = "") -> None:
    print(f"\n{title:<44} {'median':>12} {'p95':>12} {ratio:>9}")


def run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def start_up() -> None:
    """What does a user wait for before anything happens?"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "examples" / "digest.conc", folder)
        compiled = str(folder / "calls.conc-ir")
        run(*COMMAND, "build", str(PROGRAMS / "calls.conc"), "-o", compiled)

        def check_anew() -> None:
            shutil.rmtree(folder / ".concerto", ignore_errors=True)
            run(*COMMAND, "check", "digest.conc", cwd=folder)

        works: dict[str, Work] = {
            "python -c pass": lambda: run(sys.executable, "-c", "pass"),
            "python -c 'import concerto'": lambda: run(sys.executable, "-c", "import concerto"),
            "concerto --version": lambda: run(*COMMAND, "--version"),
            "concerto check digest.conc, first": check_anew,
            "concerto check digest.conc, cached": lambda: run(
                *COMMAND, "check", "digest.conc", cwd=folder
            ),
            "concerto run, until the first request": lambda: first_request(compiled),
        }
        heading("Start-up")
        for work, times in interleaved(works, ROUNDS).items():
            report(work, times)


def first_request(compiled: str) -> None:
    """Returns when the program has connected to its provider."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        variables = {**os.environ, "BENCH_KEY": "sk-bench", "BENCH_URL": url}
        with subprocess.Popen(
            [*COMMAND, "run", compiled],
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            connection, _ = listener.accept()
            process.kill()
            connection.close()


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def count(n: int) -> int:
    total = 0
    i = 0
    while i < n:
        total += i % 7
        i += 1
    return total


def machine() -> None:
    """How fast is the virtual machine, against CPython on the same algorithm?"""
    program = concerto.compile((PROGRAMS / "numbers.conc").read_text(encoding="utf-8"))
    runtime = concerto.Runtime(program)
    assert runtime.call("fib", 20) == fib(20)
    assert runtime.call("count", 1000) == count(1000)
    version = ".".join(str(part) for part in sys.version_info[:3])
    heading(f"Virtual machine against CPython {version}", "faster")
    pairs: list[tuple[str, Work, Work]] = [
        ("fib(27)", lambda: runtime.call("fib", 27), lambda: fib(27)),
        (
            "a loop of 5,000,000 steps",
            lambda: runtime.call("count", 5_000_000),
            lambda: count(5_000_000),
        ),
    ]
    for name, ours, theirs in pairs:
        times = interleaved({"ours": ours, "theirs": theirs}, VM_ROUNDS)
        report(f"{name}, CPython", times["theirs"])
        report(f"{name}, Concerto", times["ours"], times["theirs"])
    works: dict[str, Work] = {
        f"text += chunk, {n:,} times": lambda n=n: runtime.call("concatenate", n)  # type: ignore[misc]  # binds the loop's value
        for n in (100_000, 1_000_000)
    }
    times = interleaved(works, VM_ROUNDS)
    for work in works:
        report(work, times[work])
    short, long = (statistics.median(each) for each in times.values())
    print(f"  ten times the chunks take {long / short:.1f} times as long (10 is linear)")


def crate(bench: str) -> str:
    """Runs a benchmark of the crate with the program of the same name: its last line."""
    with tempfile.TemporaryDirectory() as name:
        compiled = str(Path(name) / f"{bench}.conc-ir")
        run(*COMMAND, "build", str(PROGRAMS / f"{bench}.conc"), "-o", compiled)
        command = ["cargo", "bench", "--locked", "--quiet", "--features", "mock", "--bench"]
        done = subprocess.run(
            [*command, bench, "--", compiled],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return done.stdout.splitlines()[-1]


def calls() -> None:
    """What does a model call cost on top of HTTP? (benches/calls.rs)"""
    found: dict[str, list[float]] = json.loads(crate("calls"))
    bare = found.pop("bare reqwest")
    heading("One call through the mock server", "over bare")
    report("bare reqwest", [each / 1e6 for each in bare])
    for way, micros in found.items():
        median = statistics.median(micros)
        report(way, [each / 1e6 for each in micros])
        print(f"  {100 * (median / statistics.median(bare) - 1):+.1f} % over bare reqwest")


def load() -> None:
    """What do many calls and streams at once cost on top of HTTP? (benches/load.rs)"""
    found: dict[str, list[dict[str, Any]]] = json.loads(crate("load"))
    print(f"\n{'Calls at once':<28} {'latency':>10} {'calls/s':>9} {'CPU/1,000':>10} {'mock':>9}")
    for bare, ours in in_pairs(found["calls"]):
        for row in (bare, ours):
            latency, rate = middle(row["latency_us"]), middle(row["per_second"])
            cpu, mock = middle(row["cpu_ms_per_1000"]), middle(row["mock_ms_per_1000"])
            name = f"{row['way']}, {row['together']}"
            print(f"{name:<28} {latency:7.0f} \u00b5s {rate:9,.0f} {cpu:7.0f} ms {mock:6.0f} ms")
        added = middle(ours["latency_us"]) - middle(bare["latency_us"])
        print(
            f"  {added:+.0f} \u00b5s, {over(ours, bare, 'cpu_ms_per_1000'):+.1f} % CPU over bare reqwest"
        )
    print(f"\n{'Streams at once':<28} {'chunks/s':>10} {'CPU/chunk':>10} {'mock':>9}")
    for bare, ours in in_pairs(found["streams"]):
        for row in (bare, ours):
            rate = middle(row["chunks_per_second"])
            cpu, mock = middle(row["cpu_us_per_chunk"]), middle(row["mock_us_per_chunk"])
            name = f"{row['way']}, {row['together']} x {row['chunks']}"
            print(f"{name:<28} {rate:10,.0f} {cpu:7.1f} \u00b5s {mock:6.1f} \u00b5s")
        rate, cpu = over(ours, bare, "chunks_per_second"), over(ours, bare, "cpu_us_per_chunk")
        print(f"  {rate:+.1f} % chunks per second, {cpu:+.1f} % CPU against bare reqwest")


def in_pairs(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return list(zip(rows[::2], rows[1::2], strict=True))


def middle(values: list[float]) -> float:
    return statistics.median(values)


def over(ours: dict[str, Any], bare: dict[str, Any], figure: str) -> float:
    """How many percent ours is over the other."""
    return 100 * (middle(ours[figure]) / max(middle(bare[figure]), 1e-9) - 1)


def main() -> None:
    start_up()
    machine()
    calls()
    load()


if __name__ == "__main__":
    main()
