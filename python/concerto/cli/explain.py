"""`concerto explain`: the long text of a diagnostic."""

from __future__ import annotations

from importlib.resources import files

from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.diagnostics.codes import CODES, code_of
from concerto.diagnostics.model import did_you_mean


def main(args: list[str]) -> int:
    """Takes a code or a slug."""
    parser = command_parser("explain")
    parser.add_argument(
        "code", metavar="CODE", help="such as E3001 or conn-duplicate; `all` lists them"
    )
    options = parser.parse_args(args)
    if options.code == "all":
        for code, entry in CODES.items():
            print(f"{code}  {entry.title}" + (f" ({entry.slug})" if entry.slug else ""))
        return OK
    found = code_of(options.code)
    if found is None:
        wanted = options.code.upper()
        slugs = [entry.slug for entry in CODES.values() if entry.slug]
        hint = did_you_mean(wanted, list(CODES)) or did_you_mean(options.code, slugs)
        raise Exit(
            USAGE, f"error: there is no diagnostic `{options.code}`" + (f"\n{hint}" if hint else "")
        )
    print(
        files("concerto.diagnostics").joinpath("pages", f"{found}.md").read_text(encoding="utf-8"),
        end="",
    )
    return OK
