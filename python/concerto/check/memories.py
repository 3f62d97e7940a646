"""`memory` stores (library reference 5.3, rule ME-1), and what stands in the field `memory` of a model (M-3).

Declarations and messages are checked; what uses a memory cannot be compiled yet, and says so at its place.
"""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checker import Checker
from concerto.check.habits import method_hint
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

#: What a memory is called in messages.
KIND = "a memory"
_ROLES = ("system", "user", "assistant", "tool")
_METHODS = ("append", "messages", "last", "len", "is_empty", "clear")


def declare_memory(checker: Checker, item: ast.Store) -> None:
    """`memory m: Memory = Memory::new(n);`: another type or beginning is E3037."""
    written = item.type
    if not (isinstance(written, ast.NamedType) and str(written.path) == "Memory"):
        checker.report("E3037", "the type of a memory is `Memory`", written, "write `Memory`")
    elif not _is_initialiser(item.value):
        help_ = "write the number of messages that it keeps, or nothing: `Memory::new(20)`"
        checker.report("E3037", "a memory begins as `Memory::new()`", item.value, help_)


def _is_initialiser(node: ast.Expr) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.callee, ast.PathExpr)):
        return False
    sizes = [arg.value for arg in node.args if arg.name is None or arg.name.text == "max"]
    fits = all(
        isinstance(size, ast.Literal) and type(size.value) is int and size.value >= 1
        for size in sizes
    )
    return str(node.callee.path) == "Memory::new" and len(sizes) == len(node.args) <= 1 and fits


def is_memory(checker: Checker, node: ast.Expr) -> bool:
    """Whether an expression names a memory."""
    return isinstance(node, ast.PathExpr) and checker.outside.get(str(node.path)) == KIND


def check_memory_call(body: Body, node: ast.Call, name: ast.Name) -> Type:
    """A method of a memory; a role that no message has is E4057."""
    from concerto.check.calls import check_all

    checker = body.checker
    check_all(body, node)
    role = node.args[0].value if node.args else None
    if name.text not in _METHODS:
        help_ = method_hint(name.text, _METHODS)
        checker.report("E3011", f"a memory has no method `{name}`", name, help_)
    elif name.text == "append" and isinstance(role, ast.Literal) and role.value not in _ROLES:
        known = f"roles are {', '.join(_ROLES)}"
        help_ = did_you_mean(role.value, list(_ROLES)) if isinstance(role.value, str) else None
        checker.report("E4057", f"no message has the role `{role.value}`", role, help_ or known)
    else:
        checker.not_yet(f"the use of {KIND}", node.callee)
    return t.UNKNOWN


def check_memory_of_model(checker: Checker, key: ast.Name, node: ast.Expr) -> None:
    """What a model is to remember: a hashmap is W4008 and has no effect."""
    root = node
    while isinstance(root, ast.Call | ast.FieldAccess):
        root = root.callee if isinstance(root, ast.Call) else root.object
    name = str(root.path) if isinstance(root, ast.PathExpr) else ""
    if name in checker.stores:
        message = f"`{name}` holds no conversation: the field has no effect"
        help_ = f"declare a memory: `memory history: Memory = Memory::new();`, or remove `{key}`"
        checker.report("W4008", message, node, help_)
    elif is_memory(checker, node):
        checker.not_yet(f"`{key}` of a model", key)
    elif name not in checker.refused:
        memories = [each for each, kind in checker.outside.items() if kind == KIND]
        help_ = did_you_mean(name, memories) or "name a `memory` of the program"
        checker.report("E4029", f"`{key}` must be a memory", node, help_)
