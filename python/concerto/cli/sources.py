"""From a file on the command line to a program, with its manifest read and its diagnostics printed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.cli.app import USAGE, Exit, wants_color
from concerto.cli.compiled import is_compiled, load_compiled
from concerto.source import Source

if TYPE_CHECKING:
    import argparse

    from concerto.cache import Compiled
    from concerto.cli.app import SharedOptions
    from concerto.lower.coverage import Point
    from concerto.program import Program
    from concerto.project.manifest import Project

    Options = argparse.Namespace | SharedOptions

_DEFAULTS = ("main.conc", "src/main.conc")


def default_file(options: Options) -> str:
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
    raise Exit(
        USAGE,
        f"error: no FILE given, and there is neither {' nor '.join(_DEFAULTS)} here; `concerto init` starts a project",
    )


def open_project(path: str, options: Options) -> tuple[Project | None, Compiled]:
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


def compile_path(
    path: str,
    options: Options,
    *,
    as_part: bool = False,
    points: list[Point] | None = None,
) -> tuple[Compiled, Project | None]:
    """Compiles a file, or takes it from the cache, at the levels of the manifest's `[lint]`. Raises `Exit` if it cannot be read.

    With `points` its tests tell which of them they reach, and the cache is left alone. With `as_part` a file that has nothing to run is one of the
    project: its modules are looked for where those of the project's entry are.
    """
    from concerto.cache import compile_cached, compiled_from
    from concerto.compiler import read_source

    project, said = open_project(path, options)
    if path == "-":
        source: Source | None = Source("<stdin>", sys.stdin.read())
        compiled = compiled_from(None, [])
    else:
        try:
            source, diagnostics = read_source(Path(path))
        except OSError as error:
            raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
        compiled = compiled_from(None, diagnostics)
    if source is not None:
        started = time.perf_counter()
        try:
            root = _root(Path(path), source, project) if as_part else None
            file = None if path == "-" else Path(path)
            compiled = (
                compile_cached(source, file, project, root)
                if points is None
                else _measured(source, file, project, root, points)
            )
        except OSError as error:
            raise Exit(USAGE, f"error: cannot read `{error.filename}`: {error.strerror}") from None
        if options.verbose:
            took = f"compiled in {1000 * (time.perf_counter() - started):.0f} ms"
            print(f"{path}: {'kept by the cache' if compiled.is_cached else took}", file=sys.stderr)
    # A warning that the command line denies is not hidden before.
    asked = {code: "warn" for code in getattr(options, "deny", ())}
    levels = {**(project.lint if project else {}), **asked}
    return compiled.also(said).linted(levels), project


def _measured(
    source: Source,
    file: Path | None,
    project: Project | None,
    root: Path | None,
    points: list[Point],
) -> Compiled:
    """A program whose tests tell which points they reach. It is for one run only, so no cache keeps it."""
    from concerto.cache import compiled_from
    from concerto.compiler import compile_source
    from concerto.folder import Folder

    folder = Folder.of(file, root) if file else Folder(Path())
    return compiled_from(
        *compile_source(source, project, folder=folder, coverage=points), folder.files()
    )


def _root(path: Path, source: Source, project: Project | None) -> Path | None:
    """The source root of a file that is a part of a project; None if it is a program of its own."""
    if project is None or project.entry is None:
        return None
    root = (Path(project.source.path).parent / project.entry).parent
    if path.resolve().parent == root.resolve() or root.resolve() not in path.resolve().parents:
        return None
    from concerto.syntax import ast
    from concerto.syntax.parser import parse

    items = parse(source)[0].items
    runs = any(isinstance(item, ast.Statement) for item in items)
    has_main = any(isinstance(item, ast.Function) and item.name.text == "main" for item in items)
    return None if runs or has_main else root


def files_of(path: str, options: Options) -> list[str]:
    """A file, or those in a folder: first what programs start with, so that their modules are known. Raises `Exit`."""
    if path == "-" or not Path(path).is_dir():
        return [path]
    found = [
        file
        for file in Path(path).rglob("*.conc")
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise Exit(USAGE, f"error: there is no `.conc` file in `{path}`")
    project, _ = open_project(path, options)
    entry = None
    if project is not None and project.entry is not None:
        entry = (Path(project.source.path).parent / project.entry).resolve()

    def order(file: Path) -> tuple[bool, bool, int, str]:
        return (file.resolve() != entry, file.name != "main.conc", len(file.parts), str(file))

    return [str(file) for file in sorted(found, key=order)]


def load_program(
    path: str, options: Options, points: list[Point] | None = None
) -> tuple[Program, Project | None]:
    """Loads IR, or compiles a source and prints what is wrong with it; with its manifest, if it was compiled here. Raises `Exit`."""
    if is_compiled(path):
        return load_compiled(path, options), None
    from concerto.errors import IrError
    from concerto.program import Program

    try:
        compiled, project = compile_path(path, options, points=points)
        report(compiled, options)
        if compiled.ir is None:
            raise Exit(USAGE, compiled.refusal)
        return Program.from_bytes(compiled.ir), project
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    except IrError as error:
        raise Exit(USAGE, f"error: {path}: {error}") from None


def report(compiled: Compiled, options: Options) -> None:
    """Prints the diagnostics of a compilation on standard error."""
    text = compiled.render(
        options.format, color=wants_color(options.color), warnings=not options.quiet
    )
    sys.stderr.write(text)
