"""`concerto init`: a new project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.project.scaffold import CannotCreate, create, files, project_name
from concerto.project.templates import PROVIDERS, TEMPLATES


def main(args: list[str]) -> int:
    """Writes a manifest, a program and what belongs to them; all files, or none."""
    parser = command_parser("init")
    parser.add_argument("name", metavar="NAME", help="the new folder; `.` is the current one")
    parser.add_argument(
        "-p", "--provider", choices=tuple(PROVIDERS), default="openai", help="default: openai"
    )
    parser.add_argument(
        "--template", choices=tuple(TEMPLATES), default="minimal", help="default: minimal"
    )
    parser.add_argument(
        "--connections",
        choices=("source", "manifest"),
        default="source",
        help="where the connection is declared (default: source)",
    )
    parser.add_argument("--git", action="store_true", help="start a git repository as well")
    options = parser.parse_args(args)
    folder = Path(options.name)
    name = project_name(folder.resolve().name)
    if not name:
        raise Exit(USAGE, f"error: `{options.name}` has no letters to name a project by")
    if options.git and shutil.which("git") is None:
        raise Exit(USAGE, "error: `--git` needs git, which is not installed")
    in_manifest = options.connections == "manifest"
    content = files(name, options.provider, options.template, in_manifest=in_manifest)
    try:
        create(folder, content)
    except CannotCreate as error:
        raise Exit(USAGE, f"error: {error}; nothing was written") from None
    if options.git and not (folder / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    for each in content:
        print(f"created {(folder / each).as_posix()}")
    steps = [] if options.name == "." else [f"cd {options.name}"]
    print(
        "next:\n  "
        + "\n  ".join([*steps, "concerto check", "concerto test", "concerto run --mock"])
    )
    return OK
