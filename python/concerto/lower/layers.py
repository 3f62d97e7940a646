"""Decorators of functions to code: each layer is a hidden function that hands the arguments on to the one inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.check import types as t
from concerto.check.checked import FunctionInfo, Layers, Retry
from concerto.check.types import Type
from concerto.lower.functions import Builder, Label, finish_function
from concerto.lower.ir import Function
from concerto.source import Span

if TYPE_CHECKING:
    from concerto.lower.program import Tables


class Around:
    """The layers of one function, from the inside out. All have its arguments, `count` of them, in their first registers.

    Of a method that changes its receiver each attempt begins with the one that the call was given; the call leaves what the attempt has left
    whose value it gives.
    """

    #: What of the value inside can be an error, as the library has it.
    judged = 0

    def __init__(
        self, tables: Tables, name: str, count: int, layers: Layers, span: Span, body: int
    ) -> None:
        self.tables, self.name, self.count, self.layers, self.span = (
            tables,
            name,
            count,
            layers,
            span,
        )
        self.inside = body
        #: Whether what is inside gives its value with the number of attempts.
        self.counts = False

    def build(self) -> None:
        """All layers, in their order."""
        layers = self.layers
        if layers.attempt_ms is not None:
            self.limit(layers.attempt_ms)
        if layers.retry is not None:
            self._retry(layers.retry)
        elif layers.log is not None:
            self.hidden("once", [])
            self.counts = True
        if layers.total_ms is not None:
            self.limit(layers.total_ms)
        if layers.log is not None:
            self.hidden("log", [layers.log, self.name, self.judged])

    def begin(self) -> tuple[Builder, int]:
        """Code with room for the arguments, and a register with the function inside."""
        builder = Builder(self.tables)
        first = builder.temporary(self.count)
        function = builder.temporary()
        copies = builder.temporary(self.count)
        for position in range(self.count):
            builder.emit("copy", copies + position, first + position)
        builder.emit("closure", function, self.inside, copies, self.count)
        return builder, function

    def finish(self, builder: Builder) -> None:
        """The code is the new inside."""
        place = self.tables.reserve()
        code = finish_function(builder, self.name, self.span, False, None, [], t.ANY)
        self.tables.hidden[place] = code
        self.inside = self.tables.first_hidden + place

    def hidden(self, name: str, args: list[str | int]) -> None:
        """A layer that is a function of the library."""
        builder, function = self.begin()
        builder.emit("return", self._call(builder, name, args, function))
        self.finish(builder)

    def _call(self, builder: Builder, name: str, args: list[str | int], function: int) -> int:
        """Calls a function of the library with constants and the function inside."""
        library = self.tables.function(self.layers.functions[name])
        first = builder.temporary(len(args) + 1)
        for position, arg in enumerate(args, first):
            if isinstance(arg, int):
                builder.emit("int", position, arg)
            else:
                builder.emit("const", position, self.tables.constant(arg))
        builder.emit("move", first + len(args), function)
        result = builder.temporary()
        builder.emit("call", result, library, first, len(args) + 1, at=self.span)
        return result

    def policy(self, builder: Builder, retry: Retry | None, first: int) -> None:
        """The five arguments that say how often something is tried; None is once."""
        retry = retry or Retry(1, "none", 0, 0, ())
        builder.emit("int", first, retry.attempts)
        builder.emit("const", first + 1, self.tables.constant(retry.backoff))
        builder.emit("int", first + 2, retry.delay_ms)
        builder.emit("int", first + 3, retry.max_delay_ms)
        kinds = builder.temporary(len(retry.on))
        for position, kind in enumerate(retry.on, kinds):
            builder.emit("const", position, self.tables.constant(kind))
        builder.emit("array", first + 4, kinds, len(retry.on))

    def _retry(self, retry: Retry) -> None:
        builder, function = self.begin()
        first = builder.temporary(7)
        self.policy(builder, retry, first)
        builder.emit("int", first + 5, self.judged)
        builder.emit("move", first + 6, function)
        pair = builder.temporary()
        library = self.tables.function(self.layers.functions["retry"])
        builder.emit("call", pair, library, first, 7, at=self.span)
        self.counts = self.layers.log is not None
        if not self.counts:
            builder.emit("tuple_field", pair, pair, 0)
        builder.emit("return", pair)
        self.finish(builder)

    def limit(self, ms: int) -> None:
        """In time, the value as it is; else the error as the function has it."""
        from concerto.lower.exprs import convert

        late = self.layers.late
        assert late is not None
        builder, function = self.begin()
        outcome = self._call(builder, "timeout", [ms], function)
        value, expired = builder.temporary(), Label()
        builder.emit("unwrap_or_jump", value, outcome, expired)
        builder.emit("return", value)
        builder.place(expired)
        builder.emit("payload", outcome, outcome)
        if late.to == "fail":
            builder.emit("fail", outcome, at=self.span)
            self.finish(builder)
            return
        if late.wanted is not None:
            place = next(iter(self.layers.places.values()))
            convert(builder, late.steps, late.wanted, outcome, place)
        builder.emit("err", outcome, outcome)
        if self.judged:
            # What was cut off has changed nothing.
            whole = builder.temporary(2)
            builder.emit("copy", whole, 0)
            builder.emit("move", whole + 1, outcome)
            builder.emit("tuple", outcome, whole, 2)
        if self.counts:
            pair = builder.temporary(2)
            builder.emit("move", pair, outcome)
            self.attempts_so_far(builder, pair + 1)
            builder.emit("tuple", outcome, pair, 2)
        builder.emit("return", outcome)
        self.finish(builder)

    def attempts_so_far(self, builder: Builder, target: int) -> None:
        """Nobody knows how many attempts of a function a limit has cut off: at least one."""
        builder.emit("int", target, 1)


def with_layers(tables: Tables, info: FunctionInfo, code: Function, gives: Type) -> Function:
    """A function whose body is `code`, which has its parameters and gives such values, with the layers of its decorators around it."""
    assert info.layers is not None
    assert info.node is not None
    span = info.node.span
    place = tables.reserve()
    tables.hidden[place] = Function(
        name=code.name, file=code.file, span=code.span, public=False, doc=None, params=[],
        result=code.result, registers=code.registers, code=code.code, spans=code.spans,
    )  # fmt: skip
    count, body = len(info.params), tables.first_hidden + place
    around = Around(tables, info.name, count, info.layers, span, body)
    if info.changes:
        around.judged = -1 if t.resolve(info.result) == t.NIL else 1
    around.build()
    builder, function = around.begin()
    result = builder.temporary()
    builder.emit("call_value", result, function, builder.next, 0, at=span)
    if info.layers.log is not None:
        builder.emit("tuple_field", result, result, 0)
    builder.emit("return", result)
    return finish_function(builder, code.name, span, code.public, code.doc, code.params, gives)
