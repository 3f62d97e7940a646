"""One mistake, one message: what is left out of the diagnostics of a file because another one of them may be its cause."""

from __future__ import annotations

from bisect import bisect_right

from concerto.diagnostics.model import Diagnostic
from concerto.source import Source, Span
from concerto.syntax import ast

#: What a use in a part that could not be understood would have settled.
_UNUSED = frozenset(["W2001", "W2002", "W2004", "W2007"])
#: What a part that could not be read would have settled.
_INCOMPLETE = frozenset(["E3029", "E3031"])


def without_follow_ups(
    source: Source, module: ast.Module, syntax: list[Diagnostic], found: list[Diagnostic]
) -> list[Diagnostic]:
    """The diagnostics of a file: those of its text, and those of its check that stand on their own.

    Beside an error in the same declaration a warning is held back, and beside any error one about something unused.
    """
    items = _Items(module)
    unreadable = {each.primary.span for each in syntax}
    damaged = {items.of(span) for span in module.damaged}
    refused = {items.of(each.primary.span) for each in syntax if each.is_error}
    errors = [each for each in (*syntax, *found) if each.is_error]
    wrong = {items.of(each.primary.span) for each in errors if each.source == source}

    def stands(each: Diagnostic) -> bool:
        if errors and each.code in _UNUSED:
            return False
        if each.source != source:
            return True
        item = items.of(each.primary.span)
        if not each.is_error:
            return item not in wrong
        if each.primary.span in unreadable or (item in damaged and each.code in _INCOMPLETE):
            return False
        return not (item in refused and isinstance(items.node(item), ast.Use))

    return [*syntax, *(each for each in found if stands(each))]


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
