"""`concerto fmt`: canonical form."""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.cli.app import FAILED, OK, USAGE, Exit, wants_color
from concerto.cli.arguments import command_parser
from concerto.cli.sources import open_project
from concerto.source import Source

if TYPE_CHECKING:
    from concerto.diagnostics.model import Diagnostic


def main(args: list[str]) -> int:
    """Formats files, or all `.conc` files in folders; by default those of the project."""
    parser = command_parser("fmt")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files or folders (default: the project, else the current folder); `-` formats standard input to standard output",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file would change"
    )
    parser.add_argument(
        "--diff", action="store_true", help="write nothing; print what would change"
    )
    options = parser.parse_args(args)
    status = changed = 0
    files = [file for path in options.paths or [_project(options)] for file in _files(path)]
    for file in files:
        found = _format(file, options)
        if found is None:
            status = USAGE
        elif _deliver(file, *found, options):
            changed += 1
    if not options.quiet and "-" not in files and not options.diff:
        said = "would change" if options.check else "changed"
        print(f"{changed} of {len(files)} files {said}", file=sys.stderr)
    return status or (FAILED if changed and (options.check or options.diff) else OK)


def _project(options: argparse.Namespace) -> str:
    """The folder of the manifest, else the current one."""
    project, _ = open_project(".", options)
    return str(Path(project.source.path).parent) if project is not None else "."


def _files(path: str) -> list[str]:
    if path == "-" or not Path(path).is_dir():
        return [path]
    found = [
        str(file)
        for file in sorted(Path(path).rglob("*.conc"))
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise Exit(USAGE, f"error: there is no `.conc` file in `{path}`")
    return found


def _format(path: str, options: argparse.Namespace) -> tuple[str, str] | None:
    """The text of a file before and after; None if it cannot be formatted, which is reported."""
    from concerto.compiler import read_source
    from concerto.diagnostics.render import render, render_json, render_short
    from concerto.syntax.format_source import CannotFormat, format_source

    project, _ = open_project(path if path != "-" else ".", options)
    try:
        if path == "-":
            source: Source | None = Source("<stdin>", sys.stdin.read())
            diagnostics: list[Diagnostic] = []
        else:
            source, diagnostics = read_source(Path(path))
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    text = None
    if source is not None:
        try:
            text, diagnostics = format_source(source, project.line_width if project else 100)
        except CannotFormat as error:
            print(f"error: {path}:{error.line}: {error}", file=sys.stderr)
            return None
    if source is None or text is None:
        render_as = {"short": render_short, "json": render_json}.get(options.format)
        color = wants_color(options.color)
        sys.stderr.write(render_as(diagnostics) if render_as else render(diagnostics, color=color))
        return None
    return source.text, text


def _deliver(path: str, before: str, after: str, options: argparse.Namespace) -> bool:
    """Writes or shows the outcome; gives whether the file changes."""
    if options.diff:
        lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
        sys.stdout.writelines(difflib.unified_diff(*lines, path, path))
    elif path == "-" and not options.check:
        sys.stdout.write(after)
    elif before != after and options.check:
        print(path)
    elif before != after:
        _write(Path(path), after)
    return before != after


def _write(path: Path, text: str) -> None:
    """Replaces a file at once, so that an interruption leaves the old one."""
    target = path.resolve()
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, delete=False) as file:
            file.write(text.encode("utf-8"))
        shutil.copymode(target, file.name)
        os.replace(file.name, target)
    except OSError as error:
        raise Exit(USAGE, f"error: cannot write `{path}`: {error.strerror}") from None
