"""Decorators of models: `@retry`, `@timeout`, `@log` and `@cache` (library reference 8). They become fields of the model."""

from __future__ import annotations

from typing import Any

from concerto.check.checker import Checker
from concerto.check.decorator_arguments import (
    Given,
    in_range,
    log_channel,
    read_arguments,
    retry_policy,
    time_limit,
    wrong,
)
from concerto.check.decorators import check_deprecated, read_decorators
from concerto.diagnostics.model import Label
from concerto.source import Span
from concerto.syntax import ast

_ALLOWED = frozenset(("deprecated", "retry", "timeout", "log", "cache"))
_LONGEST_TTL = 31_536_000


def read_model_decorators(
    checker: Checker, node: ast.Model, fields: dict[str, Any], policy: Span | None
) -> None:
    """Adds what the decorators of a model say to its fields. `policy` is the place of its `retry_policy`."""
    for decorator in read_decorators(checker, node.decorators, _ALLOWED):
        name = decorator.name.text
        if name == "deprecated":
            check_deprecated(checker, decorator)
            continue
        given = read_arguments(checker, decorator)
        if given is None:
            continue
        match name:
            case "retry":
                if policy is not None:
                    first = (Label(policy, "first here"),)
                    message = "the model has a `retry_policy` already"
                    checker.report("E4028", message, decorator, "keep one of them", first)
                else:
                    fields["retry_policy"] = retry_policy(checker, given, of_calls=True)
            case "timeout":
                if "scope" in given and given["scope"][0] == "attempt":
                    message = "the `scope` of a model's `@timeout` is total"
                    help_ = "set the field `timeout` for one attempt"
                    wrong(checker, message, given["scope"][1], help_)
                deadline = time_limit(checker, decorator, given)
                if deadline is not None:
                    fields["deadline_ms"] = deadline
            case "cache":
                cache = _cache(checker, decorator, given)
                if cache is not None:
                    fields["cache"] = cache
            case _:
                fields["log"] = log_channel(checker, given)


def _cache(checker: Checker, decorator: ast.Decorator, given: Given) -> dict[str, int] | None:
    """How long answers are kept, in seconds, and how many."""
    if "ttl_seconds" not in given:
        help_ = "write how long answers are kept: `@cache(ttl_seconds: 300)`"
        wrong(checker, "`@cache` needs `ttl_seconds`", decorator, help_)
        return None
    in_range(checker, given, "ttl_seconds", 1, _LONGEST_TTL)
    in_range(checker, given, "max_entries", 1, 1_000_000)
    return {"max_entries": 1000} | {word: value for word, (value, _) in given.items()}
