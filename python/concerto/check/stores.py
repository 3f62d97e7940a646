"""Stores: `hashmap` declarations, and what may be done with their entries (library reference 5.1)."""

from __future__ import annotations

from concerto.check import library
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import StoreInfo
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.syntax import ast
from concerto.syntax.walk import children


def declare_store(checker: Checker, item: ast.Store) -> None:
    """A `hashmap` with its type and, if its entries are kept, the file for them. Reports E3037."""
    from concerto.check.collect import written_type
    from concerto.check.schemas import inexpressible

    found = t.resolve(written_type(checker, item.type))
    if not isinstance(found, t.Store):
        if found != t.UNKNOWN:
            message = f"the type of a hashmap is `HashMap<K, V>`, found `{t.show(found)}`"
            checker.report("E3037", message, item.type)
        found = t.Store(t.UNKNOWN, t.UNKNOWN)
    path, is_right = _initialiser(item.value)
    if not is_right:
        message = "a hashmap begins as `HashMap::new()`"
        help_ = 'to keep its entries, write `HashMap::new().with_persistence("file.json")`'
        checker.report("E3037", message, item.value, help_)
    bad = inexpressible(checker, found.value) if path is not None else None
    if bad is not None:
        message = f"`{t.show(bad)}` has no form in JSON, so that it cannot be kept in a file"
        checker.report("E3037", message, item.type)
    info = StoreInfo(item.name.text, found, path, item.name.span, len(checker.stores))
    checker.stores.setdefault(info.name, info)


def _initialiser(value: ast.Expr) -> tuple[str | None, bool]:
    """The file that an initialiser names, and whether it is one."""
    match value:
        case ast.Call(callee=ast.PathExpr(path=path), args=()):
            return None, str(path) == "HashMap::new"
        case ast.Call(
            callee=ast.FieldAccess(object=inner, name=name),
            args=[ast.Argument(name=None, value=ast.Literal(value=str(file)))],
        ):
            return file, name.text == "with_persistence" and _initialiser(inner) == (None, True)
        case _:
            return None, False


def check_store_index(body: Body, node: ast.Index, store: t.Store) -> Type:
    """`h[k]`, which panics where `h` lacks the key."""
    from concerto.check.exprs import check_expr

    check_expr(body, node.index, store.key)
    return store.value


def check_store_assign(body: Body, node: ast.Assign) -> None:
    """`h[k] = v` does what `h.set(k, v)` does."""
    body.checker.facts.calls[id(node)] = library.find(body.checker, "HashMap", "set")[0]


def check_update(body: Body, node: ast.Call) -> None:
    """E3033: what `update` calls must not wait, or another task could change the entry meanwhile."""
    for arg in node.args:
        waiting = _waits(body, arg.value, set()) if isinstance(arg.value, ast.Closure) else None
        if waiting is not None:
            message = "the function of `update` waits here, so that the update would not be atomic"
            body.checker.report("E3033", message, waiting, "wait before, and give it the result")


def _waits(body: Body, node: ast.Node, seen: set[str]) -> ast.Node | None:
    """Where something waits that a function calls, as far as it can be seen: calls of function values cannot."""
    from concerto.check.called import (
        CallEffect,
        CallFunction,
        CallLibrary,
        CallModel,
        CallStream,
        CallTool,
    )

    match body.checker.facts.calls.get(id(node)):
        case CallModel() | CallStream() | CallTool():
            return node
        case CallEffect(effect) if _is_wait(("effect", effect)):
            return node
        case CallLibrary(function) if function.direct is not None and _is_wait(function.direct):
            return node
        case CallLibrary(function) | CallFunction(function) if function.name not in seen:
            seen.add(function.name)
            inside = function.node.body if function.node else None
            if inside is not None and _waits(body, inside, seen) is not None:
                return node
        case _:
            pass
    if isinstance(node, ast.Await | ast.Spawn):
        return node
    for function in body.checker.facts.computed.get(id(node), ()):
        if function.node and function.name not in seen:
            seen.add(function.name)
            if _waits(body, function.node, seen) is not None:
                return node
    found = (_waits(body, child, seen) for child in children(node))
    return next((each for each in found if each is not None), None)


def _is_wait(direct: tuple[str, str]) -> bool:
    kind, name = direct
    if kind != "effect" or name in ("time.now_ms", "time.monotonic_ms"):
        return False
    return name == "task.yield" or name.split(".")[0] in ("time", "fs", "http")
