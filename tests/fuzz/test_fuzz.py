"""A few seconds of `make fuzz`, and all inputs that once went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import concerto
import pytest

from tests.conftest import ROOT
from tests.fuzz.targets import TARGETS

KEPT = sorted((ROOT / "tests/fuzz/crashes").glob("*.*"))
COUNTS = {"noise": 120, "tokens": 100, "programs": 40, "documents": 400}


def feed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which may crash, hang or take too much memory."""
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_goes_wrong(target: str) -> None:
    arguments = ["--worker", "--target", target, "--seconds", "60", "--count", str(COUNTS[target])]
    result = feed(*arguments)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_went_wrong_does_no_more(path: Path) -> None:
    result = feed("--input", str(path))
    assert result.returncode == 0, result.stderr


DEEP = """enum Chain { End, Link(Int, Array<Chain>) }
fn chain(n: Int) -> Chain { let mut made = Chain::End; for i in 0..n { made = Chain::Link(i, [made]); } made }
fn nested(n: Int) -> Any { let mut made: Any = 1; for _ in 0..n { made = [made]; } made }
fn wrapped(n: Int) -> Any { let mut made: Any = 1; for _ in 0..n { made = Some(made); } made }
pub fn dropped(n: Int) -> Bool { chain(n); nested(n); wrapped(n); true }
pub fn compared(n: Int) -> Bool { chain(n) == chain(n) && nested(n) == nested(n) && wrapped(n) == wrapped(n) && nested(n) != nested(n + 1) }
pub fn shown(n: Int) -> Bool { "${nested(n)} ${chain(n)}".contains("...") }
pub fn returned(n: Int) -> Any { nested(n) }
"""


def test_values_nest_without_limit() -> None:
    runtime = concerto.Runtime(concerto.compile(DEEP))
    for name in ("dropped", "compared", "shown"):
        assert runtime.call(name, 200_000) is True, name
    with pytest.raises(RecursionError, match="256 levels"):
        runtime.call("returned", 200_000)


def test_a_program_that_only_sends_is_stopped_in_time() -> None:
    program = concerto.compile('fn main() { loop { emit("x", 1); } }')
    with pytest.raises(concerto.LimitError):
        concerto.Runtime(program, execution_timeout=0.05).observe(None, {}, lambda emit: None)
