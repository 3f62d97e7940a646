"""Every stage against its expected printed form; `make golden` rewrites the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.codes import CODES
from concerto.diagnostics.model import Diagnostic
from concerto.diagnostics.render import render
from concerto.folder import Folder
from concerto.project.manifest import read
from concerto.source import Source
from concerto.syntax.dump import dump_tokens, dump_tree
from concerto.syntax.parser import parse

from tests.conftest import ROOT, Golden

GOLDEN = ROOT / "tests" / "golden"


def programs(folder: str) -> list[Path]:
    return sorted((GOLDEN / folder).glob("*.conc"))


def source(path: Path) -> Source:
    return Source(path.name, path.read_text(encoding="utf-8"))


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", programs("errors"), ids=lambda path: path.stem)
def test_each_code_has_one_message(
    path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of the same name holds the modules.
    monkeypatch.chdir(path.parent)
    diagnostics: list[Diagnostic] = []
    project = None
    manifest = path.with_suffix(".toml")
    if manifest.exists():
        project, diagnostics = read(source(manifest))
    folder = Folder(Path(path.stem))
    diagnostics += compile_source(source(path), project, folder=folder)[1]
    golden(path.with_suffix(".diag"), render(diagnostics))
    assert {diagnostic.code for diagnostic in diagnostics} == {path.stem}, "no follow-up noise"


def test_each_code_has_a_golden() -> None:
    # E0001 needs bytes that are no text, and E2016 is said when a program is run: both have tests of their own.
    assert set(names(programs("errors"))) | {"E0001", "E2016"} == set(CODES)


@pytest.mark.parametrize("path", programs("mission"), ids=lambda path: path.stem)
def test_mission_programs_check_clean_apart_from_their_age(path: Path) -> None:
    ir, diagnostics = compile_source(source(path))
    assert ir is not None, render(diagnostics)
    codes = {diagnostic.code for diagnostic in diagnostics} - {"W4016"}
    # The snippet about variables declares `key` three times and never uses it; `doc` stands for a document that another snippet takes from elsewhere.
    style = {"environment_variables": {"W2001"}, "multiple_providers": {"W0002"}}
    assert codes == style.get(path.stem, set())


@pytest.mark.parametrize("path", programs("tree"), ids=lambda path: path.stem)
def test_printed_tokens_and_tree(path: Path, golden: Golden) -> None:
    golden(path.with_suffix(".tokens"), dump_tokens(source(path)))
    golden(path.with_suffix(".tree"), dump_tree(source(path)))
    assert parse(source(path))[1] == []


@pytest.mark.parametrize("path", programs("ir"), ids=lambda path: path.stem)
def test_printed_ir(path: Path, golden: Golden) -> None:
    ir, diagnostics = compile_source(source(path), embed_source=False)
    assert ir is not None, render(diagnostics)
    document = json.loads(ir)
    lines = [
        f"{key}: {json.dumps(document[key])}" for key in sorted(document) if key != "functions"
    ]
    for function in document["functions"]:
        lines.append(f"fn {function['name']} registers={function['registers']}")
        lines += [f"  {pc:3} {json.dumps(code)}" for pc, code in enumerate(function["code"])]
    golden(path.with_suffix(".ir"), "\n".join(lines) + "\n")


@pytest.mark.parametrize("path", programs("schemas"), ids=lambda path: path.stem)
def test_json_schemas(path: Path, golden: Golden) -> None:
    # SC-9: the text itself is compared, line by line, because models see its order.
    ir, diagnostics = compile_source(source(path))
    assert ir is not None, render(diagnostics)
    lines: list[str] = []
    for schema in json.loads(ir)["schemas"]:
        text = json.dumps(json.loads(schema["json"]), indent=2, ensure_ascii=False)
        assert schema["json"] == json.dumps(
            json.loads(schema["json"]), separators=(",", ":"), ensure_ascii=False
        )
        lines.append(f"{schema['name']}: {text}")
    golden(path.with_suffix(".schemas"), "\n".join(lines) + "\n")


def test_no_expected_file_is_orphaned() -> None:
    for path in GOLDEN.rglob("*"):
        if path.is_file() and path.suffix != ".conc":
            assert path.with_suffix(".conc").exists(), f"{path} belongs to no program"


def test_compiling_twice_gives_the_same_bytes() -> None:
    for path in programs("mission"):
        assert compile_source(source(path)) == compile_source(source(path))
