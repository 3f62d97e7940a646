"""How fast is computation? Each algorithm of `algorithms/` in Concerto and in CPython.

Times are those of the processor, so that other load on the machine does not count: both sides compute on the calling thread.
"""

from __future__ import annotations

import statistics
import sys
import time
from importlib import import_module
from pathlib import Path

import concerto

from benches.timing import heading, interleaved, row, shown

ALGORITHMS = Path(__file__).parent / "algorithms"
NAMES = (
    "fib", "integers", "floats", "strings", "arrays", "maps", "structs", "closures", "matching", "sorting", "documents",
)  # fmt: skip
ROUNDS = 9


def machine() -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    heading("Virtual machine", f"CPy {version}", "Concerto", "faster")
    for name in NAMES:
        against_python(name)
    appending()


def load(name: str) -> concerto.Runtime:
    source = (ALGORITHMS / f"{name}.conc").read_text(encoding="utf-8")
    return concerto.Runtime(concerto.compile(source))


def against_python(name: str) -> None:
    """One row; both must give the same result."""
    theirs = import_module(f"benches.algorithms.{name}")
    size: int = theirs.SIZE
    with load(name) as runtime:
        ours, expected = runtime.call("run", size), theirs.run(size)
        if ours != expected:
            raise AssertionError(f"{name}: {ours} instead of {expected}")
        works = {
            "theirs": lambda: theirs.run(size),
            "ours": lambda: runtime.call("run", size),
        }
        times = interleaved(works, ROUNDS, time.process_time)
    middle = {way: statistics.median(each) for way, each in times.items()}
    ratio = middle["theirs"] / middle["ours"]
    row(f"{name} ({size:,})", shown(middle["theirs"]), shown(middle["ours"]), f"{ratio:.2f}x")


def appending() -> None:
    """Ten times the pieces of a text should take ten times as long."""
    source = """pub fn run(n: Int) -> Int {
        let mut text = "";
        for _piece in 0..n { text += "chunk "; }
        text.len()
    }"""
    with concerto.Runtime(concerto.compile(source)) as runtime:
        short, long = 100_000, 1_000_000
        works = {
            "short": lambda: runtime.call("run", short),
            "long": lambda: runtime.call("run", long),
        }
        times = interleaved(works, ROUNDS, time.process_time)
    middle = {way: statistics.median(each) for way, each in times.items()}
    ratio = middle["long"] / middle["short"]
    print(
        f"a text of {long:,} pieces takes {ratio:.1f} times as long as one of {short:,} (10 is linear)"
    )
