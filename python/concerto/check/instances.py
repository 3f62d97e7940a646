"""Generic functions become code once for each list of type arguments. Here it is found out that this comes to an end, and that types are known where they must be."""

from __future__ import annotations

from dataclasses import replace

from concerto.check import library
from concerto.check import types as t
from concerto.check.checked import FunctionInfo, Need, Use
from concerto.check.checker import Checker
from concerto.check.generics import LONGEST, add_schema
from concerto.check.traits import dispatch
from concerto.check.types import Type


def check_instances(checker: Checker) -> None:
    """E3019, and what the type arguments of a typed call of a model may not be."""
    pending = list(checker.uses)
    judged = 0
    seen: set[tuple[int, tuple[Type, ...]]] = set()
    grown: set[int] = set()
    while pending or judged < len(checker.schemas):
        while judged < len(checker.schemas):
            pending += _validators(checker, checker.schemas[judged])
            judged += 1
        if not pending:
            break
        use = pending.pop(0)
        args = tuple(t.settled(arg) for arg in use.args)
        if any(t.contains(arg, t.UNKNOWN) for arg in args):
            continue
        if use.function.owner is checker.traits["Error"] and t.is_error(args[0]):
            library.load(checker, library.METHODS, "error_message")
        try:
            function, args = dispatch(checker, use.function, args)
        except LookupError:
            continue  # a bound that does not hold, which was reported
        key = (id(function), args)
        if key in seen or id(function) in grown:
            continue
        seen.add(key)
        if any(len(t.show(arg)) > LONGEST for arg in args):
            grown.add(id(function))
            message = f"the type arguments of `{function.name}` grow without end"
            checker.report(
                "E3019", message, use.node, "call it with the same ones inside of itself"
            )
            continue
        pending += _inside(checker, function, args, use)


def _validators(checker: Checker, schema: t.Struct) -> list[Use]:
    """The validators of a generic schema with its type arguments."""
    validators = checker.structs[schema.name].validators
    return [Use(each, schema.args, each.node) for each in validators if each.node is not None]


def _inside(
    checker: Checker, function: FunctionInfo, args: tuple[Type, ...], use: Use
) -> list[Use]:
    """What a function uses with these type arguments; problems are those of the place that fixed them."""
    meaning = t.meaning(function.type_params, args)
    for need in function.needs:
        _meet(checker, need, t.substitute(t.settled(need.type), meaning), use)
    return [
        replace(
            inner,
            args=tuple(t.substitute(t.settled(arg), meaning) for arg in inner.args),
            node=use.node,
        )
        for inner in function.uses
    ]


def _meet(checker: Checker, need: Need, type_: Type, use: Use) -> None:
    from concerto.check.model_calls import check_answer

    if type_ == t.ANY:
        message = f"`{need.what}` needs a type that is known: `{t.show(need.type)}` is never fixed"
        checker.report("E3019", message, use.node, "state it: `f<Name>(..)`")
        return
    check_answer(checker, type_, use.node)
    add_schema(checker, type_, use.node)
