"""The compiled program that tests and documentation of the Rust host embed."""

from __future__ import annotations

from concerto.compiler import compile_source
from concerto.diagnostics.render import render
from concerto.source import Source

from tests.conftest import ROOT, Golden

PROGRAM = ROOT / "tests/golden/hosts/host.conc"


def test_the_compiled_program_of_the_rust_host_is_up_to_date(golden: Golden) -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    ir, diagnostics = compile_source(Source(PROGRAM.name, text))
    assert ir is not None, render(diagnostics)
    golden(PROGRAM.with_suffix(".conc-ir"), ir.decode())
