"""Which argument of a call is for which parameter (language reference 10.1): positional ones first, then named ones in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concerto.check.bodies import Body
from concerto.check.checked import ParamInfo
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast


@dataclass(slots=True)
class Placed:
    """The argument of each parameter, None where there is none; those that belong to no parameter; whether all is right."""

    slots: list[ast.Expr | None]
    left: list[ast.Expr]
    is_right: bool = True


def place_arguments(
    body: Body, node: ast.Call, name: str, params: Sequence[ParamInfo | tuple[str, bool]]
) -> Placed:
    """Places the arguments of a call of `name`, whose parameters are given as such or by name and whether they may be left out. Reports E3032."""
    checker, before = body.checker, len(body.checker.diagnostics)
    known = [
        (each.name, each.has_default) if isinstance(each, ParamInfo) else each for each in params
    ]
    names = [each for each, _ in known]
    placed = Placed([None] * len(known), [])
    for position, arg in enumerate(node.args):
        word = arg.name.text if arg.name is not None else None
        slot = position if word is None else names.index(word) if word in names else None
        by_sign = _by_sign(body, arg.value, names) if word is None else None
        if by_sign is not None:
            message = f"the argument of `{by_sign}` stands behind `:`"
            checker.report("E3032", message, arg, f"write `{by_sign}: ..`")
            continue
        if slot is None:
            help_ = did_you_mean(word or "", names) or _takes(names)
            message = f"`{name}` has no parameter `{word}`"
            checker.report("E3032", message, arg.name or arg, help_)
        elif slot >= len(names):
            _wrong_count(body, node, name, known, arg)
        elif placed.slots[slot] is not None:
            checker.report("E3032", f"`{names[slot]}` is given twice", arg)
        else:
            placed.slots[slot] = arg.value
            continue
        placed.left.append(arg.value)
    missing = [
        word
        for (word, has_default), value in zip(known, placed.slots, strict=True)
        if value is None and not has_default
    ]
    if missing and len(checker.diagnostics) == before:
        help_ = f"it needs {' and '.join(f'`{each}`' for each in missing)}"
        _wrong_count(body, node, name, known, node, help_)
    placed.is_right = len(checker.diagnostics) == before
    return placed


def _by_sign(body: Body, value: ast.Expr, names: list[str]) -> str | None:
    """The parameter of `f(x = 1)`, as other languages have it, unless a variable of the name is assigned."""
    if not isinstance(value, ast.Assign) or value.op or not isinstance(value.place, ast.PathExpr):
        return None
    name = str(value.place.path)
    return name if name in names and body.find(name) is None else None


def _takes(names: list[str]) -> str:
    shown = " and ".join(f"`{each}`" for each in names)
    return (
        f"its parameter{'s are' if len(names) > 1 else ' is'} {shown}" if names else "it has none"
    )


def _wrong_count(
    body: Body,
    node: ast.Call,
    name: str,
    params: list[tuple[str, bool]],
    at: ast.Node,
    help_: str | None = None,
) -> None:
    least = sum(not has_default for _, has_default in params)
    count = f"{least}" if least == len(params) else f"{least} to {len(params)}"
    shown = f" ({', '.join(each for each, _ in params)})" if params else ""
    plural = "" if count == "1" else "s"
    if name in ("assert_eq", "assert_ne") and len(node.args) > len(params):
        help_ = "both values are shown; with a text of your own write `assert(a == b, text)`"
    message = f"`{name}` takes {count} argument{plural}{shown}, found {len(node.args)}"
    body.checker.report("E3032", message, at, help_)
