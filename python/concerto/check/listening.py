"""`listen A.execute(prompt) { "type" => |message| .. }` (rule LI-1): what can be listened to, and what handles messages.

Nothing listens yet: a sound `listen` is E9001.
"""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.diagnostics.model import Label
from concerto.syntax import ast

_ENDS = ("result", "error")
_BUILDERS = ("with_memory", "with_context", "with_timeout")


def check_listen(body: Body, node: ast.Listen) -> Type:
    """Reports E4050 for each part of another shape."""
    checker = body.checker
    before = len(checker.diagnostics)
    if not _is_agent_call(checker, node.subject):
        help_ = "write `listen Agent.execute(prompt) { .. }`"
        checker.report("E4050", "only a call of an agent is listened to", node.subject, help_)
    first: dict[str, ast.Handler] = {}
    for handler in node.handlers:
        _handler(checker, handler)
        if handler.channel in first:
            related = (Label(first[handler.channel].span, "first here"),)
            message = f"messages of the type `{handler.channel}` are handled twice"
            checker.report("E2004", message, handler, related=related)
        first.setdefault(handler.channel, handler)
    if len(checker.diagnostics) == before:
        checker.not_yet("`listen`", node)
    return t.UNKNOWN


def _handler(checker: Checker, handler: ast.Handler) -> None:
    if handler.channel in _ENDS:
        help_ = "take it from the value of `listen`"
        message = f"a message of the type `{handler.channel}` ends the session"
        checker.report("E4050", message, handler, help_)
        return
    closure = handler.body
    if not (isinstance(closure, ast.Closure) and len(closure.params) == 1):
        help_ = f'write `"{handler.channel}" => |message| ..`'
        message = "a handler is a closure with one parameter"
        checker.report("E4050", message, handler.body, help_)


def _is_agent_call(checker: Checker, node: ast.Expr) -> bool:
    """`A.execute(..)`, or that of a builder `A.with_timeout(..)`; a name that was refused may be an agent."""
    if not (isinstance(node, ast.Call) and isinstance(node.callee, ast.FieldAccess)):
        return False
    target = node.callee.object
    while (
        isinstance(target, ast.Call)
        and isinstance(target.callee, ast.FieldAccess)
        and target.callee.name.text in _BUILDERS
    ):
        target = target.callee.object
    if node.callee.name.text != "execute" or not isinstance(target, ast.PathExpr):
        return False
    name = str(target.path)
    return checker.outside.get(name) == "an agent" or name in checker.refused
