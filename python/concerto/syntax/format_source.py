"""A source in its canonical form, with its comments and its own spelling: what `concerto fmt` does.

Imports are put in order first. Then the tree is laid out anew, the tokens of old and new text are laid side by side, and each comment is put where it stood
between them. At the end the new text is read again: it must give the same tree, the same tokens (but for commas at the end of lists and useless `;`) and the
same comments, or nothing is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from concerto.diagnostics.model import Diagnostic
from concerto.garbage import collector_paused
from concerto.records import record
from concerto.source import Source
from concerto.syntax import ast
from concerto.syntax.format import WIDTH, module_doc
from concerto.syntax.format_uses import with_sorted_uses
from concerto.syntax.layout import (
    LINE,
    Break,
    Doc,
    Group,
    Indent,
    Line,
    Note,
    Verbatim,
    render,
    unbroken,
)
from concerto.syntax.lexer import Lexed, lex
from concerto.syntax.parser import parse, parse_again
from concerto.syntax.spelling import spelled_as

_COMMENT = re.compile(r"//[^\n]*|/\*")
_EMPTY_LINE = re.compile(r"\n[ \t\f]*\n")
_ENDS = re.compile(r"/\*|\*/")
#: Where the two texts may differ.
_FREE = ("COMMA", "SEMI")
_OPENERS, _CLOSERS = "([{", ")]}"


class CannotFormat(Exception):  # noqa: N818 - it is no mistake of the caller
    """The new text would not be the same program; `line` is where they part."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} cannot be formatted without changing the program")
        self.line = line


@record()
class _Comment:
    text: str
    start: int
    end: int


@record()
class _Mark:
    """A token, or a line of documentation."""

    kind: str
    start: int
    end: int


@dataclass
class _Text:
    """A text with its marks and its other comments."""

    text: str
    marks: list[_Mark] = field(default_factory=list)
    comments: list[_Comment] = field(default_factory=list)

    def line(self, offset: int) -> int:
        """The line of a place, from 1."""
        return self.text.count("\n", 0, offset) + 1

    def has_gap(self, start: int, end: int) -> bool:
        """Whether there is an empty line in a part that holds only white space and useless `;`."""
        return _EMPTY_LINE.search(self.text, start, end) is not None


@collector_paused()
def format_source(source: Source, width: int = WIDTH) -> tuple[str | None, list[Diagnostic]]:
    """The canonical text, or None with what is wrong with the source. Raises `CannotFormat`."""
    lexed = lex(source)
    old = _read(source.text, lexed)
    module, diagnostics = parse(source, lexed)
    errors = [each for each in diagnostics if each.is_error]
    if errors:
        return None, errors
    text = source.text.replace("\r\n", "\n")
    if text != source.text:
        return format_source(Source(source.path, text), width)
    in_order = with_sorted_uses(text, module)
    if in_order != text:
        _compare_unordered(old, _read(in_order, lex(Source("", in_order))))
        return format_source(Source(source.path, in_order), width)
    with spelled_as(text, module.grouped):
        doc = module_doc(module)
    found = render(_with_comments(doc, old), width)
    found = found.strip("\n") + "\n" if found.strip() else ""
    _compare(old, Source(source.path, found), module)
    return found, []


def _read(text: str, lexed: Lexed) -> _Text:
    """Marks and comments of a text, by its tokens as they are before the parser reads them."""
    tokens, docs, _ = lexed
    read = _Text(text)
    at = 0
    for token in tokens:
        _gap(read, at, token.index, has_docs=token.index in docs.before, is_first=at == 0)
        read.marks.append(_Mark(token.type, token.index, token.end))
        at = token.end
    _gap(read, at, len(text), has_docs=False, is_first=not tokens)
    return read


def _gap(read: _Text, start: int, end: int, *, has_docs: bool, is_first: bool) -> None:
    """The comments between two tokens."""
    while found := _COMMENT.search(read.text, start, end):
        first, start = found.span()
        text = found.group()
        if text == "/*":
            depth = 1
            while depth and (next_ := _ENDS.search(read.text, start)):
                depth += 1 if next_.group() == "/*" else -1
                start = next_.end()
            text = read.text[first:start]
        is_doc = has_docs and text.startswith("///") and not text.startswith("////")
        if is_doc or (is_first and text.startswith("//!")):
            read.marks.append(_Mark("DOC", first, start))
        else:
            read.comments.append(_Comment(text.rstrip(), first, start))


def _with_comments(doc: Doc, old: _Text) -> Doc:
    """The document with the comments and empty lines of the old text."""
    text, starts = unbroken(doc)
    new = _read(text, lex(Source("", text)))
    placed = _Placed(new, starts)
    pairs, loose = _side_by_side(old, new)
    comments = iter([*sorted([*old.comments, *loose], key=lambda each: each.start), None])
    comment = next(comments)
    previous: tuple[_Mark, _Mark] | None = None
    at = 0
    for mark, twin in pairs:
        start = mark.start
        while comment is not None and comment.start < start:
            _place(placed, old, comment, at, previous, (mark, twin))
            at = comment.end
            comment = next(comments)
        if at and old.has_gap(_line_start_of(old, at), start):
            placed.before(twin, Note("", "above", has_gap=True))
        previous = (mark, twin)
        at = mark.end
    while comment is not None:
        _place(placed, old, comment, at, previous, None)
        at = comment.end
        comment = next(comments)
    return placed.into(doc)


def _line_start_of(old: _Text, at: int) -> int:
    """Behind commas and the like, which are no marks to go by."""
    while at < len(old.text) and old.text[at] in ",; \t":
        at += 1
    return at


def _place(
    placed: _Placed,
    old: _Text,
    comment: _Comment,
    at: int,
    previous: tuple[_Mark, _Mark] | None,
    following: tuple[_Mark, _Mark] | None,
) -> None:
    text = old.text
    line_start = text.rfind("\n", 0, comment.start) + 1
    line_end = text.find("\n", comment.end)
    rest = text[comment.end : len(text) if line_end < 0 else line_end].strip()
    has_gap = old.has_gap(_line_start_of(old, at), comment.start)
    shares_line = bool(text[line_start : comment.start].strip())
    if shares_line and (not rest or comment.text.startswith("//")) and previous:
        placed.after(previous[1], Note(comment.text, "behind"))
    elif rest and following is not None and comment.text.startswith("/*"):
        placed.before(following[1], Note(comment.text, "within"))
    elif following is None or text[following[0].start] in _CLOSERS:
        if previous is None:
            placed.before(following[1] if following else None, Note(comment.text, "above", has_gap))
        else:
            opens = text[previous[0].end - 1] in _OPENERS
            placed.after(previous[1], Note(comment.text, "below", has_gap and not opens))
    else:
        placed.before(following[1], Note(comment.text, "above", has_gap))


def _side_by_side(old: _Text, new: _Text) -> tuple[list[tuple[_Mark, _Mark]], list[_Comment]]:
    """The marks that both texts have, and documentation that nothing carries, which is a comment."""
    pairs: list[tuple[_Mark, _Mark]] = []
    loose: list[_Comment] = []
    twins = [mark for mark in new.marks if mark.kind not in _FREE]
    at = 0
    for mark in [mark for mark in old.marks if mark.kind not in _FREE]:
        twin = twins[at] if at < len(twins) else None
        if mark.kind == "DOC" and (twin is None or twin.kind != "DOC"):
            loose.append(_Comment(old.text[mark.start : mark.end].rstrip(), mark.start, mark.end))
            continue
        if twin is None or twin.kind != mark.kind:
            raise CannotFormat(old.line(mark.start))
        at += 1
        pairs.append((mark, twin))
    return pairs, loose


class _Placed:
    """Notes by the words of a document that they stand at."""

    def __init__(self, new: _Text, starts: list[int]) -> None:
        self.text = new.text
        self.starts = starts
        #: By the number of a word: offsets in it, and what stands there.
        self.notes: dict[int, list[tuple[int, Note]]] = {}
        self.top: list[Note] = []
        self.number = 0

    def before(self, twin: _Mark | None, note: Note) -> None:
        """Puts a note in front of a token; without one, at the top."""
        if twin is None:
            self.top.append(note)
        else:
            self._add(twin.start, twin.start, note)

    def after(self, twin: _Mark, note: Note) -> None:
        """Puts a note behind a token."""
        self._add(twin.start, twin.end, note)

    def _add(self, token: int, place: int, note: Note) -> None:
        from bisect import bisect_right

        word = bisect_right(self.starts, token) - 1
        # Empty words begin where the next one does.
        self.notes.setdefault(word, []).append((place - self.starts[word], note))

    def into(self, doc: Doc) -> Doc:
        """The document with the notes."""
        self.number = 0
        inner, last = self._insert(doc)
        return (*self.top, inner, *last)

    def _insert(self, doc: Doc) -> tuple[Doc, tuple[Note, ...]]:
        """A part with its notes, and those that stand behind its last word: they belong behind all that ends there."""
        match doc:
            case Break() | Line():
                return doc, ()
            case str() | Verbatim():
                number, self.number = self.number, self.number + 1
                return _split(doc, self.notes.get(number, []))
            case tuple():
                return self._sequence(doc)
            case Indent(inner):
                found, last = self._insert(inner)
                return Indent(found), last
            case Group(inner):
                found, last = self._insert(inner)
                return Group(found), last
            case _:
                return doc, ()

    def _sequence(self, parts: tuple[Doc, ...]) -> tuple[Doc, tuple[Note, ...]]:
        out: list[Doc] = []
        last: tuple[Note, ...] = ()
        notes = self.notes
        for position, part in enumerate(parts):
            # Most parts have nothing at them.
            if type(part) is str and self.number not in notes:
                self.number += 1
                if last and part:
                    out += last
                    last = ()
                out.append(part)
                continue
            found, behind = self._insert(part)
            if last and found not in ("", ()):
                out += last
                last = ()
            # What stands on a line of its own is indented like the lines above it in its brackets.
            count = max((n for n, each in enumerate(behind, 1) if each.place == "below"), default=0)
            if count and isinstance(found, Indent) and _closes(parts[position + 1 :]):
                found, behind = Indent((found.inner, *behind[:count])), behind[count:]
            out.append(found)
            last += behind
        return tuple(out), last


def _closes(parts: tuple[Doc, ...]) -> bool:
    """Whether the next word is a closing bracket."""
    words = (part for part in parts if isinstance(part, str) and part not in ("", ","))
    return next(words, "")[:1] in _CLOSERS if parts else False


def _split(word: str | Verbatim, notes: list[tuple[int, Note]]) -> tuple[Doc, tuple[Note, ...]]:
    """A word with the notes before and inside of it, and those behind it."""
    text = word if isinstance(word, str) else word.text
    behind = tuple(note for place, note in notes if place >= len(text) and place)
    inside = sorted((each for each in notes if each[1] not in behind), key=lambda each: each[0])
    parts: list[Doc] = [note for place, note in inside if not place]
    at = 0
    for place in dict.fromkeys(place for place, _ in inside if place):
        here = [note for other, note in inside if other == place]
        parts.append(text[at:place].strip() if at else text[:place].rstrip())
        at = place
        if text[at - 1] in _OPENERS and text[at:].lstrip()[:1] in _CLOSERS:
            # Empty brackets that hold only comments.
            if all(note.place == "within" for note in here):
                parts.append(" ".join(note.text for note in here))
            else:
                parts += [Indent(tuple(here)), LINE]
        else:
            parts += here
    if not at:
        return (*parts, word) if parts else word, behind
    return (*parts, text[at:].lstrip()), behind


def _compare(old: _Text, found: Source, module: ast.Module) -> None:
    """Raises `CannotFormat` unless both texts are the same program with the same comments."""
    lexed = lex(found)
    new = _read(found.text, lexed)
    _side_by_side(old, new)
    kept, kept_now = _kept(old), _kept(new)
    for before, after in zip(kept, kept_now, strict=False):
        if before[1] != after[1]:
            raise CannotFormat(old.line(before[0]))
    if len(kept) != len(kept_now) or parse_again(found, lexed) != module:
        raise CannotFormat(1)


def _compare_unordered(old: _Text, new: _Text) -> None:
    """Raises `CannotFormat` unless two texts that differ in the order of imports have the same tokens and comments."""
    if sorted(word for _, word in _kept(old)) != sorted(word for _, word in _kept(new)):
        raise CannotFormat(1)


def _kept(text: _Text) -> list[tuple[int, str]]:
    """Tokens as they are spelt, and comments without the spaces of their lines, in order."""
    marks = [(m.start, _spelling(text, m)) for m in text.marks if m.kind not in _FREE]
    comments = [(c.start, " ".join(c.text.split())) for c in text.comments]
    return sorted([*marks, *comments])


def _spelling(text: _Text, mark: _Mark) -> str:
    word = text.text[mark.start : mark.end]
    return (
        " ".join(word.removeprefix("///").removeprefix("//!").split())
        if mark.kind == "DOC"
        else word
    )
