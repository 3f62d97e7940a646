"""The modules of `std`: what a path into them means, and calls of their functions (library reference 1.2 and 4)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from concerto.check import builtins, library
from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body
from concerto.check.called import CallLibrary
from concerto.check.checked import ConstantName, FunctionInfo, FunctionName
from concerto.check.std_types import PARSE_AS, check_maker, check_parse_as
from concerto.check.tasks import is_async_function
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

#: Constants by module and name.
CONSTANTS: dict[tuple[str, str], tuple[Type, int | float]] = {
    ("math", "PI"): (t.FLOAT, math.pi),
    ("math", "E"): (t.FLOAT, math.e),
    ("math", "INT_MAX"): (t.INT, 2**63 - 1),
    ("math", "INT_MIN"): (t.INT, -(2**63)),
    ("math", "INFINITY"): (t.FLOAT, math.inf),
    ("math", "NAN"): (t.FLOAT, math.nan),
}


def modules() -> tuple[str, ...]:
    """The names of all modules."""
    return (*library.modules(), "collections")


def members(module: str) -> list[str]:
    """Functions and constants of a module; none if there is no such module."""
    if module == "collections":
        return list(builtins.COLLECTIONS)
    if module not in modules():
        return []
    others = [name for own, name in (*CONSTANTS, PARSE_AS) if own == module]
    return [*library.functions(module), *others]


def behind(path: ast.Path) -> tuple[str, ...] | None:
    """What stands behind `std` in a path; None if it does not lead there."""
    first, *rest = (name.text for name in path.names)
    return tuple(rest) if first == "std" and rest else None


def problem(names: Sequence[str]) -> tuple[str, str | None] | None:
    """What is wrong with a path below `std`, and how to mend it; None if it names a module or a member of one."""
    module, *rest = names
    if module not in modules():
        help_ = did_you_mean(module, list(modules()))
        help_ = help_ or f"there are {', '.join(modules())}"
        return f"there is no module `std::{module}`", help_
    if len(rest) > 1 or (rest and rest[0] not in members(module)):
        near = did_you_mean("::".join(rest), members(module))
        return f"there is no `{'::'.join(rest)}` in `std::{module}`", near
    return None


def check_std_path(body: Body, node: ast.Node, names: Sequence[str], expected: Type | None) -> Type:
    """The type of a constant or a function as a value; `names` stand behind `std`."""
    checker = body.checker
    wrong = problem(names)
    if wrong is None and len(names) == 1:
        wrong = f"`std::{names[0]}` is a module, no value", f"write `{names[0]}::..`"
    if wrong is not None:
        checker.report("E2001", wrong[0], node, wrong[1])
        return t.UNKNOWN
    module, name = names
    if module == "collections":
        checker.report("E2001", f"`{name}` is a type, no value", node, f"write `{name}::new()`")
        return t.UNKNOWN
    if (module, name) in CONSTANTS:
        type_, value = CONSTANTS[module, name]
        checker.facts.names[id(node)] = ConstantName(type_, value)
        return type_
    return check_library_value(body, node, library.load(checker, module, name), expected)


def check_library_value(
    body: Body, node: ast.Node, forms: list[FunctionInfo], expected: Type | None
) -> Type:
    """The type of a function of the library as a value; of several forms it is the one that fits where it goes."""
    wanted = t.resolve(expected) if expected is not None else None
    for function in forms:
        types, result = library.meanings(function)
        found = t.Function(tuple(types), result)
        if len(forms) == 1 or (
            isinstance(wanted, t.Function) and t.assign(found, wanted) is not None
        ):
            body.checker.facts.names[id(node)] = FunctionName(function)
            return found
    message = "this function is written for several types"
    help_ = "say which where it goes, `let f: fn(Int) -> Int = ..`, or call it in a closure"
    body.checker.report("E3019", message, node, help_)
    return t.UNKNOWN


def check_std_call(
    body: Body, node: ast.Call, path: ast.Path, names: Sequence[str], expected: Type | None
) -> Type:
    """The type of a call of `std::..`; `names` stand behind `std`."""
    from concerto.check.calls import check_all

    checker = body.checker
    if names[0] == "collections" and len(names) > 1 and names[1] in builtins.COLLECTIONS:
        return check_maker(body, node, path, tuple(names), expected)
    wrong = problem(names)
    if wrong is None and len(names) == 1:
        wrong = f"`std::{names[0]}` is a module, no function", f"write `{names[0]}::..(..)`"
    if wrong is None and tuple(names) in CONSTANTS:
        checker.report("E3009", f"`{names[-1]}` is a constant", path, "remove the `()`")
    elif wrong is not None:
        checker.report("E2001", wrong[0], path, wrong[1])
    elif tuple(names) == PARSE_AS:
        return check_parse_as(body, node, expected)
    else:
        forms = library.load(checker, *names)
        if tuple(names) == ("task", "timeout") and _is_async(body, node):
            forms = library.load(checker, "task", "_timeout_of_future")
        return _call(body, node, names[-1], forms)
    check_all(body, node)
    return t.UNKNOWN


def _is_async(body: Body, node: ast.Call) -> bool:
    """Whether the function that is given to `std::task::timeout` makes a future, which is what is limited then."""
    value = node.args[-1].value if node.args else None
    for arg in node.args:
        value = arg.value if arg.name is not None and arg.name.text == "f" else value
    if isinstance(value, ast.Closure):
        return value.is_async
    if not isinstance(value, ast.PathExpr) or len(value.path.names) != 1:
        return False
    local = body.find(str(value.path))
    if local is not None:
        type_ = t.resolve(local.type)
        return isinstance(type_, t.Function) and isinstance(t.resolve(type_.result), t.Future)
    return is_async_function(body, value)


def check_own(body: Body, node: ast.Call, name: str) -> Type:
    """A call of a function that is there for the methods only."""
    return _call(body, node, name, library.load(body.checker, library.METHODS, name))


def _call(body: Body, node: ast.Call, name: str, forms: list[FunctionInfo]) -> Type:
    if node.type_args:
        body.checker.report("E3017", f"`{name}` takes no type arguments", node)
    if len(forms) > 1:
        return _chosen(body, node, name, forms)
    function = forms[0]
    types, result = library.meanings(function)
    slots = library.bind_arguments(body, node, name, function.params, types)
    _constant_arguments(body, function, slots)
    body.checker.facts.calls[id(node)] = CallLibrary(function, tuple(slots))
    return result


def _constant_arguments(body: Body, function: FunctionInfo, slots: list[ast.Expr | None]) -> None:
    """What a call says when its arguments are written out: the variables that it reads, places without a value."""
    match function.name, slots:
        case (
            "std::env::get" | "std::env::require" | "std::env::has",
            [ast.Literal(value=str(name))],
        ):
            body.checker.env.add(name)
        case "std::fmt::format", [
            ast.Literal(value=str(template)) as text,
            ast.ArrayLiteral() as args,
        ]:
            _check_format(body, text, template, args)
        case _:
            pass


def _check_format(body: Body, text: ast.Expr, template: str, args: ast.ArrayLiteral) -> None:
    """E3032 for a place without an argument, W3014 for an argument without a place."""
    wanted: set[int] = set()
    following = 0
    for found in re.finditer(r"\{\{\}\}|\{([0-9]*)\}", template):
        if found[0] != "{{}}":
            wanted.add(int(found[1]) if found[1] else following)
            following += not found[1]
    given = len(args.items)
    missing = sorted(at for at in wanted if at >= given)
    if missing:
        message = f"the template wants argument {missing[0]}, but there are {given}"
        body.checker.report("E3032", message, text, "arguments count from 0")
    for at, arg in enumerate(args.items):
        if at not in wanted:
            message = "the template has no place for this argument"
            body.checker.report("W3014", message, arg, "add `{}` where it goes")


def _chosen(body: Body, node: ast.Call, name: str, forms: list[FunctionInfo]) -> Type:
    """A call of a function that is written for several types: the first form that the arguments fit."""
    from concerto.check.exprs import check_expr

    checker = body.checker
    placed = place_arguments(body, node, name, forms[0].params)
    for value in placed.left:
        check_expr(body, value, None)
    given = [
        (slot, value, t.resolve(check_expr(body, value, None)))
        for slot, value in enumerate(placed.slots)
        if value is not None
    ]

    def fits(form: FunctionInfo) -> bool:
        return all(t.assign(type_, form.params[slot].type) is not None for slot, _, type_ in given)

    form = next((form for form in forms if fits(form)), forms[-1])
    slots: list[ast.Expr | None] = [None] * len(form.params)
    for slot, value, type_ in given:
        slots[slot] = value
        wanted = form.params[slot].type
        steps = t.assign(type_, wanted)
        if steps is None:
            checker.mismatch(wanted, type_, value)
        elif steps:
            checker.facts.steps[id(value)] = (steps, wanted)
    checker.facts.calls[id(node)] = CallLibrary(form, tuple(slots))
    return form.result
