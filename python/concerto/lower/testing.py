"""What only tests have, to code: mocks and the functions of the prelude that ask for them."""

from __future__ import annotations

from concerto.check.called import CallTest
from concerto.lower.functions import Builder
from concerto.syntax import ast


def lower_mock(builder: Builder, node: ast.Mock) -> None:
    """The fields as a map, by which the runtime answers from now on."""
    from concerto.lower.exprs import lower_into

    kept = builder.next
    info = builder.facts.mocks[id(node)]
    first = builder.temporary(2 * len(info.fields))
    for position, (key, value) in enumerate(info.fields):
        builder.emit("const", first + 2 * position, builder.tables.constant(key))
        lower_into(builder, value, first + 2 * position + 1)
    fields = builder.temporary()
    builder.emit("map", fields, first, len(info.fields))
    builder.emit("mock", builder.tables.models[info.model], fields, at=node)
    builder.next = kept


def lower_test_call(builder: Builder, node: ast.Call, call: CallTest, target: int) -> None:
    """A function for tests: its arguments in registers, those that are missing from constants."""
    from concerto.lower.exprs import lower_into

    first = builder.temporary(len(call.args))
    registers = range(first, first + len(call.args))
    for register, arg in zip(registers, call.args, strict=True):
        if isinstance(arg, bool):
            builder.emit("bool", register, int(arg))
        elif isinstance(arg, str):
            builder.emit("const", register, builder.tables.constant(arg))
    written = [
        (r, arg) for r, arg in zip(registers, call.args, strict=True) if isinstance(arg, ast.Expr)
    ]
    for register, arg in sorted(written, key=lambda pair: pair[1].span.start):
        lower_into(builder, arg, register)
    if call.has_value:
        builder.emit(call.instruction, target, *registers, at=node)
    else:
        builder.emit(call.instruction, *registers, at=node)
        builder.emit("nil", target)
