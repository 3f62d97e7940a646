"""What is loaded for the first request of a program: a process that makes one call is mostly imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import concerto
import pytest
from concerto.cli.run import RunOptions
from concerto.cli.run_arguments import parse

PROGRAM = """
connect far { provider: custom, base_url: env("URL"), api_key: "k", default_model: "m" }
model M { provider: far }
pub fn ask(text: String) -> Result<String, LlmError> { Ok(M.execute(text)?.text) }
fn main() { print(ask("Hi")); }
"""

#: Modules of the standard library that take long, each by itself or by what it loads.
HEAVY = {
    "argparse",
    "collections",
    "dataclasses",
    "enum",
    "hashlib",
    "inspect",
    "json",
    "pathlib",
    "re",
    "tempfile",
    "typing",
    "urllib",
}

HOST = "import concerto; concerto.Runtime(concerto.Program.load(sys.argv[1])).call('ask', 'Hi')"
COMMAND = "from concerto.__main__ import main; assert main(['run', sys.argv[1]]) == 0"


@pytest.fixture(scope="module")
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer() as server:
        yield server


def loaded(script: str, file: Path, server: concerto.MockServer) -> set[str]:
    """The modules that a script loads, besides those of the interpreter."""
    before, after = "before = set(sys.modules)", "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{before}\n{script}\n{after}", file],
        env={**os.environ, "URL": server.url, "CONCERTO_CACHE": "on"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("start") / "ask.conc"
    source.write_text(PROGRAM, encoding="utf-8")
    return source


@pytest.fixture(scope="module")
def compiled(source: Path) -> Path:
    made = source.with_suffix(".conc-ir")
    made.write_bytes(concerto.compile_file(source).to_bytes())
    return made


def test_a_host_loads_no_more_than_a_compiled_program_needs(
    compiled: Path, server: concerto.MockServer
) -> None:
    modules = loaded(HOST, compiled, server)
    own = {name for name in modules if name.startswith("concerto")}
    assert own == {"concerto", "concerto._native", "concerto.program", "concerto.runtime"}
    assert not modules & HEAVY
    assert len(server.requests()) == 1


def test_the_command_line_loads_no_more_than_a_compiled_program_needs(
    compiled: Path, server: concerto.MockServer
) -> None:
    modules = loaded(COMMAND, compiled, server)
    own = {name.removeprefix("concerto.") for name in modules if name.startswith("concerto.")}
    commands = {"__main__", "cli", "cli.app", "cli.compiled", "cli.run"}
    assert own == {"_native", "program", "runtime", *commands}
    assert not modules & HEAVY


def test_a_program_from_the_cache_loads_no_compiler_and_no_parser_of_arguments(
    source: Path, server: concerto.MockServer
) -> None:
    assert "concerto.lower.encode" in loaded(COMMAND, source, server)
    modules = loaded(COMMAND, source, server)
    assert not modules & {"argparse", "tempfile", "tomllib", "concerto.project.manifest"}
    assert not [name for name in modules if name.startswith(("concerto.syntax", "concerto.lower"))]


def test_each_option_of_run_has_a_default_without_the_parser() -> None:
    """A file alone is run without it."""
    usual = RunOptions()
    read_alone = set(vars(parse(["x.conc-ir"]))) - set(dir(usual))
    assert read_alone == {"trace"}  # which is refused
