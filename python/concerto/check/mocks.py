"""`mock` statements: which model, which fields, which values (TE-8, TE-9 of the LLM reference)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import MockInfo
from concerto.check.testing import only_in_tests
from concerto.check.types import Type
from concerto.diagnostics.model import Label, closest, did_you_mean
from concerto.syntax import ast

_FIELDS: dict[str, Type] = {
    "response": t.STRING,
    "responses": t.Array(t.ANY),
    "error": t.STRING,
    "error_kind": t.STRING,
    "chunks": t.Array(t.STRING),
    "tokens_in": t.INT,
    "tokens_out": t.INT,
    "latency_ms": t.INT,
}
_COUNTS = ("tokens_in", "tokens_out", "latency_ms")
_ANSWERS = ("response", "responses", "error")
_HINTS = {
    "text": "response",
    "reply": "response",
    "answer": "response",
    "answers": "responses",
    "replies": "responses",
    "latency": "latency_ms",
    "delay_ms": "latency_ms",
    "kind": "error_kind",
}
#: Of an element of `responses`.
_ELEMENT: dict[str, Type] = {
    "text": t.STRING,
    "error": t.STRING,
    "error_kind": t.STRING,
    "tool_calls": t.Array(t.ANY),
}
#: Of an element of `tool_calls`.
_CALL = ("tool", "args")

N = TypeVar("N", bound=ast.Node)


def check_mock(body: Body, node: ast.Mock) -> None:
    """A `mock` statement: its values are checked as expressions, its keys as those of a block of settings."""
    checker, name = body.checker, node.name.text
    only_in_tests(body, "`mock`", node.name)
    if name not in checker.models and name not in checker.refused:
        help_ = did_you_mean(name, list(checker.models))
        checker.report("E4046", f"`{name}` is no model", node.name, help_)
    given: dict[str, tuple[ast.Name, ast.Expr]] = {}
    for field in node.fields:
        value = _with_bare_keys(body, field.value)
        if _is_field(body, field, given):
            given[field.key.text] = (field.key, value)
            _value(body, field.key.text, value)
    _answers(body, node, given)
    values = tuple((key, value) for key, (_, value) in given.items())
    checker.facts.mocks[id(node)] = MockInfo(name, values)


def _is_field(
    body: Body, field: ast.ConfigField, given: dict[str, tuple[ast.Name, ast.Expr]]
) -> bool:
    checker, key = body.checker, field.key
    if key.text in given:
        first = (Label(given[key.text][0].span, "first here"),)
        checker.report("E4056", f"`{key}` is given twice", key, "keep one of them", first)
    elif key.text == "messages":
        checker.report("E4055", "a mock of a model has no field `messages`", key, "use `responses`")
    elif key.text not in _FIELDS or not field.is_plain:
        hint = _HINTS.get(key.text)
        close = f"did you mean `{hint}`?" if hint else did_you_mean(key.text, list(_FIELDS))
        help_ = close or f"it has: {', '.join(_FIELDS)}"
        checker.report("E4055", f"a mock has no field `{key}`", key, help_)
    else:
        return True
    return False


def _answers(body: Body, node: ast.Mock, given: dict[str, tuple[ast.Name, ast.Expr]]) -> None:
    """E4053, E4054."""
    checker = body.checker
    written = {field.key.text: field.key for field in node.fields}
    answers = [each for each in written if each in _ANSWERS]
    if not answers and all(key in _FIELDS for key in written):
        help_ = 'add `response: ".."`, `responses: [..]` or `error: ".."`'
        checker.report("E4053", f"the mock of `{node.name}` answers nothing", node.name, help_)
    elif len(answers) > 1:
        first, second = answers[0], written[answers[1]]
        related = (Label(written[first].span, "first here"),)
        message = f"a mock has `{first}` or `{second}`, not both"
        checker.report("E4054", message, second, "keep one of them", related)
    elif "error_kind" in given and "error" not in written and "response" in written:
        message = "`error_kind` means nothing without `error`"
        checker.report("E4056", message, given["error_kind"][0], "remove it, or add `error`")


def _value(body: Body, key: str, node: ast.Expr) -> None:
    if key == "responses" and isinstance(node, ast.ArrayLiteral):
        for item in node.items:
            _element(body, item)
        body.checker.facts.types[id(node)] = t.Array(t.ANY)
        return
    _typed(body, f"`{key}`", node, _FIELDS[key])
    if key == "error_kind":
        _kind(body, node)
    value = node.value if isinstance(node, ast.Literal) else None
    if key in _COUNTS and isinstance(value, int) and value < 0:
        body.checker.report("E4056", f"`{key}` must be at least 0", node)


def _element(body: Body, node: ast.Expr) -> None:
    """A text, or a map of what the answer is."""
    from concerto.check.exprs import check_expr

    checker, seen = body.checker, set[object]()
    if not isinstance(node, ast.MapLiteral):
        found = t.resolve(check_expr(body, node, None))
        fits = found in (t.STRING, t.ANY, t.UNKNOWN) or isinstance(found, t.Literals | t.Map)
        if not fits:
            message = f"an answer is a `String` or a map, found `{t.show(found)}`"
            checker.report("E4056", message, node, 'write `"${..}"` or `{ text: .. }`')
        return
    for entry in node.entries:
        key = entry.key.value if isinstance(entry.key, ast.Literal) else None
        _typed(body, "a key", entry.key, t.STRING)
        wanted = _ELEMENT.get(key) if isinstance(key, str) else None
        seen.add(key)
        if key == "tool_calls" and isinstance(entry.value, ast.ArrayLiteral):
            for item in entry.value.items:
                _tool_call(body, item)
            checker.facts.types[id(entry.value)] = t.Array(t.ANY)
            continue
        _typed(body, f"`{key}`", entry.value, wanted or t.ANY)
        if isinstance(key, str) and wanted is None:
            help_ = did_you_mean(key, list(_ELEMENT)) or f"it has: {', '.join(_ELEMENT)}"
            checker.report("E4055", f"an answer has no field `{key}`", entry.key, help_)
        elif key == "error_kind":
            _kind(body, entry.value)
    checker.facts.types[id(node)] = t.Map(t.STRING, t.ANY)
    both = next((each for each in ("text", "tool_calls") if {each, "error"} <= seen), None)
    if both:
        checker.report("E4054", f"an answer has `{both}` or `error`, not both", node, "keep one")
    elif seen <= {"error_kind"}:
        checker.report("E4053", "the answer is empty", node, 'add `text: ".."` or `error: ".."`')


def _tool_call(body: Body, node: ast.Expr) -> None:
    """A map that says which method a model asks for, and with which arguments (TE-13)."""
    from concerto.check.exprs import check_expr

    checker, seen = body.checker, set[object]()
    if not isinstance(node, ast.MapLiteral):
        _typed(body, "a call", node, t.Map(t.STRING, t.ANY))
        return
    for entry in node.entries:
        key = entry.key.value if isinstance(entry.key, ast.Literal) else None
        _typed(body, "a key", entry.key, t.STRING)
        seen.add(key)
        if key == "tool":
            _typed(body, "`tool`", entry.value, t.STRING)
            continue
        check_expr(body, entry.value, t.ANY)
        if key != "args":
            help_ = did_you_mean(str(key), list(_CALL)) or f"it has: {', '.join(_CALL)}"
            checker.report("E4055", f"a call has no field `{key}`", entry.key, help_)
    checker.facts.types[id(node)] = t.Map(t.STRING, t.ANY)
    if "tool" not in seen:
        help_ = 'add `tool: "Tool.method"`'
        checker.report("E4056", "a call names its tool and method", node, help_)


def _kind(body: Body, node: ast.Expr) -> None:
    """The kinds of `LlmError`, where the value is written down."""
    words = list(builtins.LLM_ERROR_KINDS.values())
    if isinstance(node, ast.Literal) and isinstance(node.value, str) and node.value not in words:
        close = closest(node.value, words)
        help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(words)}"
        body.checker.report("E4056", f"unknown kind of error `{node.value}`", node, help_)


def _typed(body: Body, what: str, node: ast.Expr, wanted: Type) -> None:
    """E4056 for a value of another type; one that fits is converted as in any other place."""
    from concerto.check.exprs import check_expr

    found = check_expr(body, node, None)
    steps = t.assign(found, wanted)
    if steps is None:
        message = f"{what} must be `{t.show(wanted)}`, found `{t.show(found)}`"
        body.checker.report("E4056", message, node)
    elif steps:
        body.checker.facts.steps[id(node)] = (steps, wanted)


def _with_bare_keys(body: Body, node: N) -> N:
    """The tree with the bare keys of its maps as texts, as in all blocks of settings."""
    changes: dict[str, Any] = {}
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, ast.Node):
            new: Any = _with_bare_keys(body, value)
        elif isinstance(value, tuple):
            new = tuple(
                _with_bare_keys(body, each) if isinstance(each, ast.Node) else each
                for each in value
            )
            new = value if all(a is b for a, b in zip(value, new, strict=True)) else new
        else:
            continue
        if new is not value:
            changes[item.name] = new
    if isinstance(node, ast.Entry) and isinstance(node.key, ast.PathExpr):
        key = node.key
        in_parentheses = body.checker.source.text[key.span.end :].lstrip().startswith(")")
        if len(key.path.names) == 1 and not in_parentheses:
            changes["key"] = ast.Literal(span=key.span, value=str(key.path))
    return replace(node, **changes) if changes else node
