"""Tests: what `@test` asks of a function, and the functions that only tests may call (LLM reference 11; `mock` is in `mocks.py`)."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.called import CallTest
from concerto.check.checked import TestInfo
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.types import Type
from concerto.syntax import ast

#: Decorators that `read_test` reads.
DECORATORS = ("test", "expect_fail")

#: Functions that only tests may call: parameters (name, type, default), result, and the instruction.
_FUNCTIONS: dict[str, tuple[tuple[tuple[str, Type, str | bool | None], ...], Type]] = {
    "test_emits": ((("events", t.BOOL, False),), t.Array(builtins.EMIT)),
    "mock_calls": ((("target", t.MODEL, None),), t.Array(builtins.MOCK_CALL)),
    "mock_reply": ((("channel", t.STRING, None), ("value", t.ANY, None)), t.NIL),
    "mock_env": ((("name", t.STRING, None), ("value", t.Option(t.STRING), None)), t.NIL),
    "assert_snapshot": ((("value", t.ANY, None), ("name", t.STRING, "")), t.NIL),
}
NAMES = frozenset(_FUNCTIONS)


def read_test(checker: Checker, item: ast.Function) -> TestInfo | None:
    """What the decorators of a function say of it as a test; None if it is none."""
    given = {each.name.text: each for each in item.decorators if each.name.text in DECORATORS}
    if "test" not in given:
        return None
    _signature(checker, item)
    # Outside of the entry module it is shown as `module::name` (TE-7).
    module, _, name = item.name.text.rpartition("::")
    title = "::".join(filter(None, (module, _text(checker, given["test"]) or name)))
    expect_fail = _text(checker, given["expect_fail"]) if "expect_fail" in given else None
    return TestInfo(title, expect_fail)


def _signature(checker: Checker, item: ast.Function) -> None:
    """E2024."""

    def wrong(what: str, at: ast.Node, help_: str) -> None:
        checker.report("E2024", f"a test {what}", at, help_)

    if item.params:
        wrong("has no parameters", item.params[0], "set up inside what it needs")
    if item.result is not None:
        wrong("has no result", item.result, "use `?` freely: an error fails the test")
    if item.type_params:
        wrong("has no type parameters", item.type_params[0], "test one type at a time")
    if item.name.text == "main":
        wrong("is not called `main`", item.name, "choose another name")


def _text(checker: Checker, decorator: ast.Decorator) -> str:
    """The one text that the decorator may be given; empty without one."""
    if not decorator.args:
        return ""
    arg = decorator.args[0]
    if len(decorator.args) > 1 or arg.name is not None:
        message = f"`@{decorator.name}` takes one text, without a name"
        checker.report("E3032", message, arg.name or decorator.args[1])
        return ""
    value = constant_value(checker, arg.value, t.STRING, "E3032")
    if value == "":
        help_ = f"leave it out: `@{decorator.name}`"
        checker.report("E3032", f"the text of `@{decorator.name}` is empty", arg, help_)
    return value or ""


def refuse_use(checker: Checker, name: str, at: ast.Node) -> Type:
    """E2025."""
    help_ = "move what both need into another function"
    checker.report("E2025", f"`{name}` is a test", at, help_)
    return t.UNKNOWN


def only_in_tests(body: Body, what: str, at: ast.Node) -> None:
    """E2026, outside of a test and the closures in it."""
    around: Body | None = body
    while around is not None and not around.in_test:
        around = around.outer
    if around is None:
        help_ = "move it into a function with `@test`"
        body.checker.report("E2026", f"{what} is for tests only", at, help_)


def test_call(body: Body, node: ast.Call, name: str) -> Type:
    """The type of a call of one of these functions."""
    from concerto.check.model_calls import arguments

    only_in_tests(body, f"`{name}`", node.callee)
    params, result = _FUNCTIONS[name]
    required = sum(default is None for _, _, default in params)
    given = arguments(body, node, name, tuple((n, type_) for n, type_, _ in params), required)
    if given is not None:
        args = tuple(
            arg if arg is not None else default
            for arg, (_, _, default) in zip(given, params, strict=True)
        )
        assert None not in args, "required arguments are there"
        call = CallTest(name, args, result != t.NIL)  # type: ignore[arg-type]  # checked above
        body.checker.facts.calls[id(node)] = call
    return result
