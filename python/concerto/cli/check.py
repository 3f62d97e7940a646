"""`concerto check`: all diagnostics, no output files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from concerto.cli.app import OK, USAGE, Exit, wants_color
from concerto.cli.arguments import command_parser
from concerto.cli.sources import compile_path, default_file, files_of
from concerto.diagnostics.codes import CODES, code_of
from concerto.diagnostics.model import did_you_mean


def main(args: list[str]) -> int:
    """Checks files, or all `.conc` files in folders."""
    parser = command_parser("check")
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; `-` reads standard input"
    )
    parser.add_argument(
        "--deny",
        action="append",
        default=[],
        metavar="CODE",
        help="treat a warning as an error: a code, a slug, or `warnings`",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="CODE",
        help="hide a warning: a code or a slug",
    )
    parser.add_argument(
        "--watch", action="store_true", help="check again whenever a file changes, until Ctrl-C"
    )
    options = parser.parse_args(args)
    options.deny = _codes(options.deny, "--deny")
    options.allow = _codes(options.allow, "--allow")
    if not options.watch:
        return _check(options)
    if "-" in options.paths:
        raise Exit(USAGE, "error: `--watch` needs files: standard input does not change")
    from concerto.cli.watch import again_and_again

    return again_and_again(lambda: _check(options), options)


def _check(options: argparse.Namespace) -> int:
    paths = options.paths or [default_file(options)]
    files = [file for path in paths for file in files_of(path, options)]
    failed = denies = False
    seen: set[tuple[str, ...]] = set()
    read: set[Path] = set()
    for file in files:
        if file not in paths and Path(file).resolve() in read:
            continue  # a module of a program that was checked as a whole
        compiled, project = compile_path(file, options, as_part=True)
        read.update(Path(each).resolve() for each in compiled.files)
        levels = project.lint if project else {}
        kept = []
        for row in compiled.diagnostics:
            if row in seen:  # of a manifest that several files share
                continue
            seen.add(row)
            severity, code = row[0], row[1]
            if severity == "warning" and code in options.allow:
                continue
            # Age is no fault of the program: `warnings` leaves it out.
            denied = code in options.deny or ("warnings" in options.deny and code != "W4016")
            denied = denied or levels.get(code) == "deny"
            failed = failed or severity == "error" or bool(denied)
            denies = denies or bool(denied and severity == "warning")
            if severity == "error" or denied or not options.quiet:
                kept.append(row)
        text = type(compiled)(None, tuple(kept)).render(
            options.format, color=wants_color(options.color)
        )
        # With `--format json` the diagnostics are the data that was asked for.
        (sys.stdout if options.format == "json" else sys.stderr).write(text)
    if denies:
        print("error: a warning above is denied", file=sys.stderr)
    if not failed and options.format == "human" and not options.quiet:
        print("no errors found", file=sys.stderr)
    return USAGE if failed else OK


def _codes(words: list[str], option: str) -> list[str]:
    """Codes for what is written as a code or a slug. Raises `Exit` for anything else, and for an error where only warnings can be meant."""
    found = []
    for word in words:
        code = word if word == "warnings" else code_of(word)
        if code is None or (word == "warnings" and option == "--allow"):
            known = [*CODES, *(entry.slug for entry in CODES.values() if entry.slug)]
            hint = did_you_mean(word, known) or "`concerto explain all` lists them"
            raise Exit(USAGE, f"error: `{option} {word}`: there is no such diagnostic\n{hint}")
        if code.startswith("E"):
            raise Exit(USAGE, f"error: `{option} {word}`: {code} is an error, no warning")
        found.append(code)
    return found
