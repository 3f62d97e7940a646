"""The order of imports, which `concerto fmt` brings about before it lays out anything (toolchain reference 2.7).

The names in the braces of a `use` are sorted, and so are `use` declarations of neighbouring lines. A comment `// ..` behind a line moves with it. A
line with another comment above, behind or inside of it stays where it is, and so does what an empty line parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from concerto.syntax import ast

_COMMENT_BEHIND = re.compile(r"[ \t]*(//(?!/(?!/))[^\n]*)?(?=\n|$)")
_BLOCK_BEHIND = re.compile(r"[ \t]*/\*")
_COMMENT_BEFORE = re.compile(r"(//(?!!)[^\n]*|\*/)[ \t]*\n?[ \t]*$")
_NEXT_LINE = re.compile(r"[ \t]*\n?[ \t]*")


@dataclass(frozen=True, slots=True)
class _Line:
    """A `use` with the comment behind it, from `start` to `end`; its new text, and what it is sorted by."""

    start: int
    end: int
    text: str
    key: str


def with_sorted_uses(text: str, module: ast.Module) -> str:
    """A text of which `module` is the tree, with its imports in order."""
    for run in reversed(list(_runs(text, module.items, 0))):
        lines = sorted(run, key=lambda line: line.key)
        for place, line in reversed(list(zip(run, lines, strict=True))):
            text = text[: place.start] + line.text + text[place.end :]
    return text


def _runs(text: str, items: Iterable[ast.Node], at: int) -> Iterator[list[_Line]]:
    """Declarations that are sorted among themselves, in the order of the text, which is looked at from `at` on."""
    run: list[_Line] = []
    for item in items:
        before = text[at : item.span.start]
        at = item.span.end
        if not isinstance(item, ast.Use) or item.decorators:
            yield run
            run = []
            if isinstance(item, ast.Mod):
                yield from _runs(text, item.items or (), item.span.start)
            continue
        line = _line(text, item)
        at = line.end
        if not _NEXT_LINE.fullmatch(before):
            yield run
            run = []
        run.append(line)
        if _COMMENT_BEFORE.search(before) or _BLOCK_BEHIND.match(text, at):
            # What a comment belongs to stays with it.
            yield run[:-1]
            yield run[-1:]
            run = []
    yield run


def _line(text: str, node: ast.Use) -> _Line:
    start, end = node.span.start, node.span.end
    found = _COMMENT_BEHIND.match(text, end)
    behind = found.end() if found and found.group(1) else end
    tree = text[node.tree.span.start : node.tree.span.end]
    is_commented = "//" in tree or "/*" in tree
    sorted_ = tree if is_commented else _sorted(text, node.tree)
    whole = text[start : node.tree.span.start] + sorted_ + text[node.tree.span.end : behind]
    return _Line(start, behind, whole, _key(sorted_))


def _sorted(text: str, tree: ast.UseTree) -> str:
    """The text of a path, with sorted names in its braces."""
    if not tree.group:
        return text[tree.span.start : tree.span.end]
    parts, at = [], tree.span.start
    for place, name in zip(
        tree.group, sorted((_sorted(text, each) for each in tree.group), key=_key), strict=True
    ):
        parts += [text[at : place.span.start], name]
        at = place.span.end
    return "".join((*parts, text[at : tree.span.end]))


def _key(text: str) -> str:
    return "".join(text.split())
