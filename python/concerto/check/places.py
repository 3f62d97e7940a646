"""Places: assignment, parts of values, and what may be changed."""

from __future__ import annotations

from dataclasses import replace

from concerto.check import types as t
from concerto.check.bodies import Body, related_declaration
from concerto.check.checked import Local
from concerto.check.closures import mark_changed
from concerto.check.operators import NUMBERS, check_span
from concerto.check.stores import check_store_assign, check_store_index
from concerto.check.types import Type
from concerto.syntax import ast


def is_place(node: ast.Expr) -> bool:
    """Whether an expression is a variable or a part of one."""
    return isinstance(place_root(node), ast.PathExpr | ast.SelfExpr)


def place_root(node: ast.Expr) -> ast.Expr:
    """The variable that a place is a part of."""
    while isinstance(node, ast.FieldAccess | ast.TupleAccess | ast.Index):
        node = node.object
    return node


def must_be_mutable(body: Body, node: ast.Expr, what: str) -> None:
    """E2006, unless the root of the place is a mutable variable."""
    root = place_root(node)
    if not isinstance(root, ast.PathExpr | ast.SelfExpr):
        return
    name = "self" if isinstance(root, ast.SelfExpr) else str(root.path)
    local = body.find(name)
    if local is None:
        if _is_in_store(body, node, what):
            return
        if isinstance(root, ast.PathExpr) and name in body.checker.constants:
            body.checker.report("E2006", f"the constant `{root.path}` cannot be {what}", node)
        return
    if _is_in_store(body, node, what):
        return
    local.mutated = True
    part: ast.Expr = node
    while isinstance(part, ast.FieldAccess | ast.TupleAccess | ast.Index):
        whole = t.resolve(body.checker.facts.types[id(part.object)])
        if isinstance(whole, t.Union):
            message, help_ = "a part of a union cannot be changed", "match on it first"
            body.checker.report("E1012", message, node, help_)
            return
        part = part.object
    if local.is_captured:
        mark_changed(body, local)
        message = f"`{local.name}` belongs to the function around: a closure has a copy of it"
        help_ = "return the new value, or use `reduce`"
        if body.is_task:
            message = f"`{local.name}` is captured by copy: a task cannot change it"
            help_ = "let the task end with the new value, or use a `hashmap`"
        body.checker.report("E2011", message, node, help_, related_declaration(local))
        return
    if not local.is_mut:
        help_ = f"write `mut {local.name}` in the parameters"
        if not local.is_param:
            help_ = f"declare it with `let mut {local.name}`"
        message = f"`{local.name}` cannot be {what}: it is immutable"
        body.checker.report("E2006", message, node, help_, related_declaration(local))
        # Said once: one `mut` mends all places.
        local.is_mut = True


def must_be_held(body: Body, receiver: ast.Expr, method: str) -> None:
    """E2006: what a method changes must be held by somebody."""
    if is_place(receiver):
        must_be_mutable(body, receiver, "changed")
        return
    message = f"`{method}` changes its receiver, which is no variable here"
    help_ = "put it into a variable first: `let mut x = ..`"
    body.checker.report("E2006", message, receiver, help_)


def _is_in_store(body: Body, node: ast.Expr, what: str) -> bool:
    """Whether a place is an entry of a store, or a part of one, which is reported: an entry is set as a whole."""
    part: ast.Expr = node
    while isinstance(part, ast.FieldAccess | ast.TupleAccess | ast.Index):
        if isinstance(t.resolve(body.checker.facts.types[id(part.object)]), t.Store):
            if part is not node or what != "assigned":
                message = "an entry of a store is changed as a whole"
                help_ = "set a new value, or use `.update(key, default, |old| ..)`"
                body.checker.report("E2006", message, node, help_)
            return True
        part = part.object
    return False


def _undeclared(body: Body, place: ast.PathExpr) -> None:
    """A variable that was meant to be declared by its first assignment: one message is enough."""
    name, found = str(place.path), body.checker.diagnostics
    if found and found[-1].primary.span == place.span and found[-1].help is None:
        found[-1] = replace(found[-1], help=f"declare it: `let mut {name} = ..`")
    body.declare(Local(name, t.UNKNOWN, place.span, True, used=True, mutated=True))


def check_assign(body: Body, node: ast.Assign) -> Type:
    """An assignment, plain or with an operator; it gives Nil."""
    from concerto.check.exprs import check_expr

    checker, place = body.checker, node.place
    local = body.find(str(place.path)) if isinstance(place, ast.PathExpr) else None
    if local is not None and not node.op:
        # That is no use of it.
        checker.facts.names[id(place)] = local
        checker.facts.types[id(place)] = target = local.type
    else:
        target = t.resolve(check_expr(body, place, None))
        if target == t.UNKNOWN and isinstance(place, ast.PathExpr):
            _undeclared(body, place)
    if local is not None:
        local.assigned = True
    if local is not None and local.is_late and not local.is_captured:
        # Whether it is the first assignment, the paths to it decide.
        local.mutated = True
    else:
        must_be_mutable(body, place, "assigned")
    if isinstance(place, ast.Index) and isinstance(
        t.resolve(checker.facts.types[id(place.object)]), t.Store
    ):
        check_store_assign(body, node)
    if (
        isinstance(place, ast.Index)
        and t.resolve(checker.facts.types[id(place.object)]) == t.STRING
    ):
        checker.report("E1012", "a character of a String cannot be assigned", place)
    if not node.op:
        check_expr(body, node.value, target)
        return t.NIL
    value = t.resolve(check_expr(body, node.value, t.FLOAT if target == t.FLOAT else None))
    if isinstance(target, t.Var) and value in (*NUMBERS, t.STRING):
        # The first use of what an empty literal holds tells its type.
        t.assign(value, target)
        target = value
    if t.UNKNOWN in (target, value):
        return t.NIL
    if t.ANY in (target, value):
        # Resolved at run time, as is whether the outcome fits.
        return t.NIL
    numeric = target in NUMBERS and value in NUMBERS and not (target == t.INT and value == t.FLOAT)
    text = target == t.STRING and node.op == "+"
    if text and t.is_error(value):
        checker.facts.steps[id(node.value)] = (t.assign(value, t.STRING) or (), t.STRING)
    elif not numeric and not (text and (value == t.STRING or isinstance(value, t.Literals))):
        message = f"`{node.op}=` is not defined for `{t.show(target)}` and `{t.show(value)}`"
        help_ = 'write values into a string: `"${n}"`' if text else None
        checker.report("E3002", message, node, help_)
    return t.NIL


def check_tuple_part(body: Body, node: ast.Expr, found: Type, index: int) -> Type:
    """The type of `x.0`, or of a tuple indexed by a literal."""
    found = t.resolve(found)
    if isinstance(found, t.Tuple) and 0 <= index < len(found.items):
        body.checker.facts.fields[id(node)] = index
        return found.items[index]
    if found == t.ANY:
        return t.ANY
    if found != t.UNKNOWN:
        body.checker.report("E3025", f"`{t.show(found)}` has no part {index}", node)
    return t.UNKNOWN


def check_index(body: Body, node: ast.Index) -> Type:
    """The type of `x[i]`."""
    from concerto.check.exprs import check_expr

    checker = body.checker
    found = t.resolve(check_expr(body, node.object, None))
    if (
        isinstance(found, t.Tuple)
        and isinstance(node.index, ast.Literal)
        and type(node.index.value) is int
    ):
        return check_tuple_part(body, node, found, node.index.value)
    match found:
        case t.Array() | t.Simple("String") | t.Literals():
            at = t.resolve(check_span(body, node.index))
            if at == t.RANGE:
                return found
            if at not in (t.INT, t.UNKNOWN):
                checker.report(
                    "E3025", f"an index is an Int or a range, found `{t.show(at)}`", node.index
                )
            return found.item if isinstance(found, t.Array) else t.STRING
        case t.Map(key, value):
            check_expr(body, node.index, key)
            return value
        case t.Store():
            return check_store_index(body, node, found)
        case t.Simple("?"):
            check_span(body, node.index)
            return t.UNKNOWN
        case t.Simple("Any"):
            check_span(body, node.index)
            return t.ANY
        case t.Tuple(items):
            check_expr(body, node.index, None)
            message = "the place in a tuple is a literal number"
            help_ = f"write `.0` to `.{len(items) - 1}`, or use an array"
            checker.report("E3025", message, node.index, help_)
            return t.UNKNOWN
        case _:
            check_expr(body, node.index, None)
            checker.report("E3025", f"`{t.show(found)}` cannot be indexed", node)
            return t.UNKNOWN
