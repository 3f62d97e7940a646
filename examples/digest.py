"""Digests a text with a small real model on this machine: `make demo`, or `python examples/digest.py FILE`.

The program is `digest.conc`; this host starts the model, points the program's connection at it, shows what the program emits, and stops what it started.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import concerto
from concerto import local
from concerto.cli.metrics import render_table

HERE = Path(__file__).parent
#: The model's context holds about 2,000 tokens of four characters each, but of so much text so small a model loses the thread.
SUMMARY_CHARACTERS, SECTION_CHARACTERS, MOST_SECTIONS = 1500, 1200, 8


def prose(text: str) -> str:
    """A Markdown text without its blocks of code, of which so small a model makes nothing."""
    return re.sub(r"^```.*?^```$\n?", "", text, flags=re.MULTILINE | re.DOTALL)


def split_sections(text: str) -> list[dict[str, str]]:
    """The parts of a Markdown text between its `##` headings; a text without any is one section."""
    sections: list[dict[str, str]] = []
    title = "(start)"
    lines: list[str] = []
    for line in [*text.splitlines(), "## "]:
        if line.startswith("## "):
            body = "\n".join(lines).strip()
            if body:
                sections.append({"title": title, "text": body[:SECTION_CHARACTERS]})
            title, lines = line[3:].strip(), []
        else:
            lines.append(line)
    return sections[:MOST_SECTIONS]


def main() -> int:
    """Runs the digest; gives the exit status."""
    parser = argparse.ArgumentParser(
        description="Digest a text with a small model on this machine."
    )
    parser.add_argument("file", nargs="?", type=Path, default=HERE.parent / "README.md")
    path: Path = parser.parse_args().file
    try:
        text = prose(path.read_text(encoding="utf-8"))
        local.install(print)
        with local.serve() as server:
            print(f"{path.name}, summarised by {server.model} at {server.url}\n")
            run(text, server.url, server.model)
    except (OSError, UnicodeDecodeError, local.LocalError, concerto.ConcertoError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(text: str, url: str, model: str) -> None:
    """Runs the program against the server at `url` and shows what it emits."""
    with concerto.Runtime(concerto.compile_file(HERE / "digest.conc")) as runtime:
        runtime.override_connection("writer", base_url=url, default_model=model)

        @runtime.on("summary")
        def show(piece: str) -> None:
            print(piece, end="", flush=True)

        @runtime.on("summary_complete")
        def end(_summary: str) -> None:
            print("\n")

        @runtime.on("label")
        def label(found: Mapping[str, str]) -> None:
            print(f"  {found['title']:<32} {found['topic']:<14} for {found['audience']}")

        @runtime.on("failed")
        def failed(found: Mapping[str, str]) -> None:
            print(f"  {found['title']:<32} no label: {found['why']}")

        sections = split_sections(text)
        labelled = runtime.call("digest", text[:SUMMARY_CHARACTERS], sections)
        print(f"\n{labelled} of {len(sections)} sections labelled\n")
        print(render_table(runtime.get_metrics()), end="")


if __name__ == "__main__":
    sys.exit(main())
