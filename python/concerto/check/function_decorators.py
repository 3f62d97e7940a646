"""Decorators of functions and stages: `@retry`, `@timeout` and `@log` (library reference 8). They become layers around the body."""

from __future__ import annotations

from concerto.check import builtins, library
from concerto.check import types as t
from concerto.check.checked import FunctionInfo, Layers, Raise, Retry
from concerto.check.checker import Checker
from concerto.check.decorator_arguments import (
    log_channel,
    read_arguments,
    retry_policy,
    time_limit,
)
from concerto.syntax import ast

LAYERS = ("retry", "timeout", "log")


def read_function_decorators(checker: Checker) -> None:
    """Gives each function and method of the program its layers. What may not stand there was reported."""
    for function in checker.declared_functions():
        if function.node is None or function.node.body is None:
            continue
        layers = read_layers(checker, function.node.decorators)
        if layers is not None and _fits(checker, function, layers):
            function.layers = layers


def read_layers(checker: Checker, decorators: tuple[ast.Decorator, ...]) -> Layers | None:
    """What decorators say; None if there are none, or if one is wrong, which is reported."""
    found = Layers()
    seen: set[str] = set()
    errors = len(checker.diagnostics)
    for decorator in decorators:
        name = decorator.name.text
        if name not in LAYERS or name in seen:
            continue
        seen.add(name)
        given = read_arguments(checker, decorator)
        if given is None:
            continue
        match name:
            case "retry":
                policy = retry_policy(checker, given, of_calls=False)
                found.retry = Retry(
                    policy["max_attempts"],
                    policy["backoff"],
                    policy.get("initial_delay_ms", 1000),
                    policy.get("max_delay_ms", 30_000),
                    tuple(policy.get("retry_on", ())),
                )
            case "timeout":
                limit = time_limit(checker, decorator, given)
                if "scope" in given and given["scope"][0] == "attempt":
                    found.attempt_ms = limit
                else:
                    found.total_ms = limit
            case _:
                found.log = log_channel(checker, given)
        found.places[name] = decorator
    return found if found.places and len(checker.diagnostics) == errors else None


def _fits(checker: Checker, function: FunctionInfo, layers: Layers) -> bool:
    """Whether the function can fail as its layers want it to."""
    result = t.resolve(function.result)
    if result == t.UNKNOWN:
        return False
    if "retry" in layers.places and not isinstance(result, t.Result):
        message = "`@retry` is for functions that return a `Result`"
        help_ = f"`{function.name}` returns `{t.show(result)}`: it cannot fail"
        checker.report("E2018", message, layers.places["retry"], help_)
        return False
    # Of a function without a Result the limit is an uncaught error.
    layers.late = Raise("fail")
    if "timeout" in layers.places and isinstance(result, t.Result):
        steps = t.assign(builtins.TIMEOUT_ERROR, result.err)
        if steps is None:
            message = f"`TimeoutError` does not convert to `{t.show(result.err)}`"
            help_ = f"let `{function.name}` return `Result<{t.show(result.ok)}, Error>`"
            checker.report("E3035", message, layers.places["timeout"], help_)
            return False
        layers.late = Raise("return", steps, result.err)
    load_layers(checker, layers)
    return True


def load_layers(checker: Checker, layers: Layers) -> None:
    """The functions of the library that the layers are made of."""
    wanted = {
        "retry": (layers.retry is not None, library.METHODS, "_retry"),
        "log": (layers.log is not None, library.METHODS, "_log"),
        "once": (layers.log is not None and layers.retry is None, library.METHODS, "_once"),
        "timeout": (layers.attempt_ms or layers.total_ms, "task", "timeout"),
    }
    for name, (is_used, file, function) in wanted.items():
        if is_used:
            (layers.functions[name],) = library.load(checker, file, function)
