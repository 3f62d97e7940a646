"""The benchmarks of the README's claims: `make bench` runs them all; `make bench PARTS="machine front_end"` some of them. See README.md."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benches.front_end import front_end
from benches.machine import NAMES, against_python, machine
from benches.timing import COMMAND, PROGRAMS, ROOT, Work, heading, interleaved, report, run


def start_up() -> None:
    """What does a user wait for before anything happens?"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "examples" / "digest.conc", folder)
        compiled = str(folder / "calls.conc-ir")
        run(*COMMAND, "build", str(PROGRAMS / "calls.conc"), "-o", compiled)

        def check_anew() -> None:
            shutil.rmtree(folder / ".concerto", ignore_errors=True)
            run(*COMMAND, "check", "-q", "digest.conc", cwd=folder)

        works: dict[str, Work] = {
            "python -c pass": lambda: run(sys.executable, "-c", "pass"),
            "python -c 'import concerto'": lambda: run(sys.executable, "-c", "import concerto"),
            "concerto --version": lambda: run(*COMMAND, "--version"),
            "concerto check digest.conc, first": check_anew,
            "concerto check digest.conc, cached": lambda: run(
                *COMMAND, "check", "-q", "digest.conc", cwd=folder
            ),
            "concerto run, until the first request": lambda: first_request(compiled),
        }
        heading("Start-up")
        for work, times in interleaved(works).items():
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
    heading("One call through the mock server")
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


PARTS: dict[str, Callable[[], None]] = {
    "start_up": start_up,
    "machine": machine,
    "front_end": front_end,
    "calls": calls,
    "load": load,
}


def main(names: list[str]) -> int:
    """Runs parts, all of them if none is named; an algorithm of the virtual machine can be named alone."""
    rows = {name: partial(against_python, name) for name in NAMES}
    for name in names or PARTS:
        part = PARTS.get(name) or rows.get(name)
        if part is None:
            print(f"there is no part `{name}`: {', '.join([*PARTS, *rows])}", file=sys.stderr)
            return 2
        part()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
