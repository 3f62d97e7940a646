"""The VM against the oracle: all golden programs, and generated ones, which together execute every instruction.

`make deep` generates 100,000 programs instead of 1,000.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random

import hypothesis.strategies as st
import pytest
from concerto.lower.ir import OPERANDS
from hypothesis import HealthCheck, Phase, assume, given, seed, settings

from tests.conftest import ROOT
from tests.oracle.all_instructions import INSTRUCTIONS
from tests.oracle.machine import OutOfFuel
from tests.oracle.programs import program
from tests.oracle.run import compiled, run_by_oracle, run_by_vm, run_test_by_oracle, run_test_by_vm

PROGRAMS = sorted((ROOT / "tests/golden/run").glob("*.conc"))
WITH_TESTS = sorted((ROOT / "tests/golden/tests").glob("*.conc"))
CHUNKS = 4
PER_CHUNK = 25_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 250
#: No program can run into it.
UNREACHED = {"no_match"}


def programs() -> st.SearchStrategy[tuple[str, str | None]]:
    """Programs, each decision one byte of a tape. A shorter tape makes a simpler program: behind its end all bytes are 0."""

    def write(seed: int, length: int) -> tuple[str, str | None]:
        decisions = iter(Random(seed).randbytes(length))
        return program(lambda n: next(decisions, 0) % n)

    lengths = st.sampled_from([*range(0, 300, 10), 400, 500] + [1200] * 60)
    return st.builds(write, st.integers(0, 2**32), lengths)


def test_the_oracle_knows_every_instruction() -> None:
    assert set(INSTRUCTIONS) == set(OPERANDS)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_golden_programs_do_the_same_in_both(path: Path) -> None:
    program, document = compiled(path.read_text(encoding="utf-8"))
    assert run_by_vm(program, None) == run_by_oracle(document, None)


@pytest.mark.parametrize("path", WITH_TESTS, ids=lambda path: path.stem)
def test_golden_tests_do_the_same_in_both(path: Path) -> None:
    program, document = compiled(path.read_text(encoding="utf-8"))
    for index, test in enumerate(document["tests"]):
        assert run_test_by_vm(program, index) == run_test_by_oracle(document, index), test["title"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_programs_do_the_same_in_both(chunk: int) -> None:
    executed: Counter[str] = Counter()
    for path in PROGRAMS:
        run_by_oracle(compiled(path.read_text(encoding="utf-8"))[1], None, executed)
    for path in WITH_TESTS:
        document = compiled(path.read_text(encoding="utf-8"))[1]
        for index in range(len(document["tests"])):
            run_test_by_oracle(document, index, executed)

    @seed(chunk)
    @settings(
        max_examples=PER_CHUNK,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def check(made: tuple[str, str | None]) -> None:
        text, entry = made
        vm_program, document = compiled(text)
        try:
            expected = run_by_oracle(document, entry, executed)
        except OutOfFuel:
            assume(False)
        assert run_by_vm(vm_program, entry) == expected, text

    check()
    missing = set(OPERANDS) - set(executed) - UNREACHED
    assert not missing, f"neither a golden nor a program of this chunk executed {sorted(missing)}"
