"""From a file on the command line to a program, with its diagnostics printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.cli.app import USAGE, Exit, wants_color
from concerto.source import Source

if TYPE_CHECKING:
    from concerto.cache import Compiled
    from concerto.diagnostics.model import Diagnostic
    from concerto.runtime import Program

_DEFAULTS = ("main.conc", "src/main.conc")


def default_file() -> str:
    """The file of a command without one. Raises `Exit`."""
    for name in _DEFAULTS:
        if Path(name).is_file():
            return name
    raise Exit(USAGE, f"error: no FILE given, and there is neither {' nor '.join(_DEFAULTS)} here")


def compile_path(path: str) -> Compiled:
    """Compiles a file, or takes it from the cache. Raises `Exit` if it cannot be read."""
    from concerto.cache import compile_cached
    from concerto.compiler import read_source

    if path == "-":
        return compile_cached(Source("<stdin>", sys.stdin.read()), None)
    try:
        source, diagnostics = read_source(Path(path))
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    if source is None:
        from concerto.cache import compiled_from

        return compiled_from(None, diagnostics)
    return compile_cached(source, Path(path))


def load_program(path: str, options: argparse.Namespace) -> Program:
    """Loads IR, or compiles a source and prints what is wrong with it. Raises `Exit`."""
    from concerto.errors import IrError
    from concerto.runtime import Program

    try:
        if path != "-" and not path.endswith(".conc"):
            return Program.from_bytes(Path(path).read_bytes())
        compiled = compile_path(path)
        report(compiled, options)
        if compiled.ir is None:
            raise Exit(USAGE)
        return Program.from_bytes(compiled.ir)
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    except IrError as error:
        raise Exit(USAGE, f"error: {path}: {error}") from None


def report(compiled: Compiled, options: argparse.Namespace) -> None:
    """Prints the diagnostics of a compilation on standard error."""
    text = compiled.render(
        options.format, color=wants_color(options.color), warnings=not options.quiet
    )
    sys.stderr.write(text)


def print_diagnostics(diagnostics: Iterable[Diagnostic], options: argparse.Namespace) -> None:
    """Prints diagnostics on standard error in the form that was asked for."""
    from concerto.cache import compiled_from

    report(compiled_from(None, list(diagnostics)), options)
