"""Concerto: a small, typed language for LLM programs.

>>> import concerto
>>> with concerto.Runtime(concerto.compile('fn main() { emit("out", 40 + 2); }')) as runtime:
...     _ = runtime.on("out", print)
...     runtime.run()
42
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = (
    False  # `typing` takes longer to load than the rest of what a compiled program needs
)
if TYPE_CHECKING:
    from typing import Any

    from concerto._native import MockServer, VirtualClock
    from concerto.aio import AsyncRun, AsyncRuntime
    from concerto.compiler import check_text as check
    from concerto.compiler import compile_file
    from concerto.compiler import compile_text as compile
    from concerto.connection import ConnectionConfig, RateLimitConfig, RetryConfig
    from concerto.errors import (
        CompileError,
        ConcertoError,
        ConfigError,
        HandlerError,
        InternalError,
        IrError,
        LimitError,
        LlmError,
        PanicError,
        ProgramError,
        RunCancelled,
    )
    from concerto.execution import Emit, Request, Run
    from concerto.interface import Channel, EntryPoint, Parameter
    from concerto.metrics import CostEstimate, Metrics, TokenUsage
    from concerto.options import Buffered, RuntimeOptions, buffered
    from concerto.program import Program
    from concerto.runtime import Runtime, run_file
    from concerto.values import Err, Ok, OrderedSet, Record, Variant

__version__ = "0.1.0"

#: Where each public name lives: it is loaded when it is first used, so importing the package costs next to nothing.
_HOMES = {
    "concerto.aio": ("AsyncRun", "AsyncRuntime"),
    "concerto._native": ("MockServer", "VirtualClock"),
    "concerto.compiler": ("check", "compile", "compile_file"),
    "concerto.connection": ("ConnectionConfig", "RateLimitConfig", "RetryConfig"),
    "concerto.errors": (
        "CompileError", "ConcertoError", "ConfigError", "HandlerError", "InternalError", "IrError", "LimitError", "LlmError", "PanicError", "ProgramError",
        "RunCancelled",
    ),
    "concerto.execution": ("Emit", "Request", "Run"),
    "concerto.metrics": ("CostEstimate", "Metrics", "TokenUsage"),
    "concerto.options": ("Buffered", "RuntimeOptions", "buffered"),
    "concerto.interface": ("Channel", "EntryPoint", "Parameter"),
    "concerto.program": ("Program",),
    "concerto.runtime": ("Runtime", "run_file"),
    "concerto.values": ("Err", "Ok", "OrderedSet", "Record", "Variant"),
}  # fmt: skip

__all__ = [
    "AsyncRun",
    "AsyncRuntime",
    "Buffered",
    "Channel",
    "CompileError",
    "ConcertoError",
    "ConfigError",
    "ConnectionConfig",
    "CostEstimate",
    "Emit",
    "EntryPoint",
    "Err",
    "HandlerError",
    "InternalError",
    "IrError",
    "LimitError",
    "LlmError",
    "Metrics",
    "MockServer",
    "Ok",
    "OrderedSet",
    "PanicError",
    "Parameter",
    "Program",
    "ProgramError",
    "RateLimitConfig",
    "Record",
    "Request",
    "RetryConfig",
    "Run",
    "RunCancelled",
    "Runtime",
    "RuntimeOptions",
    "TokenUsage",
    "Variant",
    "VirtualClock",
    "buffered",
    "check",
    "compile",
    "compile_file",
    "run_file",
]


#: Public names that are others at home: `compile` is a built-in function, `check` a package.
_RENAMED = {"check": "check_text", "compile": "compile_text"}


class _Package(ModuleType):
    """This package. `concerto.check` is the function, also after the package `concerto.check` has been imported, which would else take its place."""

    @property
    def check(self) -> Any:
        return __getattr__("check")

    @check.setter
    def check(self, package: ModuleType) -> None:
        """The import system sets it."""


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), _RENAMED.get(name, name))
    raise AttributeError(f"module 'concerto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
