"""How fast is computation? Each algorithm of `algorithms/` in Concerto, in CPython, and in the oracle: our interpreter of the same IR in Python.

Times are those of the processor, so that other load on the machine does not count: all sides compute on the calling thread. The oracle, which is written to be
obvious, gets a small size of each problem, and the virtual machine the same for that ratio. `python -m benches.machine` prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import concerto

from benches.timing import heading, interleaved, row, shown
from tests.oracle.machine import Machine
from tests.oracle.run import compiled
from tests.oracle.world import ScriptedWorld

ALGORITHMS = Path(__file__).parent / "algorithms"
NAMES = (
    "fib", "integers", "floats", "strings", "arrays", "maps", "structs", "closures", "matching", "sorting", "documents",
)  # fmt: skip
ROUNDS = 9


def machine() -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    heading("Virtual machine", f"CPy {version}", "Concerto", "faster", "than oracle")
    for name in NAMES:
        against_python(name)
    appending()


def load(name: str) -> concerto.Runtime:
    source = (ALGORITHMS / f"{name}.conc").read_text(encoding="utf-8")
    return concerto.Runtime(concerto.compile(source))


def against_python(name: str) -> None:
    """One row."""
    found = measured(name)
    python, ours = found["python"], found["concerto"]
    size = import_module(f"benches.algorithms.{name}").SIZE
    row(
        f"{name} ({size:,})",
        shown(python),
        shown(ours),
        f"{python / ours:.2f}x",
        f"{found['oracle'] / found['concerto_small']:.0f}x",
    )


def measured(name: str) -> dict[str, float]:
    """Seconds of the processor, medians: all sides must give the same result."""
    theirs = import_module(f"benches.algorithms.{name}")
    size, small = theirs.SIZE, theirs.SMALL
    with load(name) as runtime:
        expected = theirs.run(small)
        for result in (runtime.call("run", small), by_oracle(name, small)):
            if result != expected:
                raise AssertionError(f"{name}: {result} instead of {expected}")
        works = {
            "python": lambda: theirs.run(size),
            "concerto": lambda: runtime.call("run", size),
        }
        times = interleaved(works, ROUNDS, time.process_time)
        # Many small runs at once: one alone is close to the resolution of the clock.
        works = {
            "oracle": lambda: by_oracle(name, small),
            "concerto_small": lambda: [runtime.call("run", small) for _ in range(50)],
        }
        times |= interleaved(works, ROUNDS, time.process_time)
    found = {way: statistics.median(each) for way, each in times.items()}
    found["concerto_small"] /= 50
    return found


def by_oracle(name: str, size: int) -> object:
    interpreter = Machine(document(name), ScriptedWorld())
    exports = interpreter.document["entry"]["exports"]
    (entry,) = (each for each in exports if each["name"] == "run")
    return interpreter.run(entry["function"], [size])


@cache
def document(name: str) -> dict[str, Any]:
    return compiled((ALGORITHMS / f"{name}.conc").read_text(encoding="utf-8"))[1]


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


if __name__ == "__main__":
    print(json.dumps({name: measured(name) for name in NAMES}))
