"""What is fed, and what must not happen: a traceback, a panic, a crash, a hang, unbounded memory."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import concerto
from concerto.compiler import compile_source
from concerto.diagnostics.render import render
from concerto.program import Program
from concerto.runtime import Runtime
from concerto.source import Source
from concerto.syntax.format import format_module
from concerto.syntax.parser import parse

from tests.fuzz.inputs import damaged_document, damaged_program, noise, token_soup

#: Seconds of the processor that one input may take: a busy machine is no fault of it.
LIMIT = 10.0


@contextmanager
def limited() -> Iterator[None]:
    """Ends what takes too long; native code that holds the interpreter is ended by the process that watches."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"one input took more than {LIMIT} seconds")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def compiles_or_says_why(text: str) -> None:
    """The front end takes any text: a program, or diagnostics with places inside of it."""
    source = Source("t.conc", text)
    ir, diagnostics = compile_source(source, embed_source=False)
    assert (ir is None) == any(d.is_error for d in diagnostics) or not diagnostics
    assert len([d for d in diagnostics if d.code.startswith("E1")]) <= 21
    for diagnostic in diagnostics:
        assert 0 <= diagnostic.primary.span.start <= diagnostic.primary.span.end <= len(text) + 1
    render(diagnostics)
    if ir is not None:
        Program.from_bytes(ir)
        module, _ = parse(source)
        assert repr(parse(Source("t.conc", format_module(module)))[0]) == repr(module)


def loads_and_runs_or_says_why(data: bytes) -> None:
    """Any bytes: refused, or a program that ends, fails, panics, or breaks in an orderly way."""
    try:
        program = Program.from_bytes(data)
    except concerto.IrError:
        return
    program.listing()
    assert Program.from_bytes(program.to_bytes()).to_bytes() == program.to_bytes()
    runtime = Runtime(program, mock=True, env={}, env_allow=[], execution_timeout=0.05)
    entries: list[str | None] = [None] if program.has_main else []
    entries += [entry.name for entry in program.entry_points if not entry.parameters]
    for name in entries[:2]:
        # A value that is nested too deep for Python is a RecursionError.
        with suppress(concerto.ConcertoError, RecursionError):
            runtime.observe(name, {}, lambda emit: None, lambda text: None)


TARGETS: dict[str, tuple[Callable[[Random], Any], Callable[[Any], None]]] = {
    "noise": (noise, compiles_or_says_why),
    "tokens": (token_soup, compiles_or_says_why),
    "programs": (damaged_program, compiles_or_says_why),
    "documents": (damaged_document, loads_and_runs_or_says_why),
}
