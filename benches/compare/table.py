"""What the comparison prints: medians over the rounds as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = dict[str, float]
#: By workload, by title of the row: one for each round.
Results = Mapping[str, Mapping[str, Sequence[Figures]]]


@dataclass(frozen=True)
class Column:
    """A figure of a workload, and how it is written."""

    workload: str
    figure: str
    title: str
    factor: float = 1.0
    form: str = "{:,.0f}"


CALLS = (
    Column("sequence", "per_call", "one call, µs", 1e6),
    Column("typed", "per_call", "typed answer, µs", 1e6),
    Column("concurrent[64-0]", "cpu_per_1000", "CPU ms per 1,000 calls, 64 at once", 1e3),
    Column("concurrent[512-0]", "cpu_per_1000", "the same, 512", 1e3),
    Column("concurrent[64-50]", "rate", "calls/s, 64 at once, 50 ms server"),
    Column("concurrent[512-50]", "rate", "the same, 512"),
)
OTHERS = (
    Column("streams[50-2000]", "rate", "chunks/s, 50 streams"),
    Column("streams[500-200]", "rate", "chunks/s, 500 streams"),
    Column("first", "seconds", "start to first request, ms", 1e3),
    Column("import", "seconds", "process that only imports, ms", 1e3),
    Column("sequence", "peak_mib", "memory, MiB"),
    Column("installed", "mib", "installed, MiB"),
    Column("installed", "packages", "packages"),
)
#: Without a ratio: nothing is imported or installed on the floor.
PLAIN = {"import", "installed"}


def table(results: Results, titles: Sequence[str], columns: Sequence[Column], floor: str) -> str:
    """One line for each title that has figures; in brackets the ratio to the line of `floor`."""
    lines = ["| | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for title in titles:
        cells = [_cell(results, title, column, floor) for column in columns]
        if any(cell != _NONE for cell in cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    shares = [_share(results, column.workload) for column in columns]
    lines.append("| the server's share of one processor, highest | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def languages(found: Mapping[str, Mapping[str, float]], version: str) -> str:
    """The algorithms of `benches/algorithms`, processor time."""
    lines = [f"| | CPython {version}, ms | Concerto, ms | faster | than the oracle |"]
    lines.append("|---|---|---|---|---|")
    for name, each in found.items():
        python, ours = each["python"], each["concerto"]
        oracle = each["oracle"] / each["concerto_small"]
        cells = f"{python * 1e3:.1f} | {ours * 1e3:.1f} | {python / ours:.1f} times | {oracle:,.0f} times"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


_NONE = "–"


def _cell(results: Results, title: str, column: Column, floor: str) -> str:
    value, least = _median(results, title, column), _median(results, floor, column)
    if value is None:
        return _NONE
    text = column.form.format(value * column.factor)
    if least and title != floor and column.workload not in PLAIN:
        text += f" ({value / least:.3g})"
    return text


def _share(results: Results, workload: str) -> str:
    """Of the row that makes the mock server work most: near 100 % it is the server that is measured."""
    shares = [
        statistics.median(shares)
        for rounds in results.get(workload, {}).values()
        if (shares := [figures["server_share"] for figures in rounds if "server_share" in figures])
    ]
    return f"{max(shares):.0%}" if shares and workload not in PLAIN else _NONE


def _median(results: Results, title: str, column: Column) -> float | None:
    rounds = results.get(column.workload, {}).get(title, [])
    values = [figures[column.figure] for figures in rounds if column.figure in figures]
    return statistics.median(values) if values else None
