"""Signatures of functions and methods."""

from __future__ import annotations

from dataclasses import replace

from concerto.check import types as t
from concerto.check.checked import FunctionInfo, ImplInfo, Local, ParamInfo, TraitInfo
from concerto.check.checker import Checker
from concerto.check.defaults import PendingDefault, file_default
from concerto.check.generics import scope, type_params
from concerto.check.testing import read_test
from concerto.check.types import Type
from concerto.syntax import ast


def declare_function(checker: Checker, item: ast.Function) -> None:
    """Files a function of the program under its name."""
    if item.name.text in checker.functions:
        return
    if item.body is None:
        message = f"`{item.name}` has no body"
        help_ = "write `{ .. }` behind the signature"
        checker.report("E1017", message, item.name, help_)
    test = read_test(checker, item)
    if test is not None:  # whose `self` was reported
        params = tuple(param for param in item.params if param.name.text != "self")
        item = replace(item, params=params)
    function = signature(checker, item, item.name.text)
    function.test = test
    if function.name == "main" and test is None:
        _check_main(checker, item, function)
    checker.functions[function.name] = function


def signature(
    checker: Checker,
    item: ast.Function,
    name: str,
    owner: ImplInfo | TraitInfo | None = None,
    outer: tuple[t.Opaque, ...] = (),
    self_type: Type | None = None,
) -> FunctionInfo:
    """The signature of a function or method; `outer` are the type parameters of what it stands in."""
    names: dict[str, Type] = {param.name: param for param in outer}
    if self_type is not None:
        names["Self"] = self_type
    with scope(checker, names):
        own = type_params(checker, item.type_params)
        names |= {param.name: param for param in own}
        with scope(checker, names):
            params = _params(checker, item, self_type)
            result = written(checker, item.result)
    function = FunctionInfo(
        name,
        params,
        result,
        item,
        item.is_pub,
        type_params=(*outer, *own),
        own=len(own),
        owner=owner,
        scope=names,
    )
    _file_defaults(checker, function)
    return function


def _file_defaults(checker: Checker, function: FunctionInfo) -> None:
    assert function.node is not None
    written = {param.name.text: param.default for param in function.node.params}
    for at, param in enumerate(function.params):
        default = written[param.name]
        if default is not None:
            earlier = tuple(function.params[:at])
            pending = PendingDefault(
                default, param, function.name, earlier, function.type_params, function.scope
            )
            file_default(checker, pending)


def written(checker: Checker, node: ast.TypeExpr | None) -> Type:
    """The type of a result; without one it is Nil."""
    from concerto.check.collect import written_type

    return written_type(checker, node) if node else t.NIL


def _params(checker: Checker, item: ast.Function, self_type: Type | None) -> list[ParamInfo]:
    params: list[ParamInfo] = []
    for param in item.params:
        name = param.name.text
        if name == "self":
            if self_type is None:
                checker.report("E2013", "`self` outside of a method", param)
                continue
            type_ = self_type
        else:
            type_ = _param_type(checker, param)
        if any(other.name == name for other in params):
            checker.report("E2004", f"the parameter `{name}` is declared twice", param.name)
        local = Local(name, type_, param.name.span, param.is_mut, is_param=True)
        params.append(ParamInfo(name, type_, param.default is not None, None, local))
    return params


def _param_type(checker: Checker, param: ast.Param) -> Type:
    from concerto.check.collect import written_type

    if param.type is not None:
        return written_type(checker, param.type)
    message = f"the parameter `{param.name}` has no type"
    checker.report("E3030", message, param, f"write `{param.name}: Type`")
    return t.UNKNOWN


def _check_main(checker: Checker, item: ast.Function, function: FunctionInfo) -> None:
    """E2015."""
    if function.params:
        help_ = "let the host call another `pub fn`"
        checker.report("E2015", "`main` has no parameters", item.params[0], help_)
    if function.type_params:
        message = "`main` has no type parameters"
        checker.report("E2015", message, item.type_params[0], "remove them")
    result = t.resolve(function.result)
    if result not in (t.NIL, t.UNKNOWN) and not isinstance(result, t.Result):
        message = "the result of `main` is nothing or a `Result`"
        checker.report("E2015", message, item.result or item.name)
