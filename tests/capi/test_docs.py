"""The C of docs/hosts/c.md compiles, its host runs, and its tables are complete; its program is that of the page on Rust."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import concerto
import pytest

from tests.capi.header import HEADER, ROOT, declarations
from tests.capi.library import LIBRARY

PAGE = (ROOT / "docs/hosts/c.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```c\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_compiles(block: str, tmp_path: Path) -> None:
    source = tmp_path / "block.c"
    source.write_text(block, encoding="utf-8")
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["cc", *flags, f"-I{HEADER.parent}", str(source)], check=True)


def program(page: str) -> str:
    (text,) = re.findall(r"^```concerto\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return str(text)


def test_the_host_of_the_page_runs_the_program_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "main.conc-ir").write_bytes(concerto.compile(program(PAGE)).to_bytes())
    with concerto.MockServer() as server:
        host = BLOCKS[0].replace("http://127.0.0.1:8080/v1", server.url)
        assert host != BLOCKS[0]
        (tmp_path / "host.c").write_text(host, encoding="utf-8")
        library = [f"-L{LIBRARY.parent}", "-lconcerto", f"-Wl,-rpath,{LIBRARY.parent}"]
        command = ["cc", "-std=c99", f"-I{HEADER.parent}", "host.c", *library, "-o", "host"]
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run(["./host"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pieces, ticket = done.stdout.split("\n", 1)
    assert "".join(json.loads(piece) for piece in re.findall('"[^"]*"', pieces)) == (
        "[mock response to: Answer politely: I cannot log in!]"
    )
    assert json.loads(ticket) == {"area": "billing", "urgent": False}


def test_the_pages_on_rust_and_c_have_one_program() -> None:
    """With all that the examples of the page on Rust call."""
    rust = (ROOT / "docs/hosts/rust.md").read_text(encoding="utf-8")
    assert program(rust) == program(PAGE)
    exported = {entry.name for entry in concerto.compile(program(PAGE)).entry_points}
    called = re.findall(r'(?:call|start)(?:::<\w+>)?\((?:Some\()?"(\w+)"', rust)
    assert len(called) >= 6
    assert set(called) <= exported


def test_each_status_is_explained() -> None:
    for name, value in re.findall(r"#define (CONCERTO_\w+) (\d+)", declarations()):
        assert re.search(rf"`{name}`.*\| .*\b{value}\b.* \|", PAGE), name


def test_each_option_is_explained() -> None:
    source = (ROOT / "rust/src/runtime/options.rs").read_text(encoding="utf-8")
    options = re.findall(r'^    \("(\w+)", \|', source, re.MULTILINE)
    assert len(options) >= 20
    table = PAGE.split("## Options of a runtime")[1].split("##")[0]
    assert sorted(re.findall(r"`(\w+)`(?=[^|]*\|[^|]*\|[^|]*\|$)", table, re.MULTILINE)) == sorted(
        options
    )
