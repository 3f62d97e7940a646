"""`python -m tests.fuzz.programs DIR`: the compiled programs that `fuzz.rs` damages.

All goldens, conformance programs and examples that compile, and 1,000 generated programs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random

from concerto.compiler import compile_source
from concerto.source import Source

from tests.conftest import ROOT
from tests.oracle.programs import program

FOLDERS = ("tests/golden", "tests/conformance", "examples")


def written() -> list[str]:
    """Programs that people wrote."""
    paths = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.conc"))
    return [path.read_text(encoding="utf-8") for path in paths]


def generated(count: int) -> list[str]:
    """Programs of the oracle's generator."""
    return [program(Random(f"programs {number}").randrange)[0] for number in range(count)]


def compile_into(folder: Path, texts: Iterable[str]) -> int:
    """Compiles what can be compiled alone into a folder, which is made: how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for number, text in enumerate(texts):
        ir, _ = compile_source(Source("t.conc", text), embed_source=False)
        if ir is not None:
            (folder / f"{number:05}.conc-ir").write_bytes(ir)
            count += 1
    return count


if __name__ == "__main__":
    count = compile_into(Path(sys.argv[1]), [*written(), *generated(1_000)])
    sys.stdout.write(f"{sys.argv[1]}: {count} programs\n")
