"""The VM against the oracle: all golden programs, and generated ones."""

from __future__ import annotations

from pathlib import Path

import concerto
import pytest
from concerto.lower.ir import OPERANDS

from tests.conftest import ROOT
from tests.oracle.instructions import INSTRUCTIONS
from tests.oracle.run import document_of, run_by_oracle, run_by_vm

PROGRAMS = sorted((ROOT / "tests/golden/run").glob("*.conc"))


def test_the_oracle_knows_every_instruction() -> None:
    assert set(INSTRUCTIONS) == set(OPERANDS)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_golden_programs_do_the_same_in_both(path: Path) -> None:
    program = concerto.compile(path.read_text(encoding="utf-8"))
    assert run_by_vm(program, None) == run_by_oracle(document_of(program), None)
