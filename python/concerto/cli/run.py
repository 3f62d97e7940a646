"""`concerto run`: compile or load a program and execute it."""

from __future__ import annotations

import os
import sys

from concerto.cli.app import INTERRUPTED, OK, USAGE, Exit, SharedOptions
from concerto.cli.compiled import is_compiled, load_compiled
from concerto.runtime import Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from concerto.execution import Emit, Request
    from concerto.program import Program
    from concerto.project.manifest import Project

#: Channels on which the runtime tells what it does.
_EVENTS = ("pipeline:", "task:", "listen:")

#: What connections that cannot be evaluated have where no server is asked.
_MADE_UP = {"api_key": "replayed", "base_url": "https://replay.invalid/v1"}
#: The level of the logs for each number of `-v`.
_VERBOSE = (None, "info", "debug", "trace")


class RunOptions(SharedOptions):
    """What the command was asked for, with the defaults of its options."""

    file: str | None = None
    call: str | None = None
    emit: str | None = None
    events = False
    interactive = False
    audit = False
    mock: bool | str = False
    metrics: str | None = None
    record: str | None = None
    replay: str | None = None
    env: str | None = None
    require_keys = False
    timeout: float | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    offline = False
    read_only = False
    seed: int | None = None
    log_level: str | None = None

    def __init__(self) -> None:
        self.arg: list[str] = []
        self.override: list[str] = []
        self.disable_tool: list[str] = []


def main(args: list[str]) -> int:
    """Runs `main`, or a `pub fn` with `--call`."""
    at = args.index("--") if "--" in args else len(args)
    options = _options(args[:at])
    program, project = _program(options)
    defaults = project.run if project else {}
    if options.timeout is None:
        options.timeout = defaults.get("timeout")
    if options.max_cost is None:
        options.max_cost = defaults.get("max_cost")
    if options.max_tokens is None:
        options.max_tokens = defaults.get("max_tokens")
    options.emit = options.emit or defaults.get("emit", "text")
    options.log_level = (
        options.log_level or _VERBOSE[min(options.verbose, 3)] or defaults.get("log_level")
    )
    if options.call is None and not program.has_main:
        raise Exit(
            USAGE,
            "error[E2016]: the program has nothing to run\nadd `fn main()`, or call a `pub fn` with `--call`",
        )
    try:
        runtime, arguments = _prepared(program, project, options, args[at + 1 :])
    except ValueError as error:  # a `ConfigError` is one
        raise Exit(USAGE, f"error: {error}") from None
    try:
        return _execute(runtime, options, arguments)
    finally:
        _print_metrics(runtime, options.metrics)


def _options(args: list[str]) -> RunOptions:
    """What the arguments ask for. A file alone needs no parser, whose making takes as long as the start of a program."""
    if len(args) != 1 or args[0].startswith("-"):
        from concerto.cli.run_arguments import parse

        return parse(args)
    options = RunOptions()
    options.file = args[0]
    return options


def _program(options: RunOptions) -> tuple[Program, Project | None]:
    """The program; with its manifest, if it was compiled here."""
    if options.file and is_compiled(options.file):
        return load_compiled(options.file, options), None
    from concerto.cli.sources import default_file, load_program

    return load_program(options.file or default_file(options), options)


def _prepared(
    program: Program, project: Project | None, options: RunOptions, argv: list[str]
) -> tuple[Runtime, dict[str, Any]]:
    """A runtime with all that was asked for, and the arguments of the call."""
    env = None
    if options.env:
        from concerto.cli.run_arguments import env_file

        env = env_file(options.env)
    asked = {
        "mock": _mock(options.mock),
        "env": env,
        "execution_timeout": options.timeout,
        "max_cost_usd": options.max_cost,
        "max_tokens": options.max_tokens,
        # One option for both logs, whose defaults differ.
        "log_level": options.log_level,
        "program_log_level": options.log_level,
        "args": argv or None,
        "seed": options.seed,
        "audit": options.audit,
        "record": options.record,
        "replay": options.replay,
        **_permissions(options, project),
    }
    given = {
        name: value for name, value in asked.items() if value is not None and value is not False
    }
    runtime = Runtime(program, **given)
    if options.override or options.replay:
        from concerto.cli import overrides

        made_up = _MADE_UP if options.replay else None
        overrides.apply(runtime, options.override, env, made_up=made_up)
    if options.require_keys:
        runtime._native.require_keys()
    if not options.arg:
        return runtime, {}
    from concerto.cli.run_arguments import arguments

    return runtime, arguments(program, options)


def _mock(option: bool | str) -> bool | str:
    """What `--mock` asks for: nothing, the usual answers, or those of a script."""
    if isinstance(option, bool) or not option:
        return option is not False
    from concerto.cli.run_arguments import script

    return script(option)


def _permissions(options: RunOptions, project: Project | None) -> dict[str, Any]:
    """What the program may do: by the manifest, and less by the command line."""
    given = project.permissions if project else {}
    root = None
    if project:
        root = os.path.join(os.path.dirname(project.source.path), given.get("fs_root", "."))
    mode = given.get("fs")
    if options.read_only and mode != "none":
        mode = "read"
    return {
        "fs_root": root,
        "fs_mode": mode,
        "net_allow": given.get("net"),
        "env_allow": given.get("env"),
        "offline": options.offline,
        "tool_permissions": dict.fromkeys(options.disable_tool, False) or None,
    }


def _execute(runtime: Runtime, options: RunOptions, arguments: dict[str, Any]) -> int:
    hidden = () if options.events else _EVENTS

    def on_emit(emit: Emit) -> None:
        if emit.channel.startswith(hidden):
            return
        from concerto.cli.display import display, to_json

        if options.emit == "text":
            line = f"[emit:{emit.channel}] {display(emit.payload)}"
        else:
            import json

            line = json.dumps(
                {"channel": emit.channel, "payload": to_json(emit.payload), "ts": emit.time},
                ensure_ascii=False,
            )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def on_print(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def nothing(_emit: Emit) -> None:
        return

    # Nobody types into a pipe.
    asks = _ask if options.interactive and sys.stdin.isatty() else None
    try:
        result = runtime.observe(
            options.call, arguments, nothing if options.emit == "none" else on_emit, on_print, asks
        )
    except KeyboardInterrupt:
        ran = runtime.get_metrics()
        seconds = ran.execution_time_ms() / 1000
        what = f"{ran.model_calls()} model calls, {ran.emit_count()} emits"
        print(f"interrupted after {seconds:.1f} s: {what}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        from concerto.cli.failures import status_of

        return status_of(error, debug=options.debug)
    if options.call is not None and result is not None:
        from concerto.cli.display import display

        print(display(result))
    return OK


def _ask(request: Request) -> Any:
    """A line from the terminal, as the type that the program expects."""
    print(f"{request.channel} ({request.expected})> ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("the terminal has no more lines")
    from concerto.cli.run_arguments import typed

    return typed(line.rstrip("\r\n"), request.expected)


def _print_metrics(runtime: Runtime, form: str | None) -> None:
    if form == "json":
        print(runtime.get_metrics().to_json(), file=sys.stderr)
    elif form == "table":
        from concerto.cli.metrics import render_table

        print(render_table(runtime.get_metrics()), file=sys.stderr, end="")
