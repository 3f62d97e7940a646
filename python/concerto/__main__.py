"""The command line: `concerto` and `python -m concerto`."""

from __future__ import annotations

import sys

#: Commands whose process ends when a compilation has.
_SHORT = ("check", "build", "fmt")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; gives the exit status."""
    args = sys.argv[1:] if argv is None else argv
    if args == ["--version"]:  # answered without loading anything else
        from concerto import __version__

        print(f"concerto {__version__}")  # noqa: T201 - requested output
        return 0
    if argv is None and args and args[0] in _SHORT and "--watch" not in args:
        from concerto.garbage import no_collector

        no_collector()
    from concerto.cli.app import run

    return run(args)


if __name__ == "__main__":
    sys.exit(main())
