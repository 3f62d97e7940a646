"""Calls of the library in generated programs: what does nothing but ask for a native, of types that are easily written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from concerto.check import library
from concerto.check import types as t
from concerto.check.checked import FunctionInfo
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.source import Source
from concerto.syntax.parser import parse

_SIMPLE = (t.INT, t.FLOAT, t.STRING, t.BOOL, t.RANGE)
#: Whose last digit the C libraries of systems do not agree on, and what only a world can answer.
_INEXACT = (
    *("exp", "ln", "log10", "log2", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "hypot"),
    *("pow", "cbrt"),
)
#: What may fail on purpose, or grow beyond measure.
_WILD = (
    "repeat",
    "step_by",
    "reversed",
    "clamp",
    "to_string_radix",
    "count",
    "indent",
    "stringify_pretty",
)


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """A function by its path, or a method by its name."""

    name: str
    params: tuple[Type, ...]
    result: Type
    is_method: bool


@cache
def library_calls() -> tuple[LibraryCall, ...]:
    """All that can be called with values that are easily written."""
    source = Source("t.conc", "")
    checker = Checker(source, parse(source)[0])
    made = []
    for file in (library.METHODS, "math", "string", "fmt", "json", "crypto", "time"):
        for name in library.functions(file):
            for form in library.load(checker, file, name):
                if _is_fit(form, name.split("_", 1)[-1] if file == library.METHODS else name):
                    made.append(_call(form, file, name))
    return tuple(made)


def _is_fit(form: FunctionInfo, name: str) -> bool:
    types = [t.resolve(param.type) for param in form.params]
    is_native = form.direct is not None and form.direct[0] == "native"
    return (
        is_native
        and all(type_ in (*_SIMPLE, t.ANY) for type_ in types)
        and name not in _INEXACT + _WILD
    )


def _call(form: FunctionInfo, file: str, name: str) -> LibraryCall:
    types = tuple(param.type for param in form.params)
    if file == library.METHODS:
        return LibraryCall(name.split("_", 1)[1], types, form.result, True)
    return LibraryCall(f"std::{file}::{name}", types, form.result, False)
