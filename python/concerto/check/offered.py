"""What a model is told about a function that it may call: its description, its parameters and their types (rules TL-3 to TL-5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from concerto.check import types as t
from concerto.check.checked import FunctionInfo
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.decorators import read_decorators, text_argument
from concerto.check.schemas import inexpressible
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast

_ALLOWED = frozenset(("describe", "param", "retry", "timeout", "log"))


@dataclass(frozen=True, slots=True)
class Told:
    """What decorators say of a function and of its parameters."""

    description: str = ""
    params: dict[str, str] = field(default_factory=dict)


def check_told(checker: Checker, node: ast.Function) -> Told:
    """What the decorators of a method say, which were read for what may stand there. Reports E4043."""
    written = [each for each in node.decorators if len(each.args) == 1]
    texts = [text_argument(checker, each) for each in written if each.name.text == "describe"]
    params = [param.name.text for param in node.params if param.name.text != "self"]
    return Told(next(filter(None, texts), ""), _documented(checker, list(node.decorators), params))


def check_offered(
    checker: Checker,
    function: FunctionInfo,
    *,
    is_offered: bool,
    inherited: ast.Function | None = None,
) -> Told:
    """What a model is told; what is not said is taken from the method of a trait (TL-9). Reports E4041 to E4043 and W4011."""
    node = function.node
    assert node is not None
    read_decorators(checker, node.decorators, _ALLOWED)
    told = check_told(checker, node)
    others = _written(inherited) if inherited is not None else Told()
    told = Told(told.description or others.description, others.params | told.params)
    is_described = any(each.name.text == "describe" for each in node.decorators)
    if is_offered and not is_described and not told.description:
        help_ = f'write `@describe("..")` before `{node.name}`: a model reads it'
        checker.report("E4041", f"`{node.name}` has no description", node.name, help_)
    params = [param for param in node.params if param.name.text != "self"]
    types = {param.name: param.type for param in function.params}
    for param in params:
        if param.type is None:
            continue
        _expressible(checker, param.type, types[param.name.text])
        if is_offered and param.name.text not in told.params:
            message = f"the parameter `{param.name}` has no `@param`"
            help_ = f'write `@param("{param.name}", "..")`: a model reads it'
            checker.report("W4011", message, param, help_)
    if node.result is not None:
        result = t.resolve(function.result)
        _expressible(checker, node.result, result.ok if isinstance(result, t.Result) else result)
    return told


def _written(node: ast.Function) -> Told:
    """What the decorators of a method of a trait say, which were checked there."""
    texts = [
        [arg.value.value if isinstance(arg.value, ast.Literal) else None for arg in each.args]
        for each in node.decorators
        if each.name.text in ("describe", "param")
    ]
    description = next((str(text[0]) for text in texts if len(text) == 1), "")
    return Told(description, {str(text[0]): str(text[1]) for text in texts if len(text) == 2})


def _expressible(checker: Checker, node: ast.TypeExpr, type_: Type) -> None:
    bad = inexpressible(checker, type_, into_schemas=True)
    if bad is not None:
        message = f"`{t.show(bad)}` cannot be expressed as JSON Schema"
        checker.report("E4042", message, node, "a model can send and read what JSON can hold")


def _documented(
    checker: Checker, decorators: list[ast.Decorator], names: list[str]
) -> dict[str, str]:
    """What `@param` says of each parameter."""
    found: dict[str, str] = {}
    first: dict[str, ast.Decorator] = {}
    for each in decorators:
        if each.name.text != "param":
            continue
        if len(each.args) != 2:
            message = f"`@param` takes 2 arguments, found {len(each.args)}"
            checker.report("E3032", message, each)
            continue
        name, text = (constant_value(checker, arg.value, t.STRING, "E3032") for arg in each.args)
        if not isinstance(name, str) or not isinstance(text, str):
            continue
        if name not in names:
            message = f"there is no parameter `{name}`"
            checker.report("E4043", message, each.args[0], did_you_mean(name, names))
        elif name in first:
            related = (Label(first[name].span, "first here"),)
            message = f"`@param` for `{name}` is given twice"
            checker.report("E2019", message, each, related=related)
        else:
            first[name], found[name] = each, text
    return found
