"""Diagnostics as text: for people, one line each, or JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

from concerto.diagnostics.codes import MAX_ERRORS
from concerto.diagnostics.model import Diagnostic, Label, Severity
from concerto.source import Source

_RED, _YELLOW, _BLUE, _BOLD, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, then by place; each only once."""
    unique = dict.fromkeys(diagnostics)
    return sorted(unique, key=lambda d: (d.source.path, d.primary.span, d.code))


def render(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """The form for people: header, place, source line with carets, help."""
    ordered = in_order(diagnostics)
    errors = [d for d in ordered if d.is_error]
    hidden = set(map(id, errors[MAX_ERRORS:]))
    parts = [_human(d, color) for d in ordered if id(d) not in hidden]
    if hidden:
        parts.append(f"and {len(hidden)} more errors\n")
    return "\n".join(parts)


def render_short(diagnostics: Iterable[Diagnostic]) -> str:
    """One line each: `path:line:column: error[E3001]: message`."""
    lines = []
    for each in in_order(diagnostics):
        line, column = each.source.position(each.primary.span.start)
        where = f"{each.source.path}:{line}:{column}"
        lines.append(f"{where}: {each.severity}[{each.code}]: {each.message}\n")
    return "".join(lines)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """One JSON object per line; offsets count bytes, lines and columns from 1."""
    return "".join(json.dumps(to_dict(each)) + "\n" for each in in_order(diagnostics))


def to_dict(diagnostic: Diagnostic) -> dict[str, object]:
    """The JSON form as a dictionary."""

    def place(offset: int, source: Source = diagnostic.source) -> dict[str, int]:
        line, column = source.position(offset)
        return {"offset": source.byte_offset(offset), "line": line, "column": column}

    def label(each: Label) -> dict[str, object]:
        source = each.source or diagnostic.source
        start, end = place(each.span.start, source), place(each.span.end, source)
        found: dict[str, object] = {"start": start, "end": end, "text": each.text}
        return {**found, "path": source.path} if each.source else found

    entry: dict[str, object] = {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "path": diagnostic.source.path,
        "start": place(diagnostic.primary.span.start),
        "end": place(diagnostic.primary.span.end),
        "labels": [label(each) for each in (diagnostic.primary, *diagnostic.related)],
        "help": diagnostic.help,
    }
    if diagnostic.slug:
        entry["slug"] = diagnostic.slug
    return entry


def _human(diagnostic: Diagnostic, color: bool) -> str:
    def paint(text: str, *styles: str) -> str:
        return "".join(styles) + text + _RESET if color else text

    strong = _RED if diagnostic.severity is Severity.ERROR else _YELLOW
    slug = f" {diagnostic.slug}" if diagnostic.slug else ""
    head = paint(f"{diagnostic.severity}[{diagnostic.code}{slug}]", strong, _BOLD)
    line, column = diagnostic.source.position(diagnostic.primary.span.start)
    labels = [
        (diagnostic.primary, "^", strong),
        *((each, "-", _BLUE) for each in diagnostic.related),
    ]
    sources = [each.source or diagnostic.source for each, _, _ in labels]
    numbers = [
        source.position(each.span.start)[0]
        for source, (each, _, _) in zip(sources, labels, strict=True)
    ]
    width = len(str(max(numbers)))
    bar = paint("|", _BLUE)
    out = [f"{head}: {paint(diagnostic.message, _BOLD)}"]
    out.append(f"{' ' * width}{paint('-->', _BLUE)} {diagnostic.source.path}:{line}:{column}")
    out.append(f"{' ' * width} {bar}")
    for number, source, (label, mark, style) in zip(numbers, sources, labels, strict=True):
        text = source.line(number)
        if label.source:
            _, column = source.position(label.span.start)
            out.append(f"{' ' * width}{paint(':::', _BLUE)} {source.path}:{number}:{column}")
        out.append(f"{paint(str(number).rjust(width), _BLUE)} {bar} {_visible(text)}".rstrip())
        carets = _underline(source, label, text, mark)
        note = f" {label.text}" if label.text else ""
        out.append(f"{' ' * width} {bar} {carets[0]}{paint(carets[1] + note, style)}")
    if diagnostic.help:
        out.append(f"{' ' * width} {paint('=', _BLUE)} help: {diagnostic.help}")
    return "\n".join(out) + "\n"


def _underline(source: Source, label: Label, text: str, mark: str) -> tuple[str, str]:
    """The blanks before the carets and the carets, as wide as the text above them."""
    _, column = source.position(label.span.start)
    before = text[: column - 1]
    marked = text[column - 1 : column - 1 + max(label.span.end - label.span.start, 1)]
    return " " * _width(before), mark * max(_width(marked), 1)


def _visible(text: str) -> str:
    return text.replace("\t", " ")


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none, a tab counts one."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
