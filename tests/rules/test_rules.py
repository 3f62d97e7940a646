"""Statements of ARCHITECTURE.md that a machine can check."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import concerto
import pytest
from concerto import _native
from concerto.check import builtins, library
from concerto.check import types as t
from concerto.compiler import compile_source
from concerto.diagnostics.codes import CODES
from concerto.diagnostics.render import render
from concerto.lower.ir import OPERANDS
from concerto.lower.pipelines import EFFECTS
from concerto.source import Source

from tests.conftest import ROOT
from tests.oracle import all_instructions as _all  # noqa: F401  # fills the tables of natives
from tests.oracle.natives import MUTATING, PURE

PYTHON = ROOT / "python" / "concerto"
RUST = ROOT / "rust" / "src"

#: Which part of the front end may use which others, besides itself.
MAY_USE = {
    "source": set(),
    "garbage": set(),
    "records": set(),
    "diagnostics": {"source", "records"},
    "syntax": {"source", "diagnostics", "garbage", "records"},
    # `_native` for patterns of schemas: only the engine that searches them later knows which are good.
    "check": {"syntax", "source", "diagnostics", "text", "records", "_native"},
    "lower": {"check", "syntax", "source", "records"},
    "project": {"source", "diagnostics", ""},
    "folder": {"source", "diagnostics", "check"},
    "compiler": {
        "source",
        "garbage",
        "diagnostics",
        "syntax",
        "check",
        "lower",
        "project",
        "folder",
        "errors",
        "program",
        "",
    },
    "cache": {"compiler", "diagnostics", "folder", "project", "source", ""},
    "errors": {"diagnostics"},
    "values": set(),
    "text": set(),
    "settings": {"options"},  # for types alone
    "connection": {"settings"},
    "metrics": {"_native", "diagnostics"},
    "interface": set(),
    "program": {"_native", "interface"},
    "execution": {"_native", "metrics"},
    "options": {"_native", "connection", "settings"},  # the first two for types alone
    "runtime": {
        "_native",
        "connection",
        "execution",
        "metrics",
        "options",
        "program",
        "compiler",
        "settings",
    },
    "aio": {"_native", "execution", "options", "program", "runtime"},
    "local": set(),
    "tape": {"_native"},
}

#: Which part of the runtime may use which others, besides itself and the leaves.
LEAVES = {
    "turns",
    "error",
    "secret",
    "clock",
    "futures",
    "wire",
    "mock_reply",
    "models_table",
    "log",
    "sync",
}
RUST_MAY_USE = {
    "ir": {
        "value",
        "vm",
        "config",
    },  # `vm` for the names of natives, `config` for the shapes of retry and limits
    "value": set(),
    "schema": {"ir", "value"},
    "vm": {"ir", "value", "schema"},
    "config": set(),
    "chat": set(),
    "providers": {"chat", "config"},
    "metrics": {"chat", "config"},
    "llm": {
        "chat",
        "providers",
        "metrics",
        "config",
        "schema",
    },  # `schema` for the violations that an error carries
    "engine": {"vm", "ir", "value", "llm", "schema", "metrics", "config", "chat", "providers"},
    # `mock` for the scripts that a builder takes.
    "runtime": {"ir", "engine", "llm", "config", "metrics", "value", "schema", "mock"},
    "mock": set(),
    "error": {"config", "ir", "value"},  # the public error gathers those of all parts
}


def python_part(path: Path) -> str:
    relative = path.relative_to(PYTHON)
    return relative.parts[0].removesuffix(".py")


def test_the_front_end_keeps_its_layers() -> None:
    for path in PYTHON.rglob("*.py"):
        part = python_part(path)
        if part not in MAY_USE or path.name == "_tables.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.split(".")[0] == "concerto"
            ):
                inner = node.module.split(".")[1:]
                used = [inner[0]] if inner else [a.name for a in node.names]
                for each in used:
                    name = "" if each.startswith("__") else each
                    assert name == part or name in MAY_USE[part], (
                        f"{path}: `{part}` may not use `{each}`"
                    )


def test_the_runtime_keeps_its_layers() -> None:
    for path in RUST.rglob("*.rs"):
        part = path.relative_to(RUST).parts[0].removesuffix(".rs")
        if (
            part not in RUST_MAY_USE
            or path.stem == "cassettes"
            or "tests" in path.with_suffix("").parts
        ):
            continue
        code = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
        for used in set(re.findall(r"crate::(\w+)", code)) | set(
            re.findall(r"\n\s+(\w+)::[^;]*};", "")
        ):
            if used in LEAVES or used == part or used[0].isupper():
                continue
            assert used in RUST_MAY_USE[part], f"{path}: `{part}` may not use `{used}`"


def test_only_one_file_uses_the_http_library_and_one_folder_python() -> None:
    for path in RUST.rglob("*.rs"):
        text = path.read_text(encoding="utf-8")
        relative = path.relative_to(RUST).as_posix()
        if "reqwest::" in text:
            # `Url` of the HTTP library also checks base URLs; pools hold its clients, the feed of a stream its response.
            assert relative in (
                "llm/transport.rs",
                "llm/pools.rs",
                "llm/feed.rs",
                "llm/fetch.rs",
                "config/url.rs",
            ), relative
        if "pyo3" in text:
            assert relative.startswith("bindings/python/"), relative
        # The linter denies it everywhere; what allows it stands in the C interface alone.
        assert "unsafe_code" not in text or relative == "bindings/c/mod.rs", relative


def test_files_are_of_readable_size() -> None:
    exempt = {"execute.rs", "_tables.py", "exprs.py"}
    for path in [*PYTHON.rglob("*.py"), *RUST.rglob("*.rs")]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 720 or path.name in exempt, f"{path} has {lines} lines"


def test_twins_agree() -> None:
    assert _native.instruction_names() == sorted(OPERANDS)
    natives = {name: (arity, mutates) for name, arity, mutates in _native.native_functions()}
    for table, letters in (
        (t.STRING, {}), (t.INT, {}), (t.FLOAT, {}), (t.RANGE, {}), (t.Array(t.INT), {}), (t.Map(t.STRING, t.INT), {}),
        (t.Option(t.INT), {}), (t.Result(t.INT, t.STRING), {}),
    ):  # fmt: skip
        assert letters == {}
        for name in builtins.method_names(table):
            method = builtins.method(table, name)
            assert method is not None
            assert natives[method.native] == (len(method.params) + 1, method.mutates), method.native
    requests = {name for name, _ in _native.requests()}
    for kind, name in library.intrinsics():
        assert name in (natives if kind == "native" else requests), f"{kind} {name}"
    own = {name for kind, name in library.intrinsics() if kind == "effect"}
    assert requests == own | {"store.open", "test.cover", *EFFECTS}
    # What models share is no business of the oracle.
    assert set(natives) == {*PURE, *MUTATING, "model.shutdown", "model.spawn"}
    native_records = {
        record["name"]: (record["is_error"], [tuple(f) for f in record["fields"]])
        for record in json.loads(_native.builtin_records())
    }
    ours = {
        name: (origin == "error", [(field, t.show(type_)) for field, type_ in fields.items()])
        for name, (origin, fields) in builtins.records().items()
    }
    assert native_records == ours


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    pages = {path.stem for path in (PYTHON / "diagnostics/pages").glob("*.md")}
    assert pages == set(CODES)


def test_versions_agree() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    assert cargo["package"]["version"] == concerto.__version__ == _native.__version__


def test_public_names_exist_and_are_all_listed() -> None:
    for name in concerto.__all__:
        assert getattr(concerto, name) is not None
    assert sorted(concerto.__all__) == sorted(
        n for names in concerto._HOMES.values() for n in names
    )


def test_importing_the_package_loads_next_to_nothing() -> None:
    script = "import sys, concerto; print([m for m in sys.modules if m.startswith(('sly', 'concerto.'))])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_stub_describes_the_native_module() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "concerto._native"]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_options_of_python_are_those_of_the_runtime_and_described() -> None:
    source = (RUST / "runtime" / "options.rs").read_text(encoding="utf-8")
    options = set(re.findall(r'^    \("(\w+)", \|', source, re.MULTILINE))
    assert options == set(concerto.RuntimeOptions.__annotations__)
    described = re.findall(r"^ {4,8}(\w+): ", concerto.RuntimeOptions.__doc__ or "", re.MULTILINE)
    assert sorted(described) == sorted(options)


def test_classes_of_the_native_module_may_be_shared_by_threads() -> None:
    """Without the GIL, which the module says it does not need: PyO3 keeps no borrow of a frozen class, and Rust asks for `Sync`."""
    sources = {path: path.read_text("utf-8") for path in (RUST / "bindings/python").glob("*.rs")}
    assert "#[pymodule(gil_used = false)]" in sources[RUST / "bindings/python/mod.rs"]
    declared = [line for text in sources.values() for line in re.findall(r"#\[pyclass.*", text)]
    assert len(declared) > 5
    assert [line for line in declared if "frozen" not in line or "unsendable" in line] == []


def test_the_readme_example_checks() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = text.split("```concerto\n")[1].split("```")[0]
    runtime = concerto.Runtime(concerto.compile(program), mock=True)
    assert runtime.call("sort", "I cannot log in!").area == "billing"
    assert concerto.compile_file(ROOT / "examples/digest.conc").entry_points[0].name == "digest"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.stem
)
def test_the_programs_in_the_documentation_check_clean(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for program in re.findall(r"^```concerto\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        ir, diagnostics = compile_source(Source(page.name, program))
        assert diagnostics == [], render(diagnostics)
        assert ir is not None


def test_nothing_points_outside_of_the_project() -> None:
    for path in [
        *PYTHON.rglob("*.py"),
        *RUST.rglob("*.rs"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "Makefile",
    ]:
        text = path.read_text(encoding="utf-8")
        for word in ("/work/", "../shared", "artifactory"):
            assert word not in text, f"{path} mentions {word}"
