"""The paths through a body: which variable is used or assigned, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass, field

from concerto.check import types as t
from concerto.check.checked import Facts, Local
from concerto.syntax import ast
from concerto.syntax.walk import children


@dataclass(slots=True)
class Step:
    """`use`, `set` or `declare` of a variable, or nothing (`""`), and the numbers of the steps that may follow.

    `is_plain` tells an assignment in the program from the first value of a `let`.
    """

    kind: str
    local: Local | None
    node: ast.Node
    is_plain: bool = False
    next: list[int] = field(default_factory=list)


@dataclass
class Graph:
    """All steps; the first one is the start."""

    steps: list[Step] = field(default_factory=list)
    #: Steps that were looked at.
    seen: set[int] = field(default_factory=set)

    def reachable(self) -> list[bool]:
        """Whether a path leads to each step."""
        found = [False] * len(self.steps)
        pending = [0]
        while pending:
            number = pending.pop()
            if not found[number]:
                found[number] = True
                pending += self.steps[number].next
        return found


def graph_of(facts: Facts, root: ast.Node) -> Graph:
    """The graph of a body."""
    builder = _Builder(facts)
    builder.here = builder.add("", None, root)
    builder.walk(root)
    return builder.graph


@dataclass
class _LoopPlace:
    """Where `continue` and `break` go."""

    label: str | None
    again: int
    end: int


class _Builder:
    """Walks the tree in order of evaluation; `here` is the last step, None where control never comes."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.graph = Graph()
        self.here: int | None = None
        #: Steps that another one leads to.
        self.entered: set[int] = set()
        self.loops: list[_LoopPlace] = []
        #: Where a raise goes, of each `try` around.
        self.catches: list[int] = []

    def add(self, kind: str, local: Local | None, node: ast.Node, *, is_plain: bool = False) -> int:
        """A step behind the current one."""
        self.graph.steps.append(Step(kind, local, node, is_plain))
        number = len(self.graph.steps) - 1
        self.go(number)
        if kind:
            self.here = number
        return number

    def lone(self, node: ast.Node) -> int:
        """A step that nothing leads to yet."""
        here, self.here = self.here, None
        number = self.add("", None, node)
        self.here = here
        return number

    def go(self, to: int) -> None:
        """An edge from the current step."""
        if self.here is not None:
            self.edge(self.here, to)

    def edge(self, start: int, to: int) -> None:
        self.graph.steps[start].next.append(to)
        self.entered.add(to)

    def leave(self, to: int | None) -> None:
        """Control goes elsewhere, or out of the body."""
        if to is not None:
            self.go(to)
        self.here = None

    def raises(self, node: ast.Node) -> None:
        """Control may go to the clauses of the `try` around."""
        if self.catches and (id(node) in self.facts.raises or id(node) in self.facts.discards):
            self.go(self.catches[-1])

    def walk(self, node: ast.Node) -> None:
        match node:
            case ast.PathExpr():
                local = self.facts.names.get(id(node))
                if isinstance(local, Local):
                    self.add("use", local, node)
            case ast.Closure():
                # What a closure captures is copied when it is created.
                info = self.facts.closures.get(id(node))
                for outer, _ in info.captures if info else ():
                    self.add("use", outer, node)
            case ast.Assign():
                self.assign(node)
            case ast.Let():
                self.let(node)
            case ast.Binary():
                self.binary(node)
            case ast.If():
                self.walk(node.condition)
                self.branches([node.then, node.other], node)
            case ast.Match():
                self.match(node)
            case ast.Loop() | ast.While() | ast.For():
                self.loop(node)
            case ast.TryCatch():
                self.try_(node)
            case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
                self.jump(node)
            case ast.FieldValue(value=None):
                value = self.facts.names.get(id(node))
                if isinstance(value, ast.PathExpr):
                    self.walk(value)
            case ast.TypeExpr() | ast.Pattern():
                pass
            case _:
                for child in children(node):
                    self.walk(child)
                self.raises(node)
                if isinstance(node, ast.Call) and self.facts.types.get(id(node)) == t.NEVER:
                    self.here = None

    def let(self, node: ast.Let) -> None:
        if node.value is not None:
            self.walk(node.value)
        local = self.facts.patterns.get(id(node.pattern))
        if isinstance(local, Local):
            self.add("declare" if node.value is None else "set", local, node.pattern)

    def assign(self, node: ast.Assign) -> None:
        place = node.place
        if not isinstance(place, ast.PathExpr):
            self.walk(place)
            self.walk(node.value)
            return
        local = self.facts.names.get(id(place))
        if node.op:
            self.walk(place)
        self.walk(node.value)
        if isinstance(local, Local):
            self.add("set", local, place, is_plain=True)

    def binary(self, node: ast.Binary) -> None:
        if node.op == "|>":
            self.walk(node.left)
            pipe = self.facts.pipes.get(id(node))
            self.walk(pipe.call if pipe else node.right)
        elif node.op in ("&&", "||", "??"):
            self.walk(node.left)
            self.branches([node.right, None], node)
        else:
            # Long sums lean to the left.
            operands: list[ast.Expr] = []
            left: ast.Expr = node
            while isinstance(left, ast.Binary) and left.op in "+-*/%":
                operands.append(left.right)
                left = left.left
            if left is node:
                operands, left = [node.right], node.left
            for operand in (left, *reversed(operands)):
                self.walk(operand)

    def branches(self, ways: list[ast.Expr | None], node: ast.Node) -> None:
        """One of several ways; None is straight on."""
        start, end = self.here, self.lone(node)
        for way in ways:
            self.here = start
            if way is not None:
                self.walk(way)
            self.go(end)
        self.join(end)

    def join(self, end: int) -> None:
        """Goes on at a step, if any path leads to it."""
        self.here = end if end in self.entered else None

    def match(self, node: ast.Match) -> None:
        self.walk(node.subject)
        end = self.lone(node)
        for arm in node.arms:
            before = self.here
            if arm.guard is not None:
                self.walk(arm.guard)
            after = self.here
            self.walk(arm.body)
            self.go(end)
            # A guard that does not hold goes on to the next arm, as does a pattern that does not match.
            self.here = after if arm.guard is not None else before
        self.join(end)

    def loop(self, node: ast.Loop | ast.While | ast.For) -> None:
        if isinstance(node, ast.For):
            self.walk(node.iterable)
        again, end = self.add("", None, node), self.lone(node)
        if self.here is not None:
            self.here = again
        if isinstance(node, ast.While):
            self.walk(node.condition)
        if not isinstance(node, ast.Loop):
            self.go(end)
        if isinstance(node, ast.For):
            self.raises(node)
        label = node.label.text if node.label else None
        self.loops.append(_LoopPlace(label, again, end))
        self.walk(node.body)
        self.go(again)
        self.loops.pop()
        self.join(end)

    def jump(self, node: ast.Return | ast.Throw | ast.Break | ast.Continue) -> None:
        for child in children(node):
            self.walk(child)
        if isinstance(node, ast.Break | ast.Continue):
            named = [each for each in self.loops if not node.label or each.label == node.label.text]
            to = (
                None
                if not named
                else named[-1].end
                if isinstance(node, ast.Break)
                else named[-1].again
            )
            self.leave(to)
        else:
            is_caught = isinstance(node, ast.Throw) and self.catches
            self.leave(self.catches[-1] if is_caught else None)

    def try_(self, node: ast.TryCatch) -> None:
        caught, end = self.lone(node), self.lone(node)
        self.catches.append(caught)
        self.walk(node.body)
        self.go(end)
        self.catches.pop()
        if not node.catches:
            # The error becomes the value.
            self.edge(caught, end)
        for clause in node.catches:
            self.here = caught
            self.walk(clause.body)
            self.go(end)
        if node.catches and self.catches:
            # What no clause takes goes on to the `try` around.
            self.edge(caught, self.catches[-1])
        self.join(end)
