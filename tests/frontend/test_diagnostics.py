"""Each code on its example of the language reference: one message, at the right place (core 16)."""

from __future__ import annotations

import re

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.codes import CODES
from concerto.diagnostics.render import render
from concerto.source import Source

from tests.conftest import ROOT

EXAMPLES = ROOT / "tests/frontend/diagnostic_examples.txt"
MARK = "§"
#: What one source file cannot show: bytes that are no text, the command that runs it, other files, and the manifest.
ELSEWHERE = {
    "E0001",
    "E0010",
    "E2016",
    "E2020",
    "E4022",
    "E4023",
    "E4058",
    "E4059",
    "E4060",
    "E4061",
}
#: Rules that are about several declarations, or are not in the language's table: their goldens show them.
GOLDEN_ONLY = {"E4010", "E4016", "W4012", "W4017", "E9001"}


def examples() -> dict[str, str]:
    """The marked programs by code."""
    parts = re.split(r"^--- (\w+)\n", EXAMPLES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("code", sorted(set(examples()) & set(CODES)))
def test_the_example_of_each_code_gives_its_one_message(code: str) -> None:
    before, _, after = examples()[code].partition(MARK)
    source = Source(f"{code}.conc", before + after)
    _, diagnostics = compile_source(source)
    found = [(d.code, source.position(d.primary.span.start)) for d in diagnostics]
    assert found == [(code, source.position(len(before)))], render(diagnostics)


def test_each_code_has_an_example() -> None:
    assert set(CODES) - set(examples()) == ELSEWHERE | GOLDEN_ONLY
