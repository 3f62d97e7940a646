"""Methods of values whose type is only known at run time (language reference 6.4)."""

from __future__ import annotations

from concerto.check import builtins, library, methods
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.called import AnyCase, CallAny
from concerto.check.types import Type
from concerto.syntax import ast

#: What can be a map key, as far as it can be told from other values.
_KEY = t.Union((t.STRING, t.INT, t.BOOL, t.Tuple((t.ANY, t.ANY))))
_RECEIVERS: tuple[Type, ...] = (
    t.Array(t.ANY), t.Map(_KEY, t.ANY), t.STRING, t.INT, t.FLOAT, t.RANGE, t.Option(t.ANY),
    t.Result(t.ANY, t.ANY),
)  # fmt: skip


def any_method(body: Body, node: ast.Call, object_: ast.Expr, name: ast.Name) -> Type:
    """The type of `x.m(..)`: what it does, the value decides among the types that have such a method."""
    from concerto.check.places import is_place, must_be_mutable

    cases = _cases(body, node, name.text)
    _check_arguments(body, node, cases)
    if any(case.mutates for case in cases) and is_place(object_):
        must_be_mutable(body, object_, "changed")
    args = tuple(arg.value for arg in node.args)
    body.checker.facts.calls[id(node)] = CallAny(name.text, object_, args, tuple(cases))
    return t.ANY


def _cases(body: Body, node: ast.Call, name: str) -> list[AnyCase]:
    """The types that have the method with as many arguments. Of methods that take a function only one: it tells the closure's type."""
    count = len(node.args)
    found: list[AnyCase] = []
    takes_function = False
    for receiver in _RECEIVERS:
        method = builtins.method(receiver, name)
        if method is not None:
            if len(method.params) == count:
                found.append(AnyCase(receiver, method.native, method.params, method.mutates))
            continue
        table, letters = builtins.receiver(receiver) or ("", {})
        forms = library.find(body.checker, table, name) if table else []
        function = next((form for form in forms if len(form.params) == count + 1), None)
        if function is None or library.changes(function):
            continue
        meaning = {letter: letters.get(letter, t.ANY) for letter in library.LETTERS}
        params = tuple(t.substitute(param.type, meaning) for param in function.params[1:])
        if any(isinstance(t.resolve(param), t.Function) for param in params):
            if takes_function or not _closures_fit(node, params):
                continue
            takes_function = True
        found.append(AnyCase(receiver, function, params, mutates=False))
    return [*found, *_declared(body, name, count)]


def _declared(body: Body, name: str, count: int) -> list[AnyCase]:
    """Methods of structs and enums of the program; what changes its receiver or has type parameters cannot be called this way."""
    checker = body.checker
    types: list[Type] = [
        t.Struct(info.name, info.origin)
        for info in checker.structs.values()
        if not info.type_params
    ]
    types += [t.Enum(info.name) for info in checker.enums.values() if not info.type_params]
    found = []
    for type_ in types:
        method = methods.own(checker, type_, name)
        if method is None:
            method = next(iter(methods.of_traits(checker, type_, name)), None)
        if method is None:
            continue
        function = method.function
        usable = function.is_method and not (
            function.changes or function.is_generic or function.is_async
        )
        if usable and len(function.params) == count + 1:
            params = tuple(param.type for param in function.params[1:])
            found.append(AnyCase(type_, function, params, mutates=False))
    return found


def _closures_fit(node: ast.Call, params: tuple[Type, ...]) -> bool:
    """Whether written closures have as many parameters as the method wants."""
    return all(
        not isinstance(arg.value, ast.Closure)
        or (isinstance(param, t.Function) and len(param.params) == len(arg.value.params))
        for arg, param in zip(node.args, params, strict=True)
    )


def _check_arguments(body: Body, node: ast.Call, cases: list[AnyCase]) -> None:
    from concerto.check.exprs import check_expr

    for position, arg in enumerate(node.args):
        if arg.name is not None:
            message = "a method of an `Any` value has no named parameters"
            body.checker.report("E3032", message, arg.name)
        wanted: Type = t.ANY
        functions = [
            case.params[position] for case in cases if isinstance(case.params[position], t.Function)
        ]
        if isinstance(arg.value, ast.Closure):
            count = len(arg.value.params)
            wanted = functions[0] if functions else t.Function((t.ANY,) * count, t.ANY)
        elif functions:
            wanted = functions[0]
        check_expr(body, arg.value, wanted)
