"""The arguments of `concerto run`, and what they stand for. A run of a compiled program without options does not load this module."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from concerto.cli import overrides
from concerto.cli.app import USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.mock import read_script
from concerto.cli.run import RunOptions

if TYPE_CHECKING:
    from concerto.interface import EntryPoint
    from concerto.program import Program


def parse(args: list[str]) -> RunOptions:
    """Reads the arguments in front of `--`."""
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
    return parser.parse_args(args, namespace=RunOptions())


class _Later(argparse.Action):
    """An option that the language's tool chain foresees and this release does not have."""

    def __call__(self, *_: object) -> NoReturn:
        """Refuses it by name."""
        option = self.option_strings[0]
        raise Exit(USAGE, f"error: this release does not have `{option}`")


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


def script(path: str) -> str:
    """The rules of `--mock FILE`. Raises `Exit` if they cannot be read."""
    try:
        return read_script(Path(path))
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None


def env_file(path: str) -> dict[str, str]:
    """`NAME=value` lines; what the real environment has wins."""
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


def arguments(program: Program, options: RunOptions) -> dict[str, Any]:
    """`--arg` options by name: JSON where the parameter is no text, else text."""
    if options.call is None:
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
    return typed(value, types.get(name, "String"))


def typed(text: str, type_: str) -> Any:
    """JSON where a place takes something else than text, if it is some."""
    if type_ == "String" or type_.startswith('"'):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
