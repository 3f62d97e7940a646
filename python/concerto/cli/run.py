"""`concerto run`: compile or load a program and execute it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from concerto.cli import overrides
from concerto.cli.app import FAILED, INTERRUPTED, OK, PANIC, USAGE, Exit, command_parser
from concerto.cli.display import display, to_json
from concerto.cli.mock import read_script
from concerto.cli.sources import default_file, load_program
from concerto.cli.traces import source_line
from concerto.errors import ConfigError, LimitError, LlmError, PanicError, ProgramError, TraceFrame
from concerto.execution import Emit, Request
from concerto.program import EntryPoint, Program
from concerto.runtime import Runtime

if TYPE_CHECKING:
    from concerto.project.manifest import Project

#: Channels on which the runtime tells what it does.
_EVENTS = ("pipeline:", "task:", "listen:")

#: What connections that cannot be evaluated have where no server is asked.
_MADE_UP = {"api_key": "replayed", "base_url": "https://replay.invalid/v1"}
#: The level of the logs for each number of `-v`.
_VERBOSE = (None, "info", "debug", "trace")


def main(args: list[str]) -> int:
    """Runs `main`, or a `pub fn` with `--call`."""
    at = args.index("--") if "--" in args else len(args)
    options = _parse(args[:at])
    program, project = load_program(options.file or default_file(options), options)
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
    env = _env_file(options.env) if options.env else None
    try:
        runtime = Runtime(
            program,
            mock=_mock(options.mock),
            env=env,
            execution_timeout=options.timeout,
            max_cost_usd=options.max_cost,
            max_tokens=options.max_tokens,
            # One option for both logs, whose defaults differ.
            log_level=options.log_level or "warn",
            program_log_level=options.log_level or "info",
            args=args[at + 1 :],
            seed=options.seed,
            audit=options.audit,
            record=options.record,
            replay=options.replay,
            **_permissions(options, project),
        )
        made_up = _MADE_UP if options.replay else None
        overrides.apply(runtime, options.override, env, made_up=made_up)
        if options.require_keys:
            runtime._native.require_keys()
        arguments = _arguments(program, options)
    except (ConfigError, ValueError) as error:
        raise Exit(USAGE, f"error: {error}") from None
    try:
        return _execute(runtime, options, arguments)
    finally:
        _print_metrics(runtime, options.metrics)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = command_parser("run")
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a source or compiled file; `-` reads source from standard input",
    )
    parser.add_argument("--call", metavar="NAME", help="call a `pub fn` instead of `main`")
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="K=V",
        help="an argument: JSON or text, `K=@FILE`, or `K=-` for standard input",
    )
    parser.add_argument(
        "--emit", choices=("text", "json", "none"), help="form of emits (default: text)"
    )
    parser.add_argument(
        "--events", action="store_true", help="show what the runtime tells of pipelines and tasks"
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="ask on the terminal what the program asks with `await emit`: JSON or text",
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="show which files, variables, servers and tools the program reaches, before it does",
    )
    overrides.add_option(parser)
    parser.add_argument(
        "--mock",
        nargs="?",
        default=False,
        metavar="SCRIPT",
        help="answer every model call locally; a file of rules (.json or .toml, see docs/mock.md) says what",
    )
    parser.add_argument(
        "--metrics",
        nargs="?",
        const="table",
        choices=("table", "json"),
        help="print what was used, after the run",
    )
    parser.add_argument(
        "--record", metavar="FILE", help="write the traffic of model calls to a file, without keys"
    )
    parser.add_argument(
        "--replay",
        metavar="FILE",
        help="answer model calls from a file that was recorded; no keys are needed",
    )
    parser.add_argument("--trace", metavar="FILE", help=argparse.SUPPRESS, action=_Later)
    parser.add_argument(
        "--env", metavar="FILE", help="read variables from a file; the real environment wins"
    )
    parser.add_argument(
        "--require-keys", action="store_true", help="evaluate all connections first"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="limit of the run")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="limit of what the run costs")
    parser.add_argument(
        "--max-tokens", type=_tokens, metavar="N", help="limit of prompts and answers together"
    )
    parser.add_argument(
        "--offline", action="store_true", help="no network but models on this machine"
    )
    parser.add_argument(
        "--disable-tool",
        action="append",
        default=[],
        metavar="NAME[.METHOD]",
        help="a tool, or a method of one, that nobody may call",
    )
    parser.add_argument("--read-only", action="store_true", help="`std::fs` writes nothing")
    parser.add_argument(
        "--seed", type=_seed, metavar="N", help="repeat the random numbers of another run"
    )
    parser.add_argument("--log-level", choices=("error", "warn", "info", "debug", "trace"))
    # `--metrics FILE` and `--mock FILE` would take the program for their value.
    args = _settled(args, "--metrics", "table", lambda word: word in ("table", "json"))
    args = _settled(args, "--mock", "", lambda word: word.endswith((".json", ".toml")))
    return parser.parse_args(args)


class _Later(argparse.Action):
    """An option that the language's tool chain foresees and this release does not have."""

    def __call__(self, *_: object) -> NoReturn:
        """Refuses it by name."""
        option = self.option_strings[0]
        raise Exit(USAGE, f"error: this release does not have `{option}`")


def _permissions(options: argparse.Namespace, project: Project | None) -> dict[str, Any]:
    """What the program may do: by the manifest, and less by the command line."""
    given = project.permissions if project else {}
    folder = Path(project.source.path).parent if project else Path()
    mode = given.get("fs", "write")
    return {
        "fs_root": folder / given.get("fs_root", "."),
        "fs_mode": "read" if options.read_only and mode == "write" else mode,
        "net_allow": given.get("net"),
        "env_allow": given.get("env"),
        "offline": options.offline,
        "tool_permissions": dict.fromkeys(options.disable_tool, False),
    }


def _settled(
    args: list[str], option: str, usual: str, is_value: Callable[[str], bool]
) -> list[str]:
    """The arguments with a value for `option` where it stands without one."""
    if option not in args:
        return args
    at = args.index(option)
    if at + 1 < len(args) and is_value(args[at + 1]):
        return args
    return [*args[:at], f"{option}={usual}", *args[at + 1 :]]


def _mock(option: bool | str) -> bool | str:
    """What `--mock` asks for: nothing, the usual answers, or those of a script."""
    if isinstance(option, bool) or not option:
        return option is not False
    try:
        return read_script(Path(option))
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{option}`: {error.strerror}") from None


def _tokens(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**64:
        raise ValueError
    return number


def _execute(runtime: Runtime, options: argparse.Namespace, arguments: dict[str, Any]) -> int:
    hidden = () if options.events else _EVENTS

    def on_emit(emit: Emit) -> None:
        if emit.channel.startswith(hidden):
            return
        if options.emit == "text":
            line = f"[emit:{emit.channel}] {display(emit.payload)}"
        else:
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
    except PanicError as error:
        _failure(f"panic: {error}", error.trace, options.debug)
        return PANIC
    except ProgramError as error:
        message = f"error: {error}"
        if (
            isinstance(error, LlmError)
            and error.kind == "config"
            and "environment variable" in str(error)
        ):
            message += "\nhelp: set the variable, or answer every call locally with `--mock`"
        _failure(message, error.trace, options.debug)
        return FAILED
    except LimitError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except (ConfigError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        ran = runtime.get_metrics()
        seconds = ran.execution_time_ms() / 1000
        what = f"{ran.model_calls()} model calls, {ran.emit_count()} emits"
        print(f"interrupted after {seconds:.1f} s: {what}", file=sys.stderr)
        return INTERRUPTED
    if options.call is not None and result is not None:
        print(display(result))
    return OK


def _ask(request: Request) -> Any:
    """A line from the terminal, as the type that the program expects."""
    print(f"{request.channel} ({request.expected})> ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("the terminal has no more lines")
    return _typed(line.rstrip("\r\n"), request.expected)


def _failure(message: str, trace: tuple[TraceFrame, ...], debug: bool) -> None:
    print(message, file=sys.stderr)
    # What fails within the library is placed where the program calls it, too.
    own = next((at for at, frame in enumerate(trace) if frame.path != "std"), 0)
    for frame in trace if debug else trace[: own + 1]:
        print(f"  at {frame}", file=sys.stderr)
        for line in source_line(frame):
            print(f"  {line}", file=sys.stderr)


def _print_metrics(runtime: Runtime, form: str | None) -> None:
    if form == "json":
        print(runtime.get_metrics().to_json(), file=sys.stderr)
    elif form == "table":
        from concerto.cli.metrics import render_table

        print(render_table(runtime.get_metrics()), file=sys.stderr, end="")


def _env_file(path: str) -> dict[str, str]:
    """`NAME=value` lines; what the real environment has wins."""
    import os

    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator:
            raise Exit(USAGE, f"error: {path}:{number}: expected `NAME=value`")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if name.strip() not in os.environ:
            found[name.strip()] = value
    return found


def _arguments(program: Program, options: argparse.Namespace) -> dict[str, Any]:
    """`--arg` options by name: JSON where the parameter is no text, else text."""
    if options.arg and options.call is None:
        raise Exit(USAGE, "error: `--arg` needs `--call`")
    entry = next((e for e in program.entry_points if e.name == options.call), None)
    found: dict[str, Any] = {}
    for option in options.arg:
        name, separator, value = option.partition("=")
        if not separator:
            raise Exit(USAGE, f"error: `--arg` takes K=V, found `{option}`")
        found[name] = _argument(name, value, entry)
    return found


def _argument(name: str, value: str, entry: EntryPoint | None) -> Any:
    if value == "-":
        value = sys.stdin.read()
    elif value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Exit(USAGE, f"error: cannot read `{value[1:]}`: {error}") from None
    types = {parameter.name: parameter.type for parameter in entry.parameters} if entry else {}
    return _typed(value, types.get(name, "String"))


def _typed(text: str, type_: str) -> Any:
    """JSON where a place takes something else than text, if it is some."""
    if type_ == "String" or type_.startswith('"'):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
