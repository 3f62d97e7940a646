"""One mistake, one message: what is left out of the diagnostics of a program because another one of them may be its cause."""

from __future__ import annotations

from bisect import bisect_right

from concerto.diagnostics.model import Diagnostic
from concerto.records import record
from concerto.source import Source, Span
from concerto.syntax import ast

#: What a use in a part that could not be understood would have settled.
_UNUSED = frozenset(["W2001", "W2002", "W2004", "W2007"])
#: What a part that could not be read would have settled.
_INCOMPLETE = frozenset(["E3012", "E3029", "E3031"])
#: What a type that could not be read would have settled.
_DEAD = frozenset(["W2003", "W3009"])

#: What an import would have settled.
_UNKNOWN = frozenset(["E2001", "E2002"])
_FOREIGN_IMPORTS = ("import", "from", "include", "require")
_IMPORT = "import it: "


def import_help(path: str) -> str:
    """The help line for a name that an import would bring."""
    return f"{_IMPORT}`use {path};`"


@record()
class Parsed:
    """A file as it was read, with what is wrong with its text."""

    source: Source
    module: ast.Module
    syntax: tuple[Diagnostic, ...]


def without_follow_ups(files: list[Parsed], found: list[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics of a program: those of its texts, and those of its check that stand on their own.

    Beside an error in the same declaration a warning is held back, and beside any error one about something unused.
    """
    syntax = [each for file in files for each in file.syntax]
    errors = [each for each in (*syntax, *found) if each.is_error]
    parts = {file.source.path: _Part(file, errors) for file in files}

    is_unreadable = any(each.is_error for each in syntax)
    imports: set[tuple[str, str]] = set()

    def stands(each: Diagnostic) -> bool:
        if (errors and each.code in _UNUSED) or (is_unreadable and each.code in _DEAD):
            return False
        if each.help is not None and each.help.startswith(_IMPORT):
            # One import mends all uses of a name.
            place = (each.source.path, each.help)
            if place in imports:
                return False
            imports.add(place)
        part = parts.get(each.source.path)
        return part is None or part.stands(each)

    said = [each for each in syntax if each.is_error or stands(each)]
    return [*said, *(each for each in found if stands(each))]


class _Part:
    """One file, and which of its declarations are wrong."""

    def __init__(self, file: Parsed, errors: list[Diagnostic]) -> None:
        self.items = items = _Items(file.module)
        self.unreadable = {each.primary.span for each in file.syntax if each.is_error}
        self.damaged = {items.of(span) for span in file.module.damaged}
        self.refused = {items.of(each.primary.span) for each in file.syntax if each.is_error}
        here = [each for each in errors if each.source.path == file.source.path]
        self.wrong = {items.of(each.primary.span) for each in here}
        #: Whether an import of another language stands there: nobody knows what it would have brought.
        self.imports = any(
            file.source.text[span.start : span.end] in _FOREIGN_IMPORTS for span in self.unreadable
        )

    def stands(self, each: Diagnostic) -> bool:
        """Whether a diagnostic of the check is no consequence of another one."""
        item = self.items.of(each.primary.span)
        if not each.is_error:
            return item not in self.wrong
        if self.imports and each.code in _UNKNOWN:
            return False
        unread = item in self.damaged and each.code in _INCOMPLETE
        if each.primary.span in self.unreadable or unread:
            return False
        return not (item in self.refused and isinstance(self.items.node(item), ast.Use))


class _Items:
    """The declarations of a file by place; all statements at its top count as one."""

    def __init__(self, module: ast.Module) -> None:
        self.items = module.items
        self.starts = [item.span.start for item in module.items]

    def of(self, span: Span) -> int:
        """The number of the declaration around a place; -1 for statements and places outside."""
        at = bisect_right(self.starts, span.start) - 1
        inside = at >= 0 and span.start < self.items[at].span.end
        return at if inside and isinstance(self.items[at], ast.Declaration) else -1

    def node(self, number: int) -> ast.Node | None:
        """The declaration of a number."""
        return self.items[number] if number >= 0 else None
