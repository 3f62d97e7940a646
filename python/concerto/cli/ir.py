"""`concerto ir`: list the compiled form of a program, or compare it with that of another."""

from __future__ import annotations

import argparse
import difflib
import json
import sys

from concerto.cli.app import FAILED, OK
from concerto.cli.arguments import command_parser
from concerto.cli.sources import default_file, load_program
from concerto.program import Program


def main(args: list[str]) -> int:
    """Loads and verifies, then prints."""
    parser = command_parser("ir")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a source or compiled file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--verify", action="store_true", help="only verify")
    form.add_argument("--json", action="store_true", help="print the document itself, indented")
    form.add_argument(
        "--permissions", action="store_true", help="print what the program may ask for"
    )
    form.add_argument(
        "--diff", metavar="OTHER", help="print what the listing of another one has else; exit 1"
    )
    options = parser.parse_args(args)
    path = options.file or default_file(options)
    program, _ = load_program(path, options)
    if options.verify:
        print("the program is well formed")
    elif options.permissions:
        env, hosts = program.permissions
        print(json.dumps({"env": env, "hosts": hosts}, indent=1))
    elif options.json:
        print(json.dumps(json.loads(program.to_bytes()), indent=1, ensure_ascii=False))
    elif options.diff is not None:
        return _diff(path, program, options)
    else:
        print(program.listing(), end="")
    return OK


def _diff(path: str, program: Program, options: argparse.Namespace) -> int:
    other, _ = load_program(options.diff, options)
    listings = [each.listing().splitlines(keepends=True) for each in (program, other)]
    lines = list(difflib.unified_diff(listings[0], listings[1], path, options.diff))
    sys.stdout.writelines(lines)
    return FAILED if lines else OK
