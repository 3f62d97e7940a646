"""What tests have reached of each file: `concerto test --coverage`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from concerto.lower.coverage import Point


@dataclass(slots=True)
class FileCoverage:
    """Lines that have a statement, and branches by line, column and name; each with whether a test has reached it."""

    path: str
    lines: dict[int, bool] = field(default_factory=dict)
    branches: dict[tuple[int, int, str], bool] = field(default_factory=dict)

    def add(self, point: Point, *, reached: bool) -> None:
        """One point of one program; others may have the same file."""
        if point.branch is None:
            self.lines[point.line] = self.lines.get(point.line, False) or reached
        else:
            place = (point.line, point.column, point.branch)
            self.branches[place] = self.branches.get(place, False) or reached

    @property
    def missing_lines(self) -> list[int]:
        """Those that no test has reached."""
        return sorted(line for line, reached in self.lines.items() if not reached)

    @property
    def missing_branches(self) -> list[tuple[int, str]]:
        """Those that no test has taken: line and name."""
        return [
            (line, name)
            for (line, _, name), reached in sorted(self.branches.items())
            if not reached
        ]

    def to_json(self) -> dict[str, object]:
        """For `--format json`."""
        return {
            "file": self.path,
            "lines": len(self.lines),
            "covered_lines": sum(self.lines.values()),
            "missing_lines": self.missing_lines,
            "branches": len(self.branches),
            "covered_branches": sum(self.branches.values()),
            "missing_branches": [
                {"line": line, "branch": name} for line, name in self.missing_branches
            ],
        }


def summed(reached: Iterable[tuple[Point, bool]]) -> list[FileCoverage]:
    """The files of all programs by path."""
    files: dict[str, FileCoverage] = {}
    for point, was_reached in reached:
        files.setdefault(point.path, FileCoverage(point.path)).add(point, reached=was_reached)
    return [files[path] for path in sorted(files)]


def render_table(files: list[FileCoverage]) -> str:
    """A line for each file, with what is missing, and one for all."""
    heads = ("file", "lines", "", "branches", "", "missing")
    rows = [
        (
            each.path,
            *_share(each.lines.values()),
            *_share(each.branches.values()),
            _missing(each),
        )
        for each in files
    ]
    lines = [reached for each in files for reached in each.lines.values()]
    branches = [reached for each in files for reached in each.branches.values()]
    rows.append(("total", *_share(lines), *_share(branches), ""))
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return "".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(heads) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in (heads, *rows)
    )


def _share(reached: Iterable[bool]) -> tuple[str, str]:
    known = list(reached)
    if not known:
        return "0/0", "-"
    return f"{sum(known)}/{len(known)}", f"{100 * sum(known) / len(known):.1f}%"


def _missing(each: FileCoverage) -> str:
    """Lines as ranges, then branches: `3-5, 9; 12 else`."""
    lines = ", ".join(_ranges(each.missing_lines, sorted(each.lines)))
    branches = ", ".join(f"{line} {name}" for line, name in each.missing_branches)
    return "; ".join(part for part in (lines, branches) if part)


def _ranges(missing: list[int], known: list[int]) -> list[str]:
    """Lines in a row as one: between two of them stands no line that was reached."""
    if not missing:
        return []
    place = {line: index for index, line in enumerate(known)}
    starts = [missing[0]] + [b for a, b in pairwise(missing) if place[b] != place[a] + 1]
    ends = [a for a, b in pairwise(missing) if place[b] != place[a] + 1] + [missing[-1]]
    return [f"{a}-{b}" if a != b else str(a) for a, b in zip(starts, ends, strict=True)]
