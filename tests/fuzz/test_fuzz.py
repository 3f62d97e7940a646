"""A few seconds of `make fuzz`, and all inputs that once went wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import concerto
import pytest

from tests.conftest import ROOT
from tests.fuzz.programs import compile_into, generated, written
from tests.fuzz.targets import TARGETS

CRASHES = ROOT / "tests/fuzz/crashes"
#: The tool for compiled programs, which `make capi` builds, with 4 GiB of memory.
IR = ("sh", "-c", 'ulimit -v 4194304 && exec "$0" "$@"', ROOT / "target/capi/fuzz")
COUNTS = {
    "lexer": 3_000,
    "layout": 2_000,
    "parser": 800,
    "checker": 40,
    "noise": 120,
    "tokens": 100,
    "programs": 40,
}


def feed(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which may crash, hang or take too much memory."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_goes_wrong(target: str) -> None:
    arguments = ["--target", target, "--count", str(COUNTS[target])]
    result = feed(sys.executable, "-m", "tests.fuzz", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{target}: {COUNTS[target]} inputs"), result.stdout


def test_nothing_goes_wrong_with_compiled_programs(tmp_path: Path) -> None:
    programs, crashes = tmp_path / "programs", tmp_path / "crashes"
    assert compile_into(programs, [*written()[::12], *generated(20)]) > 40
    result = feed(*IR, "--programs", programs, "--crashes", crashes, "--count", "1500")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1500 inputs"), result.stdout
    # The damage must reach the virtual machine.
    fates = {
        fate: int(count)
        for count, fate in re.findall(r"(\d+) (refused|ended|failed|stopped)", result.stdout)
    }
    assert min(fates.values()) > 50, result.stdout


@pytest.mark.parametrize("path", sorted(CRASHES.glob("*.conc")), ids=lambda path: path.name)
def test_texts_that_went_wrong_do_no_more(path: Path) -> None:
    result = feed(sys.executable, "-m", "tests.fuzz", "--input", path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(CRASHES.glob("*.json")), ids=lambda path: path.name)
def test_compiled_programs_that_went_wrong_do_no_more(path: Path) -> None:
    result = feed(*IR, "--input", path)
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
