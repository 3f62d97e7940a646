"""The programs of `examples/` run without a provider."""

from __future__ import annotations

from pathlib import Path

import concerto
import pytest
from concerto.__main__ import main

from tests.conftest import ROOT

PROGRAMS = sorted((ROOT / "examples").rglob("*.conc"))
#: An argument for a parameter of each type.
ARGUMENTS = {"String": "Some text.", "Int": "1", "Bool": "true"}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_they_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "examples"]) == 0, capsys.readouterr().err


def calls(path: Path) -> list[list[str]]:
    """The arguments of a run: `main`, and each public function but those that ask a host, which the command line is not."""
    program = concerto.compile_file(path)
    found: list[list[str]] = [[]] if program.has_main else []
    for entry in program.entry_points:
        if "EmitError" in entry.result:
            continue
        call = ["--call", entry.name]
        for parameter in entry.parameters:
            value = ARGUMENTS.get(parameter.type, "[]")
            call += ["--arg", f"{parameter.name}={value}"]
        found.append(call)
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_they_run_with_mocked_models(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = calls(path)
    assert runs
    for arguments in runs:
        status = main(["run", str(path), "--mock", *arguments])
        assert status == 0, (arguments, capsys.readouterr().err)
