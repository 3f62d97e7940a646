"""Arguments of `@retry`, `@timeout` and `@log`, which models, functions and stages have in common (library reference 8)."""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.types import Type
from concerto.diagnostics.model import closest, did_you_mean
from concerto.syntax import ast

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
_SCOPES = ("total", "attempt")
_LONGEST_MS = 86_400_000

#: The arguments of a decorator: value and place of each.
Given = dict[str, tuple[Any, ast.Argument]]


def wrong(checker: Checker, message: str, at: ast.Node, help_: str | None = None) -> None:
    """E3032."""
    checker.report("E3032", message, at, help_)


def read_arguments(checker: Checker, decorator: ast.Decorator) -> Given | None:
    """The arguments by name; None if one is wrong, which is reported."""
    name = decorator.name.text
    params = _ARGUMENTS[name]
    names = list(params)
    given: Given = {}
    errors = len(checker.diagnostics)
    for position, arg in enumerate(decorator.args):
        if arg.name is not None and arg.name.text not in params:
            help_ = did_you_mean(arg.name.text, names) or f"it has: {', '.join(names)}"
            wrong(checker, f"`@{name}` has no argument `{arg.name}`", arg.name, help_)
            continue
        if arg.name is None and position >= len(names):
            wrong(
                checker,
                f"`@{name}` takes at most {len(names)} argument{'s' if len(names) != 1 else ''}",
                arg,
            )
            continue
        word = arg.name.text if arg.name else names[position]
        if word in given:
            wrong(checker, f"`{word}` is given twice", arg)
            continue
        given[word] = (constant_value(checker, arg.value, params[word], "E3032"), arg)
    return given if len(checker.diagnostics) == errors else None


def in_range(checker: Checker, given: Given, name: str, low: int, high: int) -> None:
    """E3032 for a number outside of its range."""
    if name in given:
        value, arg = given[name]
        if not low <= value <= high:
            wrong(checker, f"`{name}` must be {low} to {high}, found {value}", arg)


def retry_policy(checker: Checker, given: Given, *, of_calls: bool) -> dict[str, Any]:
    """A policy as `retry_policy` has it (C-67, C-76): what is not written keeps its default there, apart from attempts and backoff.

    `of_calls` fail in classes; what functions fail with has any kind.
    """
    in_range(checker, given, "max", 1, 100)
    in_range(checker, given, "delay_ms", 0, 600_000)
    in_range(checker, given, "max_delay_ms", 0, 3_600_000)
    policy: dict[str, Any] = {"max_attempts": 3, "backoff": "exponential"}
    names = {"max": "max_attempts", "delay_ms": "initial_delay_ms", "on": "retry_on"}
    for word, (value, _) in given.items():
        policy[names.get(word, word)] = value
    if "backoff" in given:
        backoff, arg = given["backoff"]
        if backoff not in _BACKOFFS:
            close = closest(backoff, list(_BACKOFFS))
            help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_BACKOFFS)}"
            wrong(checker, f"unknown backoff `{backoff}`", arg, help_)
    first, most = policy.get("initial_delay_ms"), policy.get("max_delay_ms")
    if first is not None and most is not None and most < first:
        wrong(checker, "`max_delay_ms` is below `delay_ms`", given["max_delay_ms"][1])
    for each in dict.fromkeys(policy.get("retry_on", []) if of_calls else []):
        if each not in _CLASSES:
            close = closest(each, list(_CLASSES))
            help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_CLASSES)}"
            wrong(checker, f"unknown retry class `{each}`", given["on"][1], help_)
    return policy


def time_limit(checker: Checker, decorator: ast.Decorator, given: Given) -> int | None:
    """The limit in milliseconds."""
    if "scope" in given and given["scope"][0] not in _SCOPES:
        scope, arg = given["scope"]
        help_ = 'write "total" or "attempt"'
        wrong(checker, f"unknown scope `{scope}`", arg, help_)
    if ("seconds" in given) == ("ms" in given):
        wrong(
            checker,
            "`@timeout` takes `seconds` or `ms`",
            decorator,
            "write `@timeout(seconds: 30)`",
        )
        return None
    value, arg = given["seconds"] if "seconds" in given else given["ms"]
    limit = round(value * 1000) if "seconds" in given else value
    if not 1 <= limit <= _LONGEST_MS:
        wrong(checker, f"the limit must be 1 ms to one day, found {value}", arg)
        return None
    return int(limit)


def log_channel(checker: Checker, given: Given) -> str:
    """Where the records go."""
    value, arg = given.get("channel", ("log", None))
    if value == "" and arg is not None:
        checker.report("E4052", "the name of a channel is empty", arg)
    return str(value)
