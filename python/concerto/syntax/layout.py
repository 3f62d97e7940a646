"""Text that knows where it may be broken into lines.

A document is built from words and groups; `render` writes each group on one line if it fits, and else breaks it at its own places, not at those of the
groups inside. Knows no syntax.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from concerto.records import record


@record()
class Break:
    """A place where a group may be broken; `flat` stands there if it is not."""

    flat: str
    broken: str = ""


@record()
class Line:
    """A line end that breaks all groups around it."""


@record()
class Indent:
    """What is inside stands further to the right where lines are broken."""

    inner: Doc


@record()
class Group:
    """One line, or all its own places broken."""

    inner: Doc


@record()
class Verbatim:
    """Text of several lines that keeps its own form, such as a raw piece of a string."""

    text: str


@record()
class Note:
    """A comment. `place` is `above` what follows, `behind` what stands before it on the line, `below` it on a line of its own, or `within` the line.

    A gap is an empty line before a comment above or below; with an empty text it is only that.
    """

    text: str
    place: str
    has_gap: bool = False


Doc: TypeAlias = str | Break | Line | Indent | Group | Verbatim | Note | tuple["Doc", ...]

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


def unbroken(doc: Doc) -> tuple[str, list[int]]:
    """The text in as few lines as can be, for its words alone, and the offset of each word and each verbatim text, in order. There are no notes yet."""
    out: list[str] = []
    starts: list[int] = []
    length = 0
    pending = [doc]
    while pending:
        part = pending.pop()
        match part:
            case str() | Verbatim():
                starts.append(length)
                text = part if isinstance(part, str) else part.text
            case tuple():
                pending += reversed(part)
                continue
            case Indent(inner) | Group(inner):
                pending.append(inner)
                continue
            case Break(flat):
                text = flat
            case _:
                text = "\n"
        out.append(text)
        length += len(text)
    return "".join(out), starts


def render(doc: Doc, width: int) -> str:
    """The text; lines are indented by four spaces per level."""
    page = _Page()
    pending: list[tuple[int, bool, Doc]] = [(0, False, doc)]
    while pending:
        indent, flat, part = pending.pop()
        match part:
            case str() | Verbatim():
                page.write(part, indent)
            case tuple():
                pending += [(indent, flat, inner) for inner in reversed(part)]
            case Indent(inner):
                pending.append((indent + 4, flat, inner))
            case Group(inner):
                fits = flat or _fits(inner, width - page.column, pending)
                pending.append((indent, fits, inner))
            case Break(instead) if flat:
                page.write(instead, indent)
            case Break() | Line():
                page.end_line(indent, part.broken if isinstance(part, Break) else "")
            case Note():
                page.note(part, indent)
    page.end_comments()
    return "".join(page.out)


class _Page:
    """Text as it grows, line by line."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.column = 0
        #: Spaces that the line still lacks before its first word.
        self.margin = 0
        self.is_fresh = True  # nothing stands on the line
        self.held: list[tuple[int, Note]] = []
        """Comments that stand at the end of the line, or below it."""

    def write(self, part: str | Verbatim, indent: int) -> None:
        """Appends a word."""
        text = part if isinstance(part, str) else part.text
        if not text:
            return
        if self.held and text[0] not in ",;" and not text.isspace():
            self.end_line(indent, "")
        if self.is_fresh and text.isspace():
            return
        self.out.append(" " * self.margin + text)
        is_broken = not isinstance(part, str) and "\n" in text
        self.column = len(text.rpartition("\n")[2]) if is_broken else self.column + len(text)
        self.margin, self.is_fresh = 0, text.endswith("\n")

    def end_line(self, indent: int, last: str) -> None:
        """Ends the line, after a last mark and the comments that wait for it."""
        self.out.append(last)
        self.end_comments()
        self.out.append("\n")
        self.column = self.margin = indent
        self.is_fresh = True

    def end_comments(self) -> None:
        """Writes the comments that wait for the end of the line."""
        for indent, note in self.held:
            if note.place == "behind":
                self.out.append(f" {note.text}")
            else:
                self.out.append("\n" * (1 + note.has_gap) + " " * indent + note.text)
        self.held = []

    def note(self, note: Note, indent: int) -> None:
        """A comment, or an empty line."""
        if note.place in ("behind", "below"):
            self.held.append((indent, note))
        elif note.place == "within":
            self.write(f"{note.text} ", indent)
        else:
            if not self.is_fresh and note.text:
                self.end_line(indent, "")
            if note.has_gap and self.is_fresh and self._may_have_gap():
                self.out.append("\n")
            if note.text:
                self.write(note.text, indent)
                self.end_line(indent, "")

    def _may_have_gap(self) -> bool:
        """Whether the line above is neither the first, nor empty, nor opens a bracket."""
        above = "".join(self.out[-4:])
        return bool(above) and not above.endswith("\n\n") and above.rstrip("\n")[-1:] not in "{[("


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
            case Note(place="within", text=text):
                room -= len(text) + 1
            case Note(text=text):
                if text and inside:
                    return False
            case tuple():
                pending.extend((flat, inner) for inner in reversed(part))
            case Indent(inner) | Group(inner):
                pending.append((flat, inner))
            case Break() if not flat:
                return True
            case Break(instead):
                room -= len(instead)
    return False
