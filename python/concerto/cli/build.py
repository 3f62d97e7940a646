"""`concerto build`: write the compiled form."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.sources import default_file, open_project, report


def main(args: list[str]) -> int:
    """Compiles one file."""
    parser = command_parser("build")
    parser.add_argument("file", nargs="?", metavar="FILE", help="`-` reads standard input")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write (default: beside the source, `.conc-ir`)",
    )
    parser.add_argument("--stdout", action="store_true", help="write to standard output")
    parser.add_argument(
        "--emit", choices=("tokens", "ast", "ir"), help="print another form instead"
    )
    parser.add_argument(
        "--check-only", action="store_true", help="compile, but write and print nothing"
    )
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave out places and docs: smaller, but errors name functions without lines",
    )
    parser.add_argument(
        "--allow-inline-secrets",
        action="store_true",
        help="build although a key stands in the source",
    )
    options = parser.parse_args(args)
    if options.check_only and (options.output or options.stdout or options.emit):
        raise Exit(USAGE, "error: `--check-only` writes nothing")
    path = options.file or default_file(options)
    from concerto.cache import compiled_from
    from concerto.compiler import compile_source, read_source
    from concerto.folder import Folder
    from concerto.source import Source

    try:
        source, diagnostics = (
            (Source("<stdin>", sys.stdin.read()), []) if path == "-" else read_source(Path(path))
        )
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    if source is not None and options.emit in ("tokens", "ast"):
        return _emit(source, options.emit)
    project, said = open_project(path, options)
    ir = None
    if source is not None:
        # Without the source in it: a file that is passed on holds no more than it needs.
        folder = Folder(Path()) if path == "-" else Folder.of(Path(path))
        try:
            ir, diagnostics = compile_source(
                source, project, folder=folder, embed_source=False, strip=options.strip
            )
        except OSError as error:
            raise Exit(USAGE, f"error: cannot read `{error.filename}`: {error.strerror}") from None
    compiled = compiled_from(ir, diagnostics).also(said).linted(project.lint if project else {})
    report(compiled, options)
    if compiled.ir is None or ir is None:
        raise Exit(USAGE, compiled.refusal)
    if options.check_only:
        return OK
    if any(d.code == "W4001" for d in diagnostics) and not options.allow_inline_secrets:
        raise Exit(
            USAGE,
            "error: a key stands in the source and would stand in the output; use `env(..)`, or `--allow-inline-secrets`",
        )
    if options.emit == "ir":
        print(json.dumps(json.loads(ir), indent=1, ensure_ascii=False))
    elif options.stdout or path == "-":
        sys.stdout.buffer.write(ir)
    else:
        target = Path(options.output) if options.output else Path(path).with_suffix(".conc-ir")
        try:
            target.write_bytes(ir)
        except OSError as error:
            raise Exit(USAGE, f"error: cannot write `{target}`: {error.strerror}") from None
    return OK


def _emit(source: object, form: str) -> int:
    from concerto.source import Source
    from concerto.syntax.dump import dump_tokens, dump_tree

    assert isinstance(source, Source)
    print(dump_tokens(source) if form == "tokens" else dump_tree(source), end="")
    return OK
