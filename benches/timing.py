"""How all parts measure and print: ways to do the same work take turns, so that a change of the machine's speed meets them all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benches" / "programs"
COMMAND = [str(Path(sys.executable).with_name("concerto"))]
ROUNDS = 20

Work = Callable[[], object]
Clock = Callable[[], float]


def interleaved(
    works: Mapping[str, Work], rounds: int = ROUNDS, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each round of each work; a first round warms up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = clock()
            work()
            if number > 0:
                times[name].append(clock() - start)
    return times


def heading(title: str, *columns: str) -> None:
    cells = columns or ("median", "p95")
    print(f"\n{title:<44}" + "".join(f" {cell:>12}" for cell in cells))


def row(name: str, *cells: str) -> None:
    print(f"{name:<44}" + "".join(f" {cell:>12}" for cell in cells), flush=True)


def report(name: str, times: list[float]) -> None:
    """One row: median and 95th percentile."""
    row(name, shown(statistics.median(times)), shown(high(times)))


def high(times: list[float]) -> float:
    """The 95th percentile."""
    return sorted(times)[int(0.95 * (len(times) - 1))]


def shown(seconds: float) -> str:
    unit, factor = (
        ("s ", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("\u00b5s", 1e6)
    )
    return f"{seconds * factor:.1f} {unit}"


def run(*command: str, cwd: Path | None = None) -> None:
    # Users have compiled modules of Python, whatever a developer's shell says.
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=cwd, env=variables, check=True, stdout=subprocess.DEVNULL)
