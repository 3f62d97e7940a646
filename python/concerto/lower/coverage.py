"""Code that tells where control comes by, for `concerto test --coverage`; other code is without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from concerto.records import record
from concerto.syntax import ast
from concerto.syntax.walk import children

if TYPE_CHECKING:
    from concerto.check.files import Files
    from concerto.lower.functions import Builder

#: Ways that an `if`, a `match` or a `try` goes.
THEN, ELSE, ARM, CATCH, NO_ERROR = "then", "else", "arm", "catch", "no error"


@record()
class Point:
    """A place that control may come by: a statement, or with `branch` one way that an `if`, a `match` or a `try` goes. Line and column from 1."""

    path: str
    line: int
    column: int
    branch: str | None = None


class Points:
    """The points of a program, but for its tests, whether or not anything of it is used. The place of one in `all` is its number in the code."""

    def __init__(self, module: ast.Module, files: Files) -> None:
        self.all: list[Point] = []
        self._numbers: dict[tuple[int, str | None], int] = {}
        for node, branch in _marks(module):
            key = (node.span.start, branch)
            if key not in self._numbers:
                self._numbers[key] = len(self.all)
                source, span = files.locate(node.span)
                self.all.append(Point(source.path, *source.position(span.start), branch))

    def number(self, node: ast.Node, branch: str | None) -> int | None:
        """The number of a point; None where nothing is measured."""
        return self._numbers.get((node.span.start, branch))


def cover(builder: Builder, node: ast.Node, branch: str | None = None) -> None:
    """Control comes by here, if anybody wants to know."""
    points = builder.tables.points
    # A place in a file of the library could be mistaken for one in the program.
    number = points.number(node, branch) if points and builder.file is None else None
    if number is None or not builder.reachable():
        return
    kept = builder.next
    told = builder.temporary()
    builder.emit("int", told, number)
    builder.emit("effect", told, "test.cover", told, 1, at=node)
    builder.next = kept


def _marks(module: ast.Module) -> Iterator[tuple[ast.Node, str | None]]:
    """What is marked, in the order of the text, with the branch that begins there. Top-level statements do not run in tests."""
    pending: list[ast.Node] = [
        item for item in reversed(module.items) if not isinstance(item, ast.Statement)
    ]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Function) and any(d.name.text == "test" for d in node.decorators):
            continue
        match node:
            case ast.Block(statements=statements, tail=tail):
                yield from ((s, None) for s in statements if not isinstance(s, ast.LocalConst))
                if tail is not None:
                    yield tail, None
            case ast.Closure(body=body) if not isinstance(body, ast.Block):
                yield body, None
            case ast.If():
                yield node, THEN
                yield node, ELSE
            case ast.Arm(body=body):
                yield node, ARM
                if not isinstance(body, ast.Block):
                    yield body, None
            case ast.TryCatch(catches=catches) if catches:
                yield node, NO_ERROR
                yield from ((clause.body, CATCH) for clause in catches)
            case _:
                pass
        pending.extend(reversed(list(children(node))))
