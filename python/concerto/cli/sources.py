"""From a file on the command line to a program, with its manifest read and its diagnostics printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.cli.app import USAGE, Exit, wants_color
from concerto.source import Source

if TYPE_CHECKING:
    from concerto.cache import Compiled
    from concerto.project.manifest import Project
    from concerto.runtime import Program

_DEFAULTS = ("main.conc", "src/main.conc")


def default_file(options: argparse.Namespace) -> str:
    """The file of a command without one: the manifest's entry, else a usual name. Raises `Exit`."""
    project, said = open_project(".", options)
    if project is not None and project.entry is not None:
        if said.has_errors:
            report(said, options)
            raise Exit(USAGE)
        return (Path(project.source.path).parent / project.entry).as_posix()
    for name in _DEFAULTS:
        if Path(name).is_file():
            return name
    raise Exit(USAGE, f"error: no FILE given, and there is neither {' nor '.join(_DEFAULTS)} here")


def open_project(path: str, options: argparse.Namespace) -> tuple[Project | None, Compiled]:
    """The manifest that a source file or folder belongs to, and what is wrong with it. Raises `Exit`."""
    from concerto.cache import compiled_from
    from concerto.compiler import open_project
    from concerto.errors import ConfigError

    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    manifest = Path(options.manifest) if options.manifest else None
    try:
        project, diagnostics = open_project(folder / "-", manifest, options.profile)
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{error.filename}`: {error.strerror}") from None
    except ConfigError as error:
        raise Exit(USAGE, f"error: {error}") from None
    return project, compiled_from(None, diagnostics)


def compile_path(path: str, options: argparse.Namespace) -> tuple[Compiled, Project | None]:
    """Compiles a file, or takes it from the cache, at the levels of the manifest's `[lint]`. Raises `Exit` if it cannot be read."""
    from concerto.cache import compile_cached, compiled_from
    from concerto.compiler import read_source

    project, said = open_project(path, options)
    if path == "-":
        compiled = compile_cached(Source("<stdin>", sys.stdin.read()), None, project)
    else:
        try:
            source, diagnostics = read_source(Path(path))
        except OSError as error:
            raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
        compiled = compiled_from(None, diagnostics)
        if source is not None:
            compiled = compile_cached(source, Path(path), project)
    # A warning that the command line denies is not hidden before.
    asked = {code: "warn" for code in getattr(options, "deny", ())}
    levels = {**(project.lint if project else {}), **asked}
    return compiled.also(said).linted(levels), project


def load_program(path: str, options: argparse.Namespace) -> tuple[Program, Project | None]:
    """Loads IR, or compiles a source and prints what is wrong with it; with its manifest, if it was compiled here. Raises `Exit`."""
    from concerto.errors import IrError
    from concerto.runtime import Program

    try:
        if path != "-" and not path.endswith(".conc"):
            if options.manifest or options.profile:
                message = "a compiled program has its manifest and profile already"
                raise Exit(USAGE, f"error: {message}; choose them with `concerto build`")
            return Program.from_bytes(Path(path).read_bytes()), None
        compiled, project = compile_path(path, options)
        report(compiled, options)
        if compiled.ir is None:
            raise Exit(USAGE, compiled.refusal)
        return Program.from_bytes(compiled.ir), project
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
