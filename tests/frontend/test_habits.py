"""What others would write in Python, TypeScript or Rust: one message, which says what to write here."""

from __future__ import annotations

import re

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.render import render
from concerto.source import Source

from tests.conftest import ROOT

#: `--- CODE help`, then the program.
PARTS = re.split(
    r"^--- (.*)\n",
    (ROOT / "tests/frontend/habits.txt").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)
HABITS = list(zip(PARTS[1::2], PARTS[2::2], strict=True))


@pytest.mark.parametrize(("expected", "text"), HABITS, ids=[text for _, text in HABITS])
def test_a_habit_of_another_language_gets_one_message_with_help(expected: str, text: str) -> None:
    diagnostics = compile_source(Source("habit.conc", text))[1]
    assert [f"{each.code} {each.help}" for each in diagnostics] == [expected], render(diagnostics)
