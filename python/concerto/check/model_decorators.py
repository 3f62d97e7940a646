"""Decorators of models: `@retry`, `@timeout`, `@log` and `@cache` (library reference 8). They become fields of the model."""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.decorators import read_decorators
from concerto.check.types import Type
from concerto.diagnostics.model import Label, closest, did_you_mean
from concerto.source import Span
from concerto.syntax import ast

_ALLOWED = frozenset(("retry", "timeout", "log", "cache"))
_ARGUMENTS: dict[str, dict[str, Type]] = {
    "retry": {
        "max": t.INT,
        "backoff": t.STRING,
        "delay_ms": t.INT,
        "max_delay_ms": t.INT,
        "on": t.Array(t.STRING),
    },
    "timeout": {"seconds": t.FLOAT, "ms": t.INT, "scope": t.STRING},
    "log": {"channel": t.STRING},
    "cache": {"ttl_seconds": t.INT, "max_entries": t.INT},
}
_BACKOFFS = ("none", "linear", "exponential")
_CLASSES = ("rate_limit", "server_error", "timeout")
_LONGEST_MS = 86_400_000
_LONGEST_TTL = 31_536_000

#: The arguments of a decorator: value and place of each.
_Given = dict[str, tuple[Any, ast.Argument]]


def read_model_decorators(
    checker: Checker, node: ast.Model, fields: dict[str, Any], policy: Span | None
) -> None:
    """Adds what the decorators of a model say to its fields. `policy` is the place of its `retry_policy`."""
    for decorator in read_decorators(checker, node.decorators, _ALLOWED):
        name = decorator.name.text
        given = _arguments(checker, decorator, _ARGUMENTS[name])
        if given is None:
            continue
        match name:
            case "retry":
                if policy is not None:
                    first = (Label(policy, "first here"),)
                    message = "the model has a `retry_policy` already"
                    checker.report("E4028", message, decorator, "keep one of them", first)
                else:
                    fields["retry_policy"] = _retry(checker, given)
            case "timeout":
                deadline = _timeout(checker, decorator, given)
                if deadline is not None:
                    fields["deadline_ms"] = deadline
            case "cache":
                cache = _cache(checker, decorator, given)
                if cache is not None:
                    fields["cache"] = cache
            case _:
                fields["log"] = _channel(checker, given)


def _wrong(checker: Checker, message: str, at: ast.Node, help_: str | None = None) -> None:
    checker.report("E3032", message, at, help_)


def _arguments(
    checker: Checker, decorator: ast.Decorator, params: dict[str, Type]
) -> _Given | None:
    """The arguments by name; None if one is wrong, which is reported."""
    name, names = decorator.name.text, list(params)
    given: _Given = {}
    errors = len(checker.diagnostics)
    for position, arg in enumerate(decorator.args):
        if arg.name is not None and arg.name.text not in params:
            help_ = did_you_mean(arg.name.text, names) or f"it has: {', '.join(names)}"
            _wrong(checker, f"`@{name}` has no argument `{arg.name}`", arg.name, help_)
            continue
        if arg.name is None and position >= len(names):
            _wrong(
                checker,
                f"`@{name}` takes at most {len(names)} argument{'s' if len(names) != 1 else ''}",
                arg,
            )
            continue
        word = arg.name.text if arg.name else names[position]
        if word in given:
            _wrong(checker, f"`{word}` is given twice", arg)
            continue
        given[word] = (constant_value(checker, arg.value, params[word], "E3032"), arg)
    return given if len(checker.diagnostics) == errors else None


def _in_range(checker: Checker, given: _Given, name: str, low: int, high: int) -> None:
    if name in given:
        value, arg = given[name]
        if not low <= value <= high:
            _wrong(checker, f"`{name}` must be {low} to {high}, found {value}", arg)


def _retry(checker: Checker, given: _Given) -> dict[str, Any]:
    """A policy as `retry_policy` has it (C-67, C-76): what is not written keeps its default there, apart from attempts and backoff."""
    _in_range(checker, given, "max", 1, 100)
    _in_range(checker, given, "delay_ms", 0, 600_000)
    _in_range(checker, given, "max_delay_ms", 0, 3_600_000)
    policy: dict[str, Any] = {"max_attempts": 3, "backoff": "exponential"}
    names = {"max": "max_attempts", "delay_ms": "initial_delay_ms", "on": "retry_on"}
    for word, (value, _) in given.items():
        policy[names.get(word, word)] = value
    if "backoff" in given:
        backoff, arg = given["backoff"]
        if backoff not in _BACKOFFS:
            close = closest(backoff, list(_BACKOFFS))
            help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_BACKOFFS)}"
            _wrong(checker, f"unknown backoff `{backoff}`", arg, help_)
    first, most = policy.get("initial_delay_ms"), policy.get("max_delay_ms")
    if first is not None and most is not None and most < first:
        _wrong(checker, "`max_delay_ms` is below `delay_ms`", given["max_delay_ms"][1])
    for each in dict.fromkeys(policy.get("retry_on", [])):
        if each not in _CLASSES:
            close = closest(each, list(_CLASSES))
            help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_CLASSES)}"
            _wrong(checker, f"unknown retry class `{each}`", given["on"][1], help_)
    return policy


def _timeout(checker: Checker, decorator: ast.Decorator, given: _Given) -> int | None:
    """The limit of a whole call (C-60), in milliseconds."""
    if "scope" in given and given["scope"][0] != "total":
        help_ = "set the field `timeout` for one attempt"
        _wrong(checker, "the `scope` of a model's `@timeout` is total", given["scope"][1], help_)
    if ("seconds" in given) == ("ms" in given):
        _wrong(
            checker,
            "`@timeout` takes `seconds` or `ms`",
            decorator,
            "write `@timeout(seconds: 30)`",
        )
        return None
    value, arg = given["seconds"] if "seconds" in given else given["ms"]
    limit = round(value * 1000) if "seconds" in given else value
    if not 1 <= limit <= _LONGEST_MS:
        _wrong(checker, f"the limit must be 1 ms to one day, found {value}", arg)
        return None
    return int(limit)


def _cache(checker: Checker, decorator: ast.Decorator, given: _Given) -> dict[str, int] | None:
    """How long answers are kept, in seconds, and how many."""
    if "ttl_seconds" not in given:
        help_ = "write how long answers are kept: `@cache(ttl_seconds: 300)`"
        _wrong(checker, "`@cache` needs `ttl_seconds`", decorator, help_)
        return None
    _in_range(checker, given, "ttl_seconds", 1, _LONGEST_TTL)
    _in_range(checker, given, "max_entries", 1, 1_000_000)
    return {"max_entries": 1000} | {word: value for word, (value, _) in given.items()}


def _channel(checker: Checker, given: _Given) -> str:
    value, arg = given.get("channel", ("log", None))
    if value == "" and arg is not None:
        checker.report("E4052", "the name of a channel is empty", arg)
    return str(value)
