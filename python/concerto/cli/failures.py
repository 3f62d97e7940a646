"""What `concerto run` says of a program that failed."""

from __future__ import annotations

import sys

from concerto.cli.app import FAILED, PANIC, USAGE
from concerto.cli.traces import source_line
from concerto.errors import ConfigError, LimitError, LlmError, PanicError, ProgramError, TraceFrame


def status_of(error: Exception, *, debug: bool) -> int:
    """Tells what went wrong, and gives the exit status; raises the error again if the program has nothing to do with it."""
    match error:
        case PanicError():
            _failure(f"panic: {error}", error.trace, debug)
            return PANIC
        case ProgramError():
            message = f"error: {error}"
            is_config = isinstance(error, LlmError) and error.kind == "config"
            if is_config and "environment variable" in str(error):
                message += "\nhelp: set the variable, or answer every call locally with `--mock`"
            _failure(message, error.trace, debug)
            return FAILED
        case LimitError():
            print(f"error: {error}", file=sys.stderr)
            return FAILED
        case ConfigError() | TypeError():
            print(f"error: {error}", file=sys.stderr)
            return USAGE
        case _:
            raise error


def _failure(message: str, trace: tuple[TraceFrame, ...], debug: bool) -> None:
    print(message, file=sys.stderr)
    # What fails within the library is placed where the program calls it, too.
    own = next((at for at, frame in enumerate(trace) if frame.path != "std"), 0)
    for frame in trace if debug else trace[: own + 1]:
        print(f"  at {frame}", file=sys.stderr)
        for line in source_line(frame):
            print(f"  {line}", file=sys.stderr)
