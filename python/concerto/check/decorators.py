"""Decorators: which one may stand where, how often, and what their arguments are."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.checked import FunctionInfo
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast

#: Where each decorator of the language may stand.
_PLACES = {
    "test": "functions",
    "expect_fail": "tests",
    "describe": "schemas, their fields, fields of structs, and methods of tools",
    "param": "methods of tools",
    "retry": "models, agents, stages and functions",
    "timeout": "models, agents, stages and functions",
    "log": "models, agents, stages and functions",
    "cache": "models",
    "deprecated": "declarations",
    "validate": "schemas",
    "strict": "schemas",
    "partial": "schemas and their fields",
    "coerce": "schemas and their fields",
    "range": "fields of schemas and structs",
    "length": "fields of schemas and structs",
    "items": "fields of schemas and structs",
    "pattern": "fields of schemas and structs",
    "json": "fields of schemas and structs",
}
_MAY_REPEAT = ("validate", "param")
_TAKES_NOTHING = ("strict", "partial", "coerce")
#: What can stand there has a reader of its own.
_MAY_TAKE_ONE = ("deprecated",)
_TAKES_SEVERAL = ("retry", "timeout", "log", "cache", "test", "expect_fail", "param")


def read_decorators(
    checker: Checker, decorators: tuple[ast.Decorator, ...], allowed: frozenset[str]
) -> list[ast.Decorator]:
    """Those that may stand here with the right number of arguments; reports the others."""
    found: list[ast.Decorator] = []
    first: dict[str, ast.Decorator] = {}
    for each in decorators:
        name = each.name.text
        if name not in _PLACES:
            help_ = did_you_mean(f"@{name}", [f"@{known}" for known in _PLACES])
            checker.report("E2017", f"there is no decorator `@{name}`", each.name, help_)
        elif name not in allowed:
            message = f"`@{name}` cannot stand here"
            checker.report("E2018", message, each, f"it is for {_PLACES[name]}")
        elif name == "expect_fail" and all(other.name.text != "test" for other in decorators):
            checker.report("E2018", "`@expect_fail` is for tests", each, "write `@test` too")
        elif name in first and name not in _MAY_REPEAT:
            related = (Label(first[name].span, "first here"),)
            checker.report("E2019", f"`@{name}` is given twice", each, related=related)
        elif _has_arguments(checker, each):
            first.setdefault(name, each)
            found.append(each)
    return found


def _has_arguments(checker: Checker, decorator: ast.Decorator) -> bool:
    if decorator.name.text in _TAKES_SEVERAL:
        return True
    name, wanted = decorator.name.text, 0 if decorator.name.text in _TAKES_NOTHING else 1
    if not decorator.args and name in _MAY_TAKE_ONE:
        return True
    if len(decorator.args) != wanted:
        takes = "no argument" if wanted == 0 else "1 argument"
        found = len(decorator.args)
        checker.report("E3032", f"`@{name}` takes {takes}, found {found}", decorator)
        return False
    for arg in decorator.args:
        if arg.name is not None:
            checker.report("E3032", f"the argument of `@{name}` has no name", arg.name)
            return False
    return True


def text_argument(checker: Checker, decorator: ast.Decorator) -> str | None:
    """The constant text that a decorator is given; None if it is none, which is reported."""
    value = constant_value(checker, decorator.args[0].value, t.STRING, "E3032")
    if value == "":
        checker.report("E3032", f"the text of `@{decorator.name}` is empty", decorator.args[0])
    return value or None


def check_deprecated(checker: Checker, decorator: ast.Decorator) -> None:
    """The text is optional."""
    if decorator.args:
        text_argument(checker, decorator)


def read_deprecated(decorators: tuple[ast.Decorator, ...]) -> str | None:
    """What `@deprecated` says of a declaration, perhaps nothing; None without it."""
    for decorator in decorators:
        if decorator.name.text == "deprecated":
            value = decorator.args[0].value if decorator.args else None
            text = value.value if isinstance(value, ast.Literal) else ""
            return text if isinstance(text, str) else ""
    return None


def warn_deprecated(checker: Checker, name: str, at: ast.Node, text: str | None = None) -> None:
    """W2009, once for a place; without `text` a declaration of this name is looked up."""
    said = checker.deprecated.get(name) if text is None else text
    if said is None:
        return
    before = [d for d in checker.diagnostics if d.code == "W2009" and d.primary.span == at.span]
    if not before:
        checker.report("W2009", f"`{name}` is deprecated", at, said or None)


def warn_function(checker: Checker, function: FunctionInfo, at: ast.Node) -> None:
    """W2009 for a function or method."""
    said = read_deprecated(function.node.decorators) if function.node else None
    if said is not None:
        warn_deprecated(checker, function.name, at, said)
