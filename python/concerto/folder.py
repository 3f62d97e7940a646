"""The source root of a program: the folder of its entry file, with the files of its modules (language reference 12.1).

It remembers what was read and what was looked for in vain, so that the compile cache knows when an outcome is old.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.check.found import Found
from concerto.source import Source, Span

if TYPE_CHECKING:
    from concerto.diagnostics.model import Diagnostic

#: Stand for a file that is not there, and for a folder.
ABSENT, FOLDER = "absent", "folder"


class Folder:
    """Finds the files of modules. `entry` is no module itself; None for a program from standard input."""

    def __init__(self, root: Path, entry: Path | None = None) -> None:
        self.root = root
        self.entry = entry
        #: What was found at each place, relative to the root: `ABSENT`, `FOLDER`, or the digest of the bytes.
        self.seen: dict[str, str] = {}
        self._names = cache(_names)

    @classmethod
    def of(cls, entry: Path, root: Path | None = None) -> Folder:
        """The source root of a program with this entry file: its folder, unless another one is given."""
        return cls(root or entry.parent, entry)

    def files(self) -> list[str]:
        """The files that were read, as sources are named."""
        read = (place for place, state in self.seen.items() if state not in (ABSENT, FOLDER))
        return [(self.root / place).as_posix() for place in read]

    def find(self, path: tuple[str, ...]) -> Found:
        """The files of a module: `a/b.conc` or `a/b/mod.conc` for `a::b`. Raises `OSError` if one cannot be read."""
        stem = "/".join(path)
        places = (f"{stem}.conc", f"{stem}/mod.conc")
        sources: list[Source] = []
        problems: list[Diagnostic] = []
        for place in places:
            data = self._read(place)
            if data is None or (self.entry is not None and self._is_entry(place)):
                continue
            source, found = decode((self.root / place), data)
            problems += found
            sources += [source] if source else []
        is_folder = self._look(stem) == FOLDER
        shown = tuple((self.root / place).as_posix() for place in places)
        return Found(tuple(sources), is_folder, shown, self._beside(path), tuple(problems))

    def is_unchanged(self, seen: dict[str, str]) -> bool:
        """Whether all places hold what they held before."""
        return all(self._look(place) == state for place, state in seen.items())

    def _is_entry(self, place: str) -> bool:
        assert self.entry is not None
        return os.path.abspath(self.root / place) == os.path.abspath(self.entry)

    def _read(self, place: str) -> bytes | None:
        path = self.root / place
        data = None
        if self._exists(place) and path.is_file():
            data = path.read_bytes()
        self.seen[place] = ABSENT if data is None else hashlib.sha256(data).hexdigest()
        return data

    def _look(self, place: str) -> str:
        """The state of a place, which is remembered."""
        path = self.root / place
        if self._exists(place) and path.is_dir():
            self.seen[place] = FOLDER
            return FOLDER
        self._read(place)
        return self.seen[place]

    def _exists(self, place: str) -> bool:
        """Whether a place is there by exactly this name, on all file systems."""
        here = self.root
        for part in place.split("/"):
            if part not in self._names(here):
                return False
            here = here / part
        return True

    def _beside(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The modules in the folder of a module, for hints."""
        names = self._names(self.root.joinpath(*path[:-1]))
        return tuple(sorted({name.removesuffix(".conc") for name in names if _is_module(name)}))


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _is_module(name: str) -> bool:
    return name.removesuffix(".conc").isidentifier()


def decode(path: Path, data: bytes) -> tuple[Source | None, list[Diagnostic]]:
    """The bytes of a file as a source, without its byte order mark; bytes that are not UTF-8 are E0001."""
    try:
        return Source(path.as_posix(), data.decode("utf-8-sig")), []
    except UnicodeDecodeError as error:
        from concerto.diagnostics.model import Diagnostic, Label

        text = data[: error.start].decode("utf-8", "replace")
        source = Source(path.as_posix(), text + "\N{REPLACEMENT CHARACTER}")
        label = Label(Span(len(text), len(text) + 1))
        message = f"the file is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X}"
        return None, [Diagnostic("E0001", message, source, label, help="save it as UTF-8")]
