"""Places: assignment, and methods that change their receiver.

The parts of a nested place are taken out of their owners, the innermost is changed, and they are put back, so that each has one owner while it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from concerto.check import types as t
from concerto.check.checked import Local
from concerto.check.places import place_root
from concerto.check.types import Type
from concerto.lower.functions import SMALL_INT, Builder, type_of
from concerto.syntax import ast
from concerto.syntax.walk import children

_INT_OPS = {"+": "add_int", "-": "sub_int", "*": "mul_int", "/": "div_int", "%": "rem_int"}
ANY_OPS = {"+": "any.add", "-": "any.sub", "*": "any.mul", "/": "any.div", "%": "any.rem"}
_FLOAT_OPS = {
    "+": "add_float",
    "-": "sub_float",
    "*": "mul_float",
    "/": "div_float",
    "%": "rem_float",
}


def lower_assign(builder: Builder, node: ast.Assign) -> None:
    """`place = value` and `place op= value`."""
    from concerto.lower.exprs import lower_into

    kept = builder.next
    value = builder.temporary()
    if isinstance(node.place, ast.PathExpr | ast.SelfExpr):
        local = builder.facts.names[id(node.place)]
        assert isinstance(local, Local)
        register = builder.registers[id(local)]
        if (step := _small_step(node, local)) is not None:
            builder.emit("add_int_imm", register, register, step, at=node)
        elif node.op and _changes(builder, node.value, local):
            old = builder.temporary()
            builder.emit("copy", old, register)
            lower_into(builder, node.value, value)
            _operate(builder, node, old, value)
            builder.emit("move", register, old)
        elif node.op:
            lower_into(builder, node.value, value)
            _operate(builder, node, register, value)
        elif (appended := _appended(builder, node, local)) is not None:
            lower_into(builder, appended, value)
            builder.emit("append_string", register, value, at=node)
        else:
            lower_into(builder, node.value, value)
            builder.emit("move", register, value)
        builder.next = kept
        return
    if id(node) in builder.facts.calls:
        _set_entry(builder, node)
        builder.next = kept
        return
    if not isinstance(node.place, ast.FieldAccess | ast.Index | ast.TupleAccess):
        raise AssertionError(node.place)
    keys = place_keys(builder, node.place)
    lower_into(builder, node.value, value)
    if node.op:
        with taken(builder, node.place, keys) as register:
            _operate(builder, node, register, value)
    else:
        with taken(builder, node.place.object, keys) as owner:
            _put(builder, node.place, owner, keys, value)
    builder.next = kept


def _set_entry(builder: Builder, node: ast.Assign) -> None:
    """`h[k] = v` and `h[k] op= v` on a store."""
    from concerto.lower.exprs import lower_into

    assert isinstance(node.place, ast.Index)
    parts = builder.temporary(3)
    lower_into(builder, node.place.object, parts)
    lower_into(builder, node.place.index, parts + 1)
    if node.op:
        value, old = builder.temporary(), builder.temporary(2)
        lower_into(builder, node.value, value)
        builder.emit("copy", old, parts)
        builder.emit("copy", old + 1, parts + 1)
        builder.emit("native", parts + 2, "store.at", old, 2, at=node.place)
        _operate(builder, node, parts + 2, value)
    else:
        lower_into(builder, node.value, parts + 2)
    function = builder.tables.function(builder.facts.calls[id(node)])
    builder.emit("call", parts, function, parts, 3, at=node)


def _small_step(node: ast.Assign, local: Local) -> int | None:
    """The n of `x += n` and `x -= n` on an Int with a literal that fits into an instruction."""
    value = node.value.value if isinstance(node.value, ast.Literal) else None
    if type(value) is not int or abs(value) >= SMALL_INT or t.resolve(local.type) != t.INT:
        return None
    return {"+": value, "-": -value}.get(node.op or "")


def _changes(builder: Builder, node: ast.Node, local: Local) -> bool:
    """Whether evaluating an expression assigns a variable; then the old value must be kept aside."""
    if isinstance(node, ast.Assign):
        root = place_root(node.place)
        if builder.facts.names.get(id(root)) is local:
            return True
    return any(_changes(builder, child, local) for child in children(node))


def _appended(builder: Builder, node: ast.Assign, local: Local) -> ast.Expr | None:
    """The `s` of `x = x + s` on texts, which appends in place."""
    value = node.value
    if not (
        isinstance(value, ast.Binary) and value.op == "+" and t.resolve(local.type) == t.STRING
    ):
        return None
    left = value.left
    same = (
        isinstance(left, ast.PathExpr | ast.SelfExpr) and builder.facts.names.get(id(left)) is local
    )
    converted = id(value) in builder.facts.steps or id(left) in builder.facts.steps
    if converted or not same or _changes(builder, value.right, local):
        return None
    return value.right


def _operate(builder: Builder, node: ast.Assign, register: int, value: int) -> None:
    target = t.resolve(builder.facts.types[id(node.place)])
    if t.ANY in (target, type_of(builder, node.value)):
        _operate_any(builder, node, register, value, target)
        return
    if target == t.STRING:
        builder.emit("append_string", register, value, at=node)
        return
    if target == t.FLOAT and type_of(builder, node.value) == t.INT:
        builder.emit("int_to_float", value, value)
    names = _FLOAT_OPS if target == t.FLOAT else _INT_OPS
    builder.emit(names[node.op], register, register, value, at=node)


def _operate_any(
    builder: Builder, node: ast.Assign, register: int, value: int, target: Type
) -> None:
    """The operation at run time; its result must fit into a typed place."""
    kept = builder.next
    first = builder.temporary(2)
    builder.emit("copy", first, register)
    builder.emit("move", first + 1, value)
    builder.emit("native", register, ANY_OPS[node.op], first, 2, at=node)
    if target != t.ANY:
        builder.emit("check_type", register, register, builder.type(target), at=node)
    builder.next = kept


def place_keys(builder: Builder, node: ast.Expr) -> dict[int, int]:
    """Evaluates the indexes of a place, outermost object first; gives the register of each by the identity of its node."""
    from concerto.lower.exprs import lower_into

    steps: list[Any] = []
    while isinstance(node, ast.FieldAccess | ast.Index | ast.TupleAccess):
        steps.append(node)
        node = node.object
    keys: dict[int, int] = {}
    for step in reversed(steps):
        if isinstance(step, ast.Index):
            register = builder.temporary()
            lower_into(builder, step.index, register)
            keys[id(step)] = register
    return keys


@contextmanager
def taken(builder: Builder, node: ast.Expr, keys: dict[int, int]) -> Iterator[int]:
    """The register of a place, to be changed; it is put back afterwards."""
    from concerto.lower.exprs import lower_into

    if isinstance(node, ast.PathExpr | ast.SelfExpr):
        local = builder.facts.names.get(id(node))
        if isinstance(local, Local):
            yield builder.registers[id(local)]
            return
    if isinstance(node, ast.FieldAccess | ast.Index | ast.TupleAccess):
        with taken(builder, node.object, keys) as owner:
            part = builder.temporary()
            _take(builder, node, owner, keys, part)
            yield part
            _put(builder, node, owner, keys, part)
        return
    # A value that nobody owns is changed and forgotten.
    register = builder.temporary()
    lower_into(builder, node, register)
    yield register


_Part: TypeAlias = ast.FieldAccess | ast.Index | ast.TupleAccess


def _take(builder: Builder, node: _Part, owner: int, keys: dict[int, int], part: int) -> None:
    whole = type_of(builder, node.object)
    if whole == t.ANY:
        first = _with_key(builder, node, owner, keys, 2)
        read = "any.field" if isinstance(node, ast.FieldAccess) else "any.index"
        builder.emit("native", part, read, first, 2, at=node)
    elif isinstance(node, ast.FieldAccess) or isinstance(whole, t.Tuple):
        builder.emit("take_field", part, owner, builder.facts.fields[id(node)])
    else:
        kind = "map" if isinstance(whole, t.Map) else "array"
        builder.emit(f"take_index_{kind}", part, owner, keys[id(node)], at=node)


def _put(builder: Builder, node: _Part, owner: int, keys: dict[int, int], part: int) -> None:
    whole = type_of(builder, node.object)
    if whole == t.ANY:
        first = _with_key(builder, node, owner, keys, 3)
        builder.emit("move", first + 2, part)
        write = "any.set_field" if isinstance(node, ast.FieldAccess) else "any.set_index"
        builder.emit("native", owner, write, first, 3, at=node)
    elif isinstance(node, ast.FieldAccess) or isinstance(whole, t.Tuple):
        builder.emit("set_field", owner, builder.facts.fields[id(node)], part)
    else:
        kind = "map" if isinstance(whole, t.Map) else "array"
        builder.emit(f"set_index_{kind}", owner, keys[id(node)], part, at=node)


def _with_key(builder: Builder, node: _Part, owner: int, keys: dict[int, int], count: int) -> int:
    """A window for a native function: the whole and its key. To be changed the whole is moved, so that it has one owner."""
    first = builder.temporary(count)
    builder.emit("move" if count == 3 else "copy", first, owner)
    match node:
        case ast.FieldAccess(name=name):
            builder.emit("const", first + 1, builder.tables.constant(name.text))
        case ast.TupleAccess(index=index):
            builder.emit("int", first + 1, index)
        case _:
            builder.emit("copy", first + 1, keys[id(node)])
    return first
