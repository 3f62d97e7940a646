"""Each numbered rule of connections, calls, prompts, schemas, emits and tests is named by a test, in its name or beside it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

#: First and last number of each run of rules: connections, models, streams, metrics, overrides, errors, prompts, calls, schemas, tests, emits.
RULES = {
    "C": [(1, 92)],
    "M": [(1, 13), (20, 26), (30, 32), (40, 46)],
    "S": [(1, 20)],
    "T": [(1, 21)],
    "O": [(1, 16)],
    "E": [(1, 14)],
    "PR": [(1, 10)],
    "CA": [(1, 15)],
    "SC": [(1, 25)],
    "TE": [(1, 22)],
    "TL": [(1, 20)],
    "LO": [(1, 14)],
    "EM": [(1, 15)],
}

#: Rules of features that the language does not have yet, or that nothing tests yet.
WAITING = {
    "M-46": "memory",
    "S-17": "memory",
}

#: `C-81`, `C-81 to C-84`, `C-81..C-84`, `test_c_81_…`.
NAMED = re.compile(r"\b(PR|CA|SC|TE|TL|LO|EM|[CMSTOE])-(\d+)\b(?:(?:\.\.| to )[A-Z]*-?(\d+))?")
IN_NAMES = re.compile(r"(?<![a-z0-9])(pr|ca|sc|te|tl|lo|em|[cmstoe])_?(\d+)(?![0-9a-z])")


def named() -> set[str]:
    found = set()
    tests = set((ROOT / "tests").rglob("*.py")) - {Path(__file__)}
    for path in [*tests, *(ROOT / "rust/src").rglob("*.rs")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".rs" and "#[test]" not in text and "#[tokio::test" not in text:
            continue
        for kind, first, last in NAMED.findall(text):
            found |= {f"{kind}-{number}" for number in range(int(first), int(last or first) + 1)}
        for name in re.findall(r"\bfn (\w+)|\bdef (test_\w+)", text):
            for kind, number in IN_NAMES.findall("".join(name)):
                found.add(f"{kind.upper()}-{number}")
    return found


def test_each_rule_has_a_test_that_names_it() -> None:
    rules = {
        f"{kind}-{number}"
        for kind, runs in RULES.items()
        for first, last in runs
        for number in range(first, last + 1)
    }
    assert rules - named() - WAITING.keys() == set()
    assert WAITING.keys() <= rules
