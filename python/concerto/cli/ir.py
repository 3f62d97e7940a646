"""`concerto ir`: list the compiled form of a program."""

from __future__ import annotations

import json

from concerto.cli.app import OK, command_parser
from concerto.cli.sources import default_file, load_program


def main(args: list[str]) -> int:
    """Loads and verifies, then prints."""
    parser = command_parser("ir")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a source or compiled file")
    parser.add_argument("--verify", action="store_true", help="only verify")
    parser.add_argument("--json", action="store_true", help="print the document itself, indented")
    parser.add_argument(
        "--permissions", action="store_true", help="print what the program may ask for"
    )
    options = parser.parse_args(args)
    program, _ = load_program(options.file or default_file(options), options)
    if options.verify:
        print("the program is well formed")
    elif options.permissions:
        env, hosts = program.permissions
        print(json.dumps({"env": env, "hosts": hosts}, indent=1))
    elif options.json:
        print(json.dumps(json.loads(program.to_bytes()), indent=1, ensure_ascii=False))
    else:
        print(program.listing(), end="")
    return OK
