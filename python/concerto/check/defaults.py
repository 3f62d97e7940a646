"""Defaults of parameters and fields (language reference 6.8, 10.1): constants where they can be, else hidden functions of the parameters before them."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import check_function
from concerto.check.checked import FieldInfo, FunctionInfo, Local, ParamInfo
from concerto.check.checker import Checker
from concerto.check.constants import constant_or_none, constant_value, is_finite
from concerto.check.limits import broken_limit
from concerto.check.types import Type
from concerto.records import record
from concerto.syntax import ast


@record()
class PendingDefault:
    """A default as it is written: whose it is, what the parameters before it are, and what the words of types in it mean."""

    node: ast.Expr
    of: ParamInfo | FieldInfo
    owner: str
    earlier: tuple[ParamInfo, ...] = ()
    type_params: tuple[t.Opaque, ...] = ()
    scope: dict[str, Type] | None = None
    #: Of a schema: it must be constant (rule SC-4).
    is_schema: bool = False


def file_default(checker: Checker, pending: PendingDefault) -> None:
    """Keeps a default until somebody asks for it, or all declarations are read."""
    checker.pending_defaults[id(pending.of)] = pending


def read_defaults(checker: Checker) -> None:
    """Reads all defaults that nobody asked for yet."""
    while checker.pending_defaults:
        read_default(checker, next(iter(checker.pending_defaults.values())).of)


def read_default(checker: Checker, of: ParamInfo | FieldInfo) -> None:
    """Reads one default, if it was not read before."""
    pending = checker.pending_defaults.pop(id(of), None)
    if pending is None:
        return
    hidden = {param.name for param in pending.earlier}

    def find(name: str) -> list[object] | None:
        return [] if name in hidden else None

    if pending.is_schema:
        of.default = constant_value(checker, pending.node, of.type, "E4036")
        if not is_finite(of.default):
            message = f"the default of `{of.name}` is a number that JSON does not have"
            checker.report("E4036", message, pending.node)
    else:
        found = constant_or_none(checker, pending.node, of.type, find)
        if found is None:
            of.computed = _function(pending)
            checker.computed.append((of.computed, pending.earlier))
            return
        (of.default,) = found
    problem = broken_limit(of.checks, of.default) if isinstance(of, FieldInfo) else None
    if problem is not None:
        message = f"the default of `{of.name}` breaks a limit of the field: {problem}"
        checker.report("E4036", message, pending.node)


def _function(pending: PendingDefault) -> FunctionInfo:
    node, name = pending.node, f"{pending.owner}@{pending.of.name}"
    declared = ast.Function(
        span=node.span,
        name=ast.Name(span=node.span, text=name),
        type_params=(),
        params=(),
        result=None,
        body=ast.Block(span=node.span, statements=(), tail=node),
        is_async=False,
    )
    locals_ = [
        Local(param.name, param.type, param.local.span, False, is_param=True)
        for param in pending.earlier
    ]
    params = [ParamInfo(local.name, local.type, False, None, local) for local in locals_]
    return FunctionInfo(
        name,
        params,
        pending.of.type,
        declared,
        False,
        type_params=pending.type_params,
        own=len(pending.type_params),
        scope=pending.scope or {},
    )


def check_computed(checker: Checker) -> None:
    """Checks what computes defaults; a parameter that one of them reads is used."""
    for function, earlier in checker.computed:
        assert function.node is not None
        check_function(checker, function, function.node)
        for own, outer in zip(function.params, earlier, strict=True):
            outer.local.used |= own.local.used
