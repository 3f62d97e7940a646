"""Commands, and what happens when something goes wrong."""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

#: Command, its one-line help, and an example.
COMMANDS = {
    "run": ("compile (or load) a program and run it", "concerto run main.conc --mock"),
    "check": ("report everything that is wrong with programs", "concerto check main.conc"),
    "test": ("run the tests of programs", "concerto test --filter judge"),
    "build": ("write the compiled form of a program", "concerto build main.conc -o main.conc-ir"),
    "fmt": ("write programs in their canonical form", "concerto fmt --check src"),
    "init": ("start a project", "concerto init my-bot --provider ollama"),
    "ir": ("list the compiled form of a program", "concerto ir main.conc"),
    "connections": (
        "show the settings of each connection and where they come from",
        "concerto connections --profile staging",
    ),
    "doctor": ("look for what is wrong with this installation and project", "concerto doctor"),
    "explain": ("explain a diagnostic code", "concerto explain E3001"),
    "mock": ("serve a mock provider on this machine", "concerto mock --port 8080"),
    "local": ("serve a small real model on this machine", "concerto local --install"),
}

OK, FAILED, USAGE, PANIC, INTERRUPTED = 0, 1, 2, 101, 130


class Exit(Exception):  # noqa: N818 - it is no error by itself
    """Ends the command with a status, after a message on standard error."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class SharedOptions:
    """The options that all commands share, with their defaults."""

    quiet = False
    verbose = 0
    color = "auto"
    format = "human"
    manifest: str | None = None
    profile: str | None = None
    debug = False


def run(args: list[str]) -> int:
    """Runs a command."""
    return guarded(lambda: _command(args), debug="--debug" in args)


def _command(args: list[str]) -> int:
    if not args or args[0].startswith("-"):
        from concerto.cli.arguments import main_parser

        options = main_parser().parse_args(args[:1] if args and args[0] != "--version" else [])
        if not args or options.command is None:
            main_parser().print_help()
            return USAGE if not args else OK
    if args[0] not in COMMANDS:
        from concerto.diagnostics.model import did_you_mean

        hint = did_you_mean(args[0], list(COMMANDS)) or f"commands: {', '.join(COMMANDS)}"
        raise Exit(USAGE, f"error: there is no command `{args[0]}`\n{hint}")
    status: int = import_module(f"concerto.cli.{args[0]}").main(args[1:])
    return status


def guarded(command: Callable[[], int], *, debug: bool = False) -> int:
    """The exit status of a command. No mistake of a user ends in a traceback; a bug of this tool does with `debug`."""
    try:
        status = command()
        sys.stdout.flush()
        return status
    except Exit as end:
        if str(end):
            print(end, file=sys.stderr)
        return end.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        print(
            f"error: internal error: {kind}: {error}\nthis is a bug of concerto; run again with `--debug` for the trace",
            file=sys.stderr,
        )
        return FAILED


def wants_color(option: str, stream: TextIO | None = None) -> bool:
    """Whether text for a stream (default: standard error) is coloured: `--color`, else a terminal without `NO_COLOR`."""
    if option != "auto":
        return option == "always"
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")
