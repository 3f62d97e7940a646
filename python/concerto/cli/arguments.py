"""How the arguments of all commands are read, and the options that they share."""

from __future__ import annotations

import argparse
from typing import NoReturn

from concerto.cli.app import COMMANDS, USAGE, Exit


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments as all else that goes wrong."""

    def error(self, message: str) -> NoReturn:
        """Ends the command."""
        raise Exit(USAGE, f"error: {message}\nsee `{self.prog} --help`")


def main_parser() -> Parser:
    """The parser of the tool itself, without a command."""
    lines = "\n".join(f"  {name:<11} {text}" for name, (text, _) in COMMANDS.items())
    parser = Parser(
        prog="concerto",
        description="Write, check and run LLM programs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"commands:\n{lines}\n\n`concerto COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", metavar="COMMAND")
    return parser


def command_parser(name: str) -> Parser:
    """The parser of one command, with the options that all share."""
    text, example = COMMANDS[name]
    parser = Parser(
        prog=f"concerto {name}",
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: {example}",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings")
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="say how each program was compiled; `run` logs more with each further -v",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour in diagnostics (default: on a terminal)",
    )
    parser.add_argument(
        "--format", choices=("human", "short", "json"), default="human", help="form of diagnostics"
    )
    parser.add_argument(
        "--manifest", metavar="FILE", help="instead of the `Concerto.toml` nearest to the program"
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="a profile of the manifest (default: the variable CONCERTO_PROFILE)",
    )
    parser.add_argument(
        "--debug", action="store_true", help="traces of errors, and of bugs of this tool"
    )
    return parser
