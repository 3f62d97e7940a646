"""The whole front end on one screen: source → tokens → tree → checked program → IR → bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.diagnostics.model import Diagnostic, Label
from concerto.diagnostics.render import render
from concerto.errors import CompileError
from concerto.source import Source, Span

if TYPE_CHECKING:
    from concerto.runtime import Program


def compile_source(
    source: Source, *, embed_source: bool = True
) -> tuple[bytes | None, list[Diagnostic]]:
    """The canonical IR, or None if there are errors, and all diagnostics. Never raises for a bad program."""
    from concerto import __version__
    from concerto.check.checker import check
    from concerto.lower.encode import encode
    from concerto.lower.program import lower
    from concerto.syntax.parser import parse

    module, diagnostics = parse(source)
    if not module.items and any(d.is_error for d in diagnostics):
        return None, diagnostics
    checked, found = check(source, module)
    diagnostics = [*diagnostics, *found]
    if any(diagnostic.is_error for diagnostic in diagnostics):
        return None, diagnostics
    program = lower(checked, __version__, embed_source=embed_source)
    return encode(program), diagnostics


def read_source(path: Path) -> tuple[Source | None, list[Diagnostic]]:
    """A file as a source; bytes that are not UTF-8 are E0001. Raises `OSError`."""
    try:
        return Source.read(path), []
    except UnicodeDecodeError as error:
        text = path.read_bytes()[: error.start].decode("utf-8", "replace")
        source = Source(path.as_posix(), text + "\N{REPLACEMENT CHARACTER}")
        label = Label(Span(len(text), len(text) + 1))
        message = f"the file is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X}"
        return None, [Diagnostic("E0001", message, source, label, help="save it as UTF-8")]


def compile_text(text: str, path: str = "<text>") -> Program:
    """Compiles a program given as text. Raises `CompileError` with all diagnostics."""
    return _program(*compile_source(Source(path, text)))


def compile_file(path: str | os.PathLike[str]) -> Program:
    """Compiles a `.conc` file. Raises `CompileError` with all diagnostics, `OSError` if it cannot be read."""
    source, diagnostics = read_source(Path(path))
    if source is None:
        return _program(None, diagnostics)
    return _program(*compile_source(source))


def _program(ir: bytes | None, diagnostics: list[Diagnostic]) -> Program:
    from concerto.runtime import Program

    if ir is None:
        errors = [diagnostic for diagnostic in diagnostics if diagnostic.is_error]
        raise CompileError(render(errors), diagnostics)
    return Program.from_bytes(ir)
