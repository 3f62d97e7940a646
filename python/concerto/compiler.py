"""The whole front end on one screen: source → tokens → tree → checked program → IR → bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.diagnostics.model import Diagnostic, Label
from concerto.errors import CompileError, ConfigError
from concerto.folder import Folder, decode
from concerto.garbage import collector_paused
from concerto.source import Source, Span

if TYPE_CHECKING:
    from concerto.check.checked import CheckedProgram
    from concerto.lower.coverage import Point
    from concerto.program import Program
    from concerto.project.manifest import Project

#: Calls inside one another that a compilation may need: a chain of operators is a tree as deep as it is long.
_DEPTH = 12_000


def compile_source(
    source: Source,
    project: Project | None = None,
    *,
    folder: Folder | None = None,
    embed_source: bool = True,
    coverage: list[Point] | None = None,
    strip: bool = False,
) -> tuple[bytes | None, list[Diagnostic]]:
    """The canonical IR, or None if there are errors, and all diagnostics. Never raises for a bad program.

    `folder` holds the files of modules; without one the program has this file only. With `coverage` its tests tell which points they reach, and the list
    gets all points; such a program is for tests only. With `strip` places and docs are left out. What is wrong with the manifest of `project` was said when it was
    read. Raises `OSError` if a file of a module cannot be read.
    """
    if sys.getrecursionlimit() < _DEPTH:
        sys.setrecursionlimit(_DEPTH)
    try:
        with collector_paused():
            checked, diagnostics = _checked(source, project, folder)
            if checked is None:
                return None, diagnostics
            return _written(checked, embed_source, strip, coverage), diagnostics
    except RecursionError:
        message = "an expression has more parts in a row than the compiler can follow"
        help_ = "give parts of it names of their own, or put them into an array"
        return None, [Diagnostic("E1001", message, source, Label(Span(0, 0)), help=help_)]


def _checked(
    source: Source, project: Project | None, folder: Folder | None
) -> tuple[CheckedProgram | None, list[Diagnostic]]:
    from concerto.check.checked import ManifestFacts
    from concerto.check.checker import check
    from concerto.check.follow_ups import Parsed, without_follow_ups
    from concerto.check.found import no_files
    from concerto.syntax.parser import parse

    module, diagnostics = parse(source)
    if not module.items and any(d.is_error for d in diagnostics):
        return None, diagnostics
    manifest = None
    if project:
        manifest = ManifestFacts(
            project.source,
            project.connections,
            project.overlays,
            project.profile,
            project.pricing,
        )
    checked, found = check(source, module, manifest, folder.find if folder else no_files)
    entry = Parsed(source, module, tuple(diagnostics))
    diagnostics = without_follow_ups([entry, *checked.files.modules], found)
    if any(diagnostic.is_error for diagnostic in diagnostics):
        return None, diagnostics
    return checked, diagnostics


def _written(
    checked: CheckedProgram, embed_source: bool, without_places: bool, coverage: list[Point] | None
) -> bytes:
    from concerto import __version__
    from concerto.lower.coverage import Points
    from concerto.lower.encode import encode
    from concerto.lower.program import lower
    from concerto.lower.strip import strip

    points = None if coverage is None else Points(checked.module, checked.files)
    program = lower(checked, __version__, embed_source=embed_source, points=points)
    if coverage is not None and points is not None:
        coverage += points.all
    if without_places:
        strip(program)
    return encode(program)


def read_source(path: Path) -> tuple[Source | None, list[Diagnostic]]:
    """A file as a source; bytes that are not UTF-8 are E0001. Raises `OSError`."""
    return decode(path, path.read_bytes())


def open_project(
    path: Path, manifest: Path | None = None, profile: str | None = None
) -> tuple[Project | None, list[Diagnostic]]:
    """The manifest of a source file, if there is one, and what is wrong with it.

    It is looked for in the file's folder and above; without `profile` the variable `CONCERTO_PROFILE` names one. Raises `OSError`, and `ConfigError`
    for a profile without a manifest.
    """
    from concerto.project.find import find

    profile = profile or os.environ.get("CONCERTO_PROFILE") or None
    found = manifest or find(path.parent)
    if found is None:
        if profile is not None:
            raise ConfigError(f"there is no `Concerto.toml` with a profile `{profile}`")
        return None, []
    from concerto.project.manifest import load

    try:
        return load(found, profile)
    except UnicodeDecodeError:
        return None, decode(found, found.read_bytes())[1]


def check_text(text: str, path: str = "<text>") -> list[Diagnostic]:
    """What is wrong with a program given as text, warnings included: ordered by place, empty if nothing is. As for `compile`, without manifest and modules."""
    return compile_source(Source(path, text))[1]


def compile_text(text: str, path: str = "<text>") -> Program:
    """Compiles a program given as text, without a manifest and without files of modules. Raises `CompileError` with all diagnostics."""
    return _program(*compile_source(Source(path, text)))


def compile_file(
    path: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str] | None = None,
    profile: str | None = None,
) -> Program:
    """Compiles a `.conc` file and the modules that it uses, with its manifest, if it has one, and one of the manifest's profiles.

    Raises `CompileError` with all diagnostics, `OSError` if a file cannot be read, `ConfigError` for a profile without a manifest.
    """
    project, found = open_project(Path(path), Path(manifest) if manifest else None, profile)
    source, diagnostics = read_source(Path(path))
    diagnostics = [*found, *diagnostics]
    if source is None:
        return _program(None, diagnostics)
    ir, more = compile_source(source, project, folder=Folder.of(Path(path)))
    failed = any(diagnostic.is_error for diagnostic in diagnostics)
    return _program(None if failed else ir, [*diagnostics, *more])


def _program(ir: bytes | None, diagnostics: list[Diagnostic]) -> Program:
    from concerto.program import Program

    if ir is None:
        from concerto.diagnostics.render import render

        errors = [diagnostic for diagnostic in diagnostics if diagnostic.is_error]
        raise CompileError(render(errors), diagnostics)
    return Program.from_bytes(ir)
