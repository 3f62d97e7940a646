"""Functions to code. Registers are a stack: variables stay while their block lasts, temporaries while their expression does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concerto.check import types as t
from concerto.check.checked import FunctionInfo, Local
from concerto.check.types import Type
from concerto.lower.ir import TERMINATORS, Function, Instruction
from concerto.lower.liveness import move_last_uses
from concerto.source import Span
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.lower.program import Tables


SMALL_INT = 2**31
"""Int literals below it, and down to its negative, fit into an instruction."""


class Label:
    """A place in the code that is not known yet."""

    def __init__(self) -> None:
        self.at: int | None = None


class LoopTarget:
    """Where `break` and `continue` of a loop go, and the register of its value; `depth` counts the loops over streams up to and with it."""

    def __init__(self, label: str | None, value: int | None, depth: int) -> None:
        self.label, self.value, self.depth = label, value, depth
        self.end, self.again = Label(), Label()


class TryTarget:
    """Where a raise inside of a `try` goes, and the register of its error; `depth` counts the loops over streams around it."""

    def __init__(self, error: int, depth: int) -> None:
        self.error, self.depth = error, depth
        self.handler, self.used = Label(), False


class Builder:
    """The code of one function as it grows."""

    def __init__(
        self, tables: Tables, file: int | None = None, meaning: dict[str, Type] | None = None
    ) -> None:
        self.tables = tables
        #: The file of its spans; None where they are places in the text of the program.
        self.file = file
        #: What the type parameters of the function are in this code.
        self.meaning = meaning or {}
        #: Of a method that changes its receiver: every way out of it takes this along.
        self.receiver: int | None = None
        self.facts = tables.checked.facts
        self.code: list[Instruction] = []
        self.spans: list[tuple[int, int, int]] = []
        self.registers: dict[int, int] = {}
        self.locals: list[Local] = []  # keeps them alive: registers are keyed by identity
        self.next = 0
        self.most = 0
        self.loops: list[LoopTarget] = []
        self.tries: list[TryTarget] = []
        self.streams: list[int] = []  # of the loops around, outermost first
        self.landing = -1  # where the last label was placed
        self.wraps = False  # what a stage of a pipeline returns becomes `Ok`

    def emit(self, name: str, *operands: Any, at: ast.Node | Span | None = None) -> None:
        """Adds an instruction; with a place if it can fail or suspend."""
        if at is not None:
            span = at.span if isinstance(at, ast.Node) else at
            self.spans.append((len(self.code), *span))
        self.code.append([name, *operands])

    def temporary(self, count: int = 1) -> int:
        """The first of `count` fresh registers."""
        first = self.next
        self.next += count
        self.most = max(self.most, self.next)
        return first

    def local(self, local: Local) -> int:
        """A register for a variable."""
        register = self.temporary()
        self.registers[id(local)] = register
        self.locals.append(local)
        return register

    def concrete(self, type_: Type) -> Type:
        """A type with the type parameters of the function replaced."""
        type_ = t.settled(type_)
        return t.substitute(type_, self.meaning) if self.meaning else type_

    def type(self, type_: Type) -> int:
        """The index of a type."""
        return self.tables.type(self.concrete(type_))

    def function(self, function: FunctionInfo, args: tuple[Type, ...]) -> int:
        """The index of a function with type arguments."""
        return self.tables.function(function, tuple(self.concrete(arg) for arg in args))

    def give_back(self, value: int | None, *, is_error: bool = False) -> None:
        """Returns a value, or nothing; from a method that changes its receiver also that, from a stage `Ok` of it unless it `is_error`."""
        if self.wraps and not is_error:
            if value is None:
                value = self.temporary()
                self.emit("nil", value)
            self.emit("ok", value, value)
        if self.receiver is None and value is None:
            self.emit("return_nil")
        elif self.receiver is None:
            self.emit("return", value)
        elif value is None:
            self.emit("return", self.receiver)
        else:
            pair = self.temporary(2)
            self.emit("copy", pair, self.receiver)
            self.emit("move", pair + 1, value)
            self.emit("tuple", pair, pair, 2)
            self.emit("return", pair)

    def place(self, label: Label) -> None:
        """The label stands here."""
        label.at = self.landing = len(self.code)

    def reachable(self) -> bool:
        """Whether control can come to the next instruction: from the last one, or by a jump."""
        here = len(self.code)
        return here in (0, self.landing) or self.code[-1][0] not in TERMINATORS

    def finish(self) -> None:
        """Resolves labels, and moves what is read for the last time."""
        for instruction in self.code:
            for position, operand in enumerate(instruction):
                if isinstance(operand, Label):
                    assert operand.at is not None, "a label was never placed"
                    instruction[position] = operand.at
        move_last_uses(self.code)


def lower_function(
    tables: Tables, info: FunctionInfo, file: int | None = None, args: tuple[Type, ...] = ()
) -> Function:
    """The code of a declared function with its type arguments."""
    from concerto.lower.exprs import lower_into, lower_unused

    node = info.node
    assert node is not None
    assert node.body is not None
    builder = Builder(tables, file, t.meaning(info.type_params, args))
    is_pub = info.is_pub and info.owner is None
    params: list[dict[str, Any]] = []
    for param in info.params:
        register = builder.local(param.local)
        if info.changes and param is info.params[0]:
            builder.receiver = register
        entry = {"name": param.name, "type": builder.type(param.type)}
        entry["default"] = tables.default(param)
        if param.computed is not None and is_pub:
            entry["computed"] = builder.function(param.computed, args)
        params.append(entry)
    result = t.resolve(info.result)
    if result == t.NIL:
        lower_unused(builder, node.body)
        builder.give_back(None)
    else:
        target = builder.temporary()
        lower_into(builder, node.body, target)
        builder.give_back(target)
    if info.changes:
        itself = info.params[0].type
        result = itself if result == t.NIL else t.Tuple((itself, result))
    name = _instance_name(info, args)
    code = finish_function(builder, name, node.span, is_pub, node.doc, params, result)
    if info.layers is None:
        return code
    from concerto.lower.layers import with_layers

    return with_layers(tables, info, code, result)


def _instance_name(info: FunctionInfo, args: tuple[Type, ...]) -> str:
    """As a trace shows it, such as `max<Int>`."""
    return f"{info.name}<{', '.join(t.show(arg) for arg in args)}>" if args else info.name


def lower_top(tables: Tables) -> Function:
    """The code of the top-level statements."""
    from concerto.lower.exprs import lower_statements

    builder = Builder(tables)
    lower_statements(builder, tuple(tables.checked.top))
    builder.emit("return_nil")
    span = Span(tables.checked.top[0].span.start, tables.checked.top[-1].span.end)
    return finish_function(builder, "$top", span, False, None, [], t.NIL)


def finish_function(
    builder: Builder,
    name: str,
    span: Span,
    public: bool,
    doc: str | None,
    params: list[dict[str, Any]],
    result: Type,
) -> Function:
    """The function as the document has it."""
    builder.finish()
    file, first = builder.file, 0
    if file is None:
        file, first = builder.tables.file_at(span.start)
    return Function(
        name=name,
        file=file,
        span=(span.start - first, span.end - first),
        public=public,
        doc=doc,
        params=params,
        result=builder.type(result),
        registers=builder.most,
        code=builder.code,
        spans=[(pc, start - first, end - first) for pc, start, end in builder.spans],
    )


def type_of(builder: Builder, node: ast.Expr) -> Type:
    """The type of an expression after its conversion."""
    converted = builder.facts.steps.get(id(node))
    return t.resolve(converted[1] if converted else builder.facts.types[id(node)])
