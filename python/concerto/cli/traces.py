"""Where a program was when it failed."""

from __future__ import annotations

from pathlib import Path

from concerto.errors import TraceFrame


def source_line(frame: TraceFrame) -> list[str]:
    """The line in question and a mark below it, if the place is known and the file at hand."""
    if frame.line == 0:
        return []
    try:
        line = Path(frame.path).read_text(encoding="utf-8").split("\n")[frame.line - 1].rstrip()
    except (OSError, IndexError, UnicodeDecodeError):
        return []
    # Tabs stay tabs, so that the mark stands where the eye expects it.
    before = "".join("\t" if each == "\t" else " " for each in line[: frame.column - 1])
    return [f"{frame.line} | {line}", f"{' ' * len(str(frame.line))} | {before}^"]
