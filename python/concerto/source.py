"""A source text and places in it. Offsets count characters (Unicode scalars); lines, columns and bytes are computed when something is printed."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A half-open range of characters."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """From the start of this one to the end of the other."""
        return Span(self.start, other.end)


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a settings file with its place and that of its key. Tables are `dict[str, Located]`, arrays `list[Located]`."""

    value: Any
    span: Span
    key: Span


@dataclass(frozen=True)
class Source:
    """A text and the path that it is called by in messages."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Source:
        """Reads a file as UTF-8, without its byte order mark. Raises `OSError`, `UnicodeDecodeError`."""
        return cls(path.as_posix(), path.read_bytes().decode("utf-8-sig"))

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of each line."""
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")

    def byte_offset(self, offset: int) -> int:
        """The place of a character in the UTF-8 form of the text."""
        return len(self.text[:offset].encode("utf-8"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the UTF-8 form."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()
