"""Compiled programs beside their source, in `.concerto/cache/`, so that an unchanged program is not compiled again.

The key holds the entry file, its path, the manifest, the version of the compiler and the state of its own files. The entry itself says what was found at
each place where a module was looked for; if one of them holds something else by now, the entry is not taken. So it is never stale. Entries are written to
a temporary file and renamed, so concurrent runs do no harm; where nothing can be written, nothing is. `CONCERTO_CACHE=off` turns it off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from concerto import __version__
from concerto.diagnostics.codes import MAX_ERRORS, OFF_BY_DEFAULT
from concerto.folder import Folder
from concerto.source import Source

if TYPE_CHECKING:
    from concerto.diagnostics.model import Diagnostic
    from concerto.project.manifest import Project

#: The oldest entries beyond this number are removed.
MAX_ENTRIES = 64


@dataclass(frozen=True, slots=True)
class Compiled:
    """The outcome of a compilation: IR or None, and the diagnostics, rendered in every form."""

    ir: bytes | None
    #: `[severity, code, slug, human, coloured, short, json]` of each diagnostic, in order.
    diagnostics: tuple[tuple[str, str, str, str, str, str, str], ...]
    #: The files of modules that were read.
    files: tuple[str, ...] = ()
    #: Whether nothing was compiled.
    is_cached: bool = field(default=False, compare=False)

    @property
    def has_errors(self) -> bool:
        """Whether something keeps the program from running."""
        return any(row[0] == "error" for row in self.diagnostics)

    @property
    def refusal(self) -> str:
        """Why a program without errors does not run: a warning that `[lint]` denies."""
        if self.ir is not None or self.has_errors:
            return ""
        return "error: the manifest denies a warning above (`[lint]`)"

    def also(self, other: Compiled) -> Compiled:
        """With the diagnostics of another compilation before its own; no IR if one of them is an error."""
        rows = tuple(dict.fromkeys((*other.diagnostics, *self.diagnostics)))
        return replace(self, ir=None if other.has_errors else self.ir, diagnostics=rows)

    def linted(self, levels: Mapping[str, str]) -> Compiled:
        """With the warnings at their levels: `allow` hides one, `deny` keeps the program from running. Some are off unless asked for."""
        rows, denied = [], False
        for row in self.diagnostics:
            usual = "allow" if row[1] in OFF_BY_DEFAULT else "warn"
            level = levels.get(row[1], usual) if row[0] == "warning" else "warn"
            denied = denied or level == "deny"
            if level != "allow":
                rows.append(row)
        return replace(self, ir=None if denied else self.ir, diagnostics=tuple(rows))

    def render(self, form: str, *, color: bool = False, warnings: bool = True) -> str:
        """The diagnostics as text."""
        column = {"short": 5, "json": 6}.get(form, 4 if color else 3)
        shown, errors = [], 0
        for row in self.diagnostics:
            errors += row[0] == "error"
            # For programs all errors, for people the first ones.
            is_counted_only = row[0] == "error" and errors > MAX_ERRORS and form != "json"
            if (warnings or row[0] == "error") and not is_counted_only:
                shown.append(row[column])
        if errors > MAX_ERRORS and form != "json":
            shown.append(f"and {errors - MAX_ERRORS} more errors\n")
        return ("\n" if form == "human" else "").join(shown)


def compiled_from(
    ir: bytes | None, diagnostics: list[Diagnostic], files: Iterable[str] = ()
) -> Compiled:
    """Renders the diagnostics of a compilation."""
    from concerto.diagnostics.render import in_order, render, render_json, render_short

    rows = tuple(
        (
            str(d.severity),
            d.code,
            d.slug or "",
            render([d]),
            render([d], color=True),
            render_short([d]),
            render_json([d]),
        )
        for d in in_order(diagnostics)
    )
    return Compiled(ir, rows, tuple(files))


def compile_cached(
    source: Source, path: Path | None, project: Project | None = None, root: Path | None = None
) -> Compiled:
    """Compiles, or takes the outcome from the cache beside `path`; None turns the cache off, and the modules are those of the current folder.

    `root` is the source root if it is not the folder of the file. Raises `OSError` if the file of a module cannot be read.
    """
    entry = _entry(source, path, project, root)
    if entry is not None and path is not None:
        found = _read(entry, Folder.of(path, root))
        if found is not None:
            return found
    from concerto.compiler import compile_source

    folder = Folder.of(path, root) if path else Folder(Path())
    compiled = compiled_from(*compile_source(source, project, folder=folder), folder.files())
    if entry is not None:
        with contextlib.suppress(OSError):
            _write(entry, compiled, folder)
    return compiled


def _entry(
    source: Source, path: Path | None, project: Project | None, root: Path | None
) -> Path | None:
    if path is None or os.environ.get("CONCERTO_CACHE") == "off":
        return None
    manifest: tuple[str, ...] = ()
    if project:
        manifest = (project.source.path, project.source.digest, project.profile or "")
    key = hashlib.sha256()
    for part in (
        source.path,
        source.digest,
        root.as_posix() if root else "",
        *manifest,
        __version__,
        sys.version,
        _compiler_state(),
    ):
        key.update(part.encode() + b"\0")
    return path.parent / ".concerto" / "cache" / f"{key.hexdigest()}.json"


@cache
def _compiler_state() -> str:
    """Changes with every file of the compiler, so that a developer's change is seen at once."""
    return str(
        sorted((path, e.stat().st_mtime_ns, e.stat().st_size) for path, e in compiler_files())
    )


def compiler_files() -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files that an outcome may depend on, with their paths in the package."""
    root = Path(__file__).parent
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in os.scandir(root / folder):
            path = f"{folder}/{entry.name}".removeprefix("/")
            if entry.name.endswith((".py", ".json", ".conc", ".so", ".pyd")):
                yield path, entry
            elif path not in ("cli", "diagnostics/pages") and entry.is_dir():
                folders.append(path)


def _read(entry: Path, folder: Folder) -> Compiled | None:
    try:
        data = json.loads(entry.read_bytes())
        if not folder.is_unchanged(data["seen"]):
            return None
        ir = None if data["ir"] is None else data["ir"].encode("utf-8")
        rows = tuple(tuple(row) for row in data["diagnostics"])
        return Compiled(ir, rows, tuple(folder.files()), is_cached=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: compile


def _write(entry: Path, compiled: Compiled, folder: Folder) -> None:
    import tempfile

    entry.parent.mkdir(parents=True, exist_ok=True)
    ignore = entry.parent.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    ir = None if compiled.ir is None else compiled.ir.decode("utf-8")
    text = json.dumps({"ir": ir, "diagnostics": compiled.diagnostics, "seen": folder.seen})
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=entry.parent, suffix=".tmp", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.replace(file.name, entry)
        except OSError:  # the disk is full
            os.unlink(file.name)
            raise
    entries = sorted(entry.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
    for old in entries[:-MAX_ENTRIES]:
        old.unlink(missing_ok=True)
