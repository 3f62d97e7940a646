"""The language reference, one behaviour in each program of `tests/conformance`, with what is expected at the lines that give rise to it.

`// reports: CODE ..` what the compiler says of the line, and nothing else; `// expect: CHANNEL VALUE` and `// expect-output: LINE` in the order of
the text, without the events of pipelines; `// panics: KIND WORDS` and `// fails: WORDS` the end of the run. The VM and the oracle must agree. A folder
with a `main.conc` is one program.
A program with tests and no `main` is held by these, in their virtual time: for what only a mock, a clock or the machine can answer.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from concerto import testing
from concerto.compiler import compile_source, read_source
from concerto.diagnostics.render import render
from concerto.folder import Folder

from tests.conftest import ROOT
from tests.oracle.run import Outcome, compiled, run_by_oracle, run_by_vm

CONFORMANCE = ROOT / "tests/conformance"
PROGRAMS = sorted([*CONFORMANCE.glob("*/*.conc"), *CONFORMANCE.glob("*/*/main.conc")])

#: What only a program that runs can give.
RUNS = ("expect", "expect-output", "panics", "fails")


def name(path: Path) -> str:
    return str(path.relative_to(CONFORMANCE).with_suffix("")).removesuffix("/main")


def files(path: Path) -> list[Path]:
    """All files of a program."""
    return sorted(path.parent.rglob("*.conc")) if path.name == "main.conc" else [path]


def marked(path: Path, word: str) -> list[tuple[int, str]]:
    """The expectations of one kind, with their lines."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    pattern = re.compile(rf"// {word}: (.*?)(?=  // [a-z-]+: |$)")
    return [(number, text) for number, line in lines for text in pattern.findall(line)]


def check_end(path: Path, outcome: Outcome) -> None:
    """How the run ends."""
    panics, fails = marked(path, "panics"), marked(path, "fails")
    for line, text in panics:
        kind, _, words = text.partition(" ")
        assert outcome.end.startswith(f"panicked {kind} in "), outcome.end
        assert f", line {line}: " in outcome.end, outcome.end
        assert words in outcome.end, outcome.end
    for line, words in fails:
        assert outcome.end.startswith("failed in "), outcome.end
        assert f", line {line}: " in outcome.end or "in the result: " in outcome.end, outcome.end
        assert words in outcome.end, outcome.end
    if not panics and not fails:
        assert outcome.end.startswith("returned "), outcome.end


@pytest.mark.parametrize("path", PROGRAMS, ids=name)
def test_programs_conform(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, problems = read_source(path)
    assert source is not None, render(problems)
    ir, diagnostics = compile_source(source, folder=Folder.of(path))
    found = sorted(
        (Path(each.source.path).name, each.source.position(each.primary.span.start)[0], each.code)
        for each in diagnostics
    )
    expected = sorted(
        (file.name, line, code)
        for file in files(path)
        for line, codes in marked(file, "reports")
        for code in codes.split()
    )
    assert found == expected, render(diagnostics)
    if ir is None:
        # What never runs must not look as if it were held by more than its messages.
        assert not any(marked(file, word) for file in files(path) for word in RUNS)
        return
    program, document = compiled(source.text, Folder.of(path).find)
    for index, case in enumerate(testing.tests_of(program)):
        root = tmp_path / case.name
        root.mkdir()
        monkeypatch.chdir(root)
        report = testing.run_test(program, index)
        assert report.failure is None, (case.name, report.failure)
    if not program.has_main:
        assert not any(marked(file, word) for file in files(path) for word in RUNS)
        return
    outcome = run_by_vm(program, None)
    assert outcome == run_by_oracle(document, None)
    emits = [text for file in files(path) for _, text in marked(file, "expect")]
    assert [text for text in outcome.shown if not text.startswith("pipeline:")] == emits
    assert outcome.printed.splitlines() == [
        text for file in files(path) for _, text in marked(file, "expect-output")
    ]
    check_end(path, outcome)


def test_each_program_expects_something() -> None:
    words = ("reports", *RUNS)
    for path in PROGRAMS:
        has_tests = "@test fn" in path.read_text(encoding="utf-8")
        assert has_tests or any(marked(file, word) for file in files(path) for word in words), path
