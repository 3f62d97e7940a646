"""Decorators of models: `@retry`, `@timeout` and `@log` (library reference 8). They become fields of the model."""

from __future__ import annotations

from typing import Any

from concerto.check.checker import Checker
from concerto.check.decorator_arguments import (
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


def read_model_decorators(
    checker: Checker, node: ast.Model, fields: dict[str, Any], policy: Span | None
) -> None:
    """Adds what the decorators of a model say to its fields. `policy` is the place of its `retry_policy`."""
    for decorator in read_decorators(checker, node.decorators, _ALLOWED):
        name = decorator.name.text
        if name == "deprecated":
            check_deprecated(checker, decorator)
            continue
        if name == "cache":
            checker.not_yet("the decorator `@cache`", decorator)
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
            case _:
                fields["log"] = log_channel(checker, given)
