"""`concertoc`: the compiler by the name and with the options that existing scripts use."""

from __future__ import annotations

import sys

from concerto.cli.app import OK, guarded
from concerto.cli.arguments import Parser


def main(argv: list[str] | None = None) -> int:
    """Does what `concerto build` does; gives its exit status."""
    args = sys.argv[1:] if argv is None else argv
    return guarded(lambda: _main(args))


def _main(args: list[str]) -> int:
    from concerto import __version__
    from concerto.cli import build

    parser = Parser(prog="concertoc", description="Compile a program; see `concerto build`.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--version", action="version", version=f"concertoc {__version__}")
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: FILE with `.conc-ir`)"
    )
    form.add_argument("--check", action="store_true", help="write nothing")
    for name in ("ir", "tokens", "ast"):
        form.add_argument(
            f"--emit-{name}",
            action="store_const",
            const=name,
            dest="emit",
            help=f"print the {name}",
        )
    options = parser.parse_args(args)
    given = ["--quiet"] if options.quiet else []
    if options.output is not None:
        given += ["--output", options.output]
    if options.emit is not None:
        given += ["--emit", options.emit]
    if options.check:
        given.append("--check-only")
    status = build.main([*given, "--", options.file])
    if options.check and status == OK:
        print("No errors found.")
    return status


if __name__ == "__main__":
    sys.exit(main())
