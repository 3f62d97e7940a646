"""Concerto: a small, typed language for LLM programs.

>>> import concerto
>>> with concerto.Runtime(concerto.compile('fn main() { emit("out", 40 + 2); }')) as runtime:
...     _ = runtime.on("out", print)
...     runtime.run()
42
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concerto._native import MockServer, VirtualClock
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
    from concerto.metrics import CostEstimate, Metrics, TokenUsage
    from concerto.runtime import (
        Buffered,
        Channel,
        Emit,
        EntryPoint,
        Parameter,
        Program,
        Request,
        Run,
        Runtime,
        buffered,
        run_file,
    )
    from concerto.values import Err, Ok, Record, Variant

__version__ = "0.1.0"

#: Where each public name lives: it is loaded when it is first used, so importing the package costs next to nothing.
_HOMES = {
    "concerto._native": ("MockServer", "VirtualClock"),
    "concerto.compiler": ("compile", "compile_file"),
    "concerto.connection": ("ConnectionConfig", "RateLimitConfig", "RetryConfig"),
    "concerto.errors": (
        "CompileError", "ConcertoError", "ConfigError", "HandlerError", "InternalError", "IrError", "LimitError", "LlmError", "PanicError", "ProgramError",
        "RunCancelled",
    ),
    "concerto.metrics": ("CostEstimate", "Metrics", "TokenUsage"),
    "concerto.runtime": (
        "Buffered", "Channel", "Emit", "EntryPoint", "Parameter", "Program", "Request", "Run", "Runtime", "buffered", "run_file",
    ),
    "concerto.values": ("Err", "Ok", "OrderedSet", "Record", "Variant"),
}  # fmt: skip

__all__ = [
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
    "TokenUsage",
    "Variant",
    "VirtualClock",
    "buffered",
    "compile",
    "compile_file",
    "run_file",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), "compile_text" if name == "compile" else name)
    raise AttributeError(f"module 'concerto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
