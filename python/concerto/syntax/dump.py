"""Tokens and trees as text, for goldens and `concerto build --emit`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from concerto.source import Source
from concerto.syntax.ast import Node
from concerto.syntax.filter import filter_tokens
from concerto.syntax.lexer import lex
from concerto.syntax.parser import parse


def dump_tokens(source: Source) -> str:
    """One token per line as the grammar reads them: place, kind, value. Virtual ones have an empty place."""
    tokens, _, _ = lex(source)
    filtered, _ = filter_tokens(source, tokens)
    lines = [f"{t.index}..{t.end} {t.type} {t.value!r}" for t in filtered]
    return "\n".join(lines) + "\n"


def dump_tree(source: Source) -> str:
    """The tree, one node per line with its place, children indented; empty and absent fields are left out."""
    module, _ = parse(source)
    lines: list[str] = []
    _dump(module, "", "", lines)
    return "\n".join(lines) + "\n"


def _dump(value: Any, label: str, indent: str, lines: list[str]) -> None:
    prefix = f"{indent}{label}: " if label else indent
    if isinstance(value, Node):
        plain = []
        nested: list[tuple[str, Any]] = []
        for item in fields(value):
            inner = getattr(value, item.name)
            if (
                item.name in ("span", "lost", "grouped")
                or inner is None
                or inner == ()
                or inner is False
            ):
                continue
            if isinstance(inner, Node | tuple) and not _is_plain(inner):
                nested.append((item.name, inner))
            else:
                plain.append(f"{item.name}={inner!r}")
        head = " ".join([type(value).__name__, f"{value.span.start}..{value.span.end}", *plain])
        lines.append(prefix + head)
        for name, inner in nested:
            _dump(inner, name, indent + "  ", lines)
    elif isinstance(value, tuple):
        lines.append(prefix.rstrip())
        for inner in value:
            _dump(inner, "", indent + "  ", lines)
    else:
        lines.append(f"{prefix}{value!r}")


def _is_plain(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
