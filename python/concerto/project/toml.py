"""TOML text → values with their places.

`tomllib` decides what is TOML; it gives no places, so a second, lenient walk over the same text finds them.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from concerto.source import Located, Source, Span

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_DOT = re.compile(r"[ \t]*\.")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)
_BARE = re.compile(r"[^,\]}#\r\n]*")
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

#: Names of tables and keys, numbers of array items, from the top.
Path = tuple[str | int, ...]
#: Where a key and its value stand.
Places = dict[Path, tuple[Span, Span]]


class TomlError(Exception):
    """A text that is no TOML: what is wrong, and where."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


def parse(source: Source) -> Located:
    """The whole document as one table. Raises `TomlError`."""
    try:
        document = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        raise _error(source, str(error)) from None
    except RecursionError:
        raise TomlError("the values are nested too deep", Span(0, 0)) from None
    whole = Span(0, 0)
    return _located(document, (), _Walk(source.text).places, (whole, whole))


def _error(source: Source, text: str) -> TomlError:
    found = _WHERE.search(text)
    message = text[: found.start()] if found else text
    end = len(source.text)
    start = end
    if found and found[1]:
        start = min(source.line_starts[int(found[1]) - 1] + int(found[2]) - 1, end)
    return TomlError(message[:1].lower() + message[1:], Span(start, min(start + 1, end)))


def _located(value: Any, path: Path, places: Places, outer: tuple[Span, Span]) -> Located:
    key, span = places.get(path, outer)
    inner: Any = value
    if isinstance(value, dict):
        inner = {k: _located(v, (*path, k), places, (key, span)) for k, v in value.items()}
    elif isinstance(value, list):
        inner = [_located(v, (*path, i), places, (key, span)) for i, v in enumerate(value)]
    return Located(inner, span, key)


class _Walk:
    """One walk over a text that is known to be TOML. The first place of a path is the one that counts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: Places = {}
        table: Path = ()
        arrays: dict[Path, int] = {}
        while self._skip() < len(self.text):
            if self.text[self.at] == "[":
                table = self._header(arrays)
            else:
                self._pair(table)

    def _header(self, arrays: dict[Path, int]) -> Path:
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        parts = self._keys()
        table: Path = ()
        for position, (name, place) in enumerate(parts):
            table = (*table, name)
            last = position == len(parts) - 1
            if double and last:
                arrays[table] = arrays.get(table, -1) + 1
            span = Span(parts[0][1].start, place.end)
            self.places.setdefault(table, (span, span))
            if table in arrays:
                table = (*table, arrays[table])
                self.places.setdefault(table, (span, span))
        self.at = self.text.index("]", self.at) + (2 if double else 1)
        return table

    def _skip(self) -> int:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _keys(self) -> list[tuple[str, Span]]:
        """The parts of a dotted key."""
        parts: list[tuple[str, Span]] = []
        while (found := _KEY.search(self.text, self.at)) is not None:
            self.at = found.end()
            raw = found[0]
            name = tomllib.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw
            parts.append((name, Span(found.start(), found.end())))
            dot = _DOT.match(self.text, self.at)
            if dot is None:
                break
            self.at = dot.end()
        return parts

    def _pair(self, table: Path) -> None:
        path, key = table, Span(self.at, self.at)
        parts = self._keys()
        for name, key in parts[:-1]:
            path = (*path, name)
            self.places.setdefault(path, (key, key))
        name, key = parts[-1]
        self.at = self.text.index("=", self.at) + 1
        self._value((*path, name), key)

    def _value(self, path: Path, key: Span) -> None:
        start = self._skip()
        opening = self.text[start]
        if opening in "[{":
            self.at += 1
            number = 0
            while self.text[self._skip()] not in "]}":
                if opening == "[":
                    self._value((*path, number), key)
                    number += 1
                else:
                    self._pair(path)
                if self.text[self._skip()] == ",":
                    self.at += 1
            self.at += 1
        else:
            self.at = self._scalar_end(start)
        self.places.setdefault(path, (key, Span(start, self.at)))

    def _scalar_end(self, start: int) -> int:
        for pattern in _STRINGS:
            found = pattern.match(self.text, start)
            if found:
                return found.end()
        bare = _BARE.match(self.text, start)
        return start + len(bare[0].rstrip()) if bare else start
