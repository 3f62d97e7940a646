"""Methods that take functions: they are written in the language itself, in `library.conc`.

So their callbacks are ordinary calls, which may suspend, raise and panic as everywhere. A function gets into a program when the program uses it; the
types that it is written for are opaque in it, and variables at its call.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from concerto.check import types as t
from concerto.check.bodies import Body, check_function
from concerto.check.checked import CallLibrary, FunctionInfo
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.source import Source
from concerto.syntax import ast

LETTERS = ("T", "U", "K", "V", "E")
_ALIASES = {"array_fold": "array_reduce"}
#: Methods that change their receiver, and whether they have a value besides.
_CHANGE = {"array_sort_by": False, "map_update": True}


@cache
def source() -> Source:
    """The text of the library."""
    text = files("concerto.check").joinpath("library.conc").read_text(encoding="utf-8")
    return Source("std", text)


@cache
def _places() -> dict[str, tuple[int, int]]:
    """Where each function stands."""
    text = source().text
    found = [(match.group(1), match.start()) for match in re.finditer(r"^fn (\w+)", text, re.M)]
    ends = [start for _, start in found[1:]] + [len(text)]
    return {name: (start, end) for (name, start), end in zip(found, ends, strict=True)}


def method_names(table: str) -> list[str]:
    """The methods of a built-in type that stand here."""
    prefix = f"{table.lower()}_"
    names = [*_places(), *_ALIASES]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def find(checker: Checker, table: str, name: str) -> FunctionInfo | None:
    """A method, checked at its first use."""
    key = f"{table.lower()}_{name}"
    key = _ALIASES.get(key, key)
    if key in checker.library:
        return checker.library[key]
    if key not in _places():
        return None
    return _load(checker, key)


def _load(checker: Checker, key: str) -> FunctionInfo:
    from concerto.check.collect import declare_function
    from concerto.syntax.parser import parse

    start, end = _places()[key]
    # Spaces in front keep the positions.
    text = " " * start + source().text[start:end]
    module, problems = parse(Source("std", text))
    assert not problems, problems
    node = module.items[0]
    assert isinstance(node, ast.Function)
    own = Checker(Source("std", text), module)
    own.facts, own.library = checker.facts, checker.library
    own.opaque = {letter: t.Opaque(letter) for letter in LETTERS}
    declare_function(own, node)
    function = own.functions[key]
    checker.library[key] = function
    checker.kept.append(module)
    check_function(own, function, node)
    assert not own.diagnostics, own.diagnostics
    return function


def changes(function: FunctionInfo) -> bool:
    """Whether a method changes its receiver."""
    return function.name in _CHANGE


def call_method(
    body: Body,
    node: ast.Call,
    receiver: ast.Expr,
    letters: dict[str, Type],
    function: FunctionInfo,
) -> Type:
    """The type of a call; closures are checked after the other arguments, which tell the types of their parameters."""
    from concerto.check.exprs import check_expr
    from concerto.check.places import must_be_mutable

    meaning = {letter: letters.get(letter, t.Var()) for letter in LETTERS}
    params = [t.substitute(param.type, meaning) for param in function.params]
    names = [param.name for param in function.params[1:]]
    method = function.name.split("_", 1)[1]
    args: list[ast.Expr | None] = [None] * len(names)
    for position, arg in enumerate(node.args):
        slot = position
        if arg.name is not None:
            slot = names.index(arg.name.text) if arg.name.text in names else len(names)
        if slot < len(names):
            args[slot] = arg.value
    if len(node.args) != len(names) or None in args:
        plural = "s" if len(names) != 1 else ""
        count = f"{len(names)} argument{plural} ({', '.join(names)})"
        message = f"`{method}` takes {count}, found {len(node.args)}"
        body.checker.report("E3032", message, node)
    for late in (False, True):
        for param, value in zip(params[1:], args, strict=True):
            if value is not None and isinstance(t.resolve(param), t.Function) is late:
                check_expr(body, value, param)
    result = t.substitute(function.result, meaning)
    if changes(function):
        must_be_mutable(body, receiver, "changed")
    given = tuple(arg for arg in args if arg is not None)
    has_value = _CHANGE.get(function.name, True)
    call = CallLibrary(function, receiver, given, changes(function), has_value)
    body.checker.facts.calls[id(node)] = call
    if not call.changes:
        return result
    return t.resolve(result).items[1] if has_value else t.NIL  # type: ignore[union-attr]  # a pair
