"""How the source spells what the tree keeps only by its meaning: numbers, strings, redundant parentheses, `x.await`.

While `spelled_as` is in force, printing a tree gives the tokens of that source; without it, the canonical form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from concerto.records import record
from concerto.source import Span
from concerto.syntax.ast.node import Node
from concerto.syntax.layout import Doc, Verbatim

_BETWEEN = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@record()
class _Spelling:
    text: str
    #: Identities of expressions in parentheses.
    grouped: frozenset[int]


_current: ContextVar[_Spelling | None] = ContextVar("spelling", default=None)


@contextmanager
def spelled_as(text: str, grouped: frozenset[int]) -> Iterator[None]:
    """Takes spellings from a source while a tree of it is printed."""
    token = _current.set(_Spelling(text, grouped))
    yield
    _current.reset(token)


def is_grouped(node: Node) -> bool | None:
    """Whether an expression stands in parentheses; None where the printer decides."""
    spelling = _current.get()
    return None if spelling is None else id(node) in spelling.grouped


def written(span: Span) -> str | None:
    """The text of a place; None where the printer writes it."""
    spelling = _current.get()
    return None if spelling is None else spelling.text[span.start : span.end]


def number_written(span: Span) -> str | None:
    """Numbers and signs as they are written, without what stands between them; None where the printer writes them."""
    text = written(span)
    return None if text is None else "".join(_BETWEEN.sub("", text).split())


def spelled(node: Node) -> Doc | None:
    """A node as it is written; None where the printer writes it."""
    text = written(node.span)
    return Verbatim(text) if text is not None and "\n" in text else text
