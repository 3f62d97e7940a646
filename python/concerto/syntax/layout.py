"""Text that knows where it may be broken into lines.

A document is built from words and groups; `render` writes each group on one line if it fits, and else breaks it at its own places, not at those of the
groups inside. Knows no syntax.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a group may be broken; `flat` stands there if it is not."""

    flat: str
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line end that breaks all groups around it."""


@dataclass(frozen=True, slots=True)
class Indent:
    """What is inside stands further to the right where lines are broken."""

    inner: Doc


@dataclass(frozen=True, slots=True)
class Group:
    """One line, or all its own places broken."""

    inner: Doc


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text of several lines that keeps its own form, such as a raw piece of a string."""

    text: str


Doc: TypeAlias = str | Break | Line | Indent | Group | Verbatim | tuple["Doc", ...]

LINE = Line()
SOFT = Break("")
SPACE = Break(" ")


def joined(separator: Doc, parts: Iterable[Doc]) -> Doc:
    """Parts with a separator between them."""
    out: list[Doc] = []
    for part in parts:
        if out:
            out.append(separator)
        out.append(part)
    return tuple(out)


def bracketed(
    opening: str, parts: Iterable[Doc], closing: str, pad: str = "", lone: str = ""
) -> Doc:
    """A list in brackets: on one line, or one part per line with a comma after each. `lone` follows the last part on one line."""
    items = list(parts)
    if not items:
        return opening + closing
    inside = joined((",", SPACE), items)
    return Group((opening, Indent((Break(pad), inside)), Break(lone + pad, ","), closing))


def render(doc: Doc, width: int) -> str:
    """The text; lines are indented by four spaces per level."""
    out: list[str] = []
    column = margin = (
        0  # where the text stands; spaces that the line still lacks before its first word
    )
    pending: list[tuple[int, bool, Doc]] = [(0, False, doc)]
    while pending:
        indent, flat, part = pending.pop()
        match part:
            case "":
                pass
            case str():
                out.append(" " * margin + part)
                column, margin = column + len(part), 0
            case Verbatim(text):
                out.append(text)
                column, margin = len(text.rpartition("\n")[2]), 0
            case tuple():
                pending.extend((indent, flat, inner) for inner in reversed(part))
            case Indent(inner):
                pending.append((indent + 4, flat, inner))
            case Group(inner):
                fits = flat or _fits(inner, width - column, pending)
                pending.append((indent, fits, inner))
            case Break(instead) if flat:
                out.append(instead)
                column += len(instead)
            case Break() | Line():
                out.append("\n" if isinstance(part, Line) else f"{part.broken}\n")
                column = margin = indent
    return "".join(out)


def _fits(doc: Doc, room: int, behind: list[tuple[int, bool, Doc]]) -> bool:
    """Whether a group fits on the line together with what follows up to the next place that may be broken."""
    pending: list[tuple[bool, Doc]] = [(True, doc)]
    rest = len(behind)
    while room >= 0:
        inside = rest == len(behind)
        if not pending:
            if rest == 0:
                return True
            rest -= 1
            pending.append(behind[rest][1:])
            inside = False
        flat, part = pending.pop()
        match part:
            case str():
                room -= len(part)
            case Line() | Verbatim():
                return not inside
            case tuple():
                pending.extend((flat, inner) for inner in reversed(part))
            case Indent(inner) | Group(inner):
                pending.append((flat, inner))
            case Break() if not flat:
                return True
            case Break(instead):
                room -= len(instead)
    return False
