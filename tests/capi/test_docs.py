"""The C of docs/hosts/c.md compiles, and its tables are complete."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.capi.header import HEADER, ROOT, declarations

PAGE = (ROOT / "docs/hosts/c.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```c\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_compiles(block: str, tmp_path: Path) -> None:
    source = tmp_path / "block.c"
    source.write_text(block, encoding="utf-8")
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["cc", *flags, f"-I{HEADER.parent}", str(source)], check=True)


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
