"""The metrics table of `--metrics` and of the examples."""

from __future__ import annotations

import math
from typing import Any

from concerto.metrics import CostEstimate, Metrics, TokenUsage

#: Heads of the columns that are left out where every cell says 0.
_ONLY_IF_ANY = (
    "failed",
    "cancelled",
    "mocked",
    "kept",
    "attempts",
    "retries",
    "cached",
)


def render_table(metrics: Metrics) -> str:
    """One line per connection and, below it, per model that was called; then what went wrong, what waited, and what the cost lacks."""
    rows = []
    for name in metrics.connections():
        rows.append(_connection(metrics, name))
        called = [m for m in metrics.models() if metrics.counters(m)["calls"]]
        rows += [_model(metrics, m) for m in called if metrics.connection_of(m) == name]
    heads = [
        head
        for head in (rows[0] if rows else {})
        if head not in _ONLY_IF_ANY or any(row[head] not in ("0", "") for row in rows)
    ]
    cells = [heads, *([row[head] for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines), default=0))
    lines += [note for name in metrics.connections() for note in _notes(metrics, name)]
    return "\n".join([*lines, _total(metrics)]) + "\n"


def _connection(metrics: Metrics, name: str) -> dict[str, str]:
    times = metrics.distribution(name, "latency_ms")
    return {
        "connection": name,
        **_counts(metrics.counters(name), metrics.tokens_by_connection(name)),
        "cost": _cost(metrics.estimated_cost(name)),
        "p50": _time(times["p50"]) if times["count"] else "-",
        "p95": _time(times["p95"]) if times["count"] else "-",
    }


def _model(metrics: Metrics, name: str) -> dict[str, str]:
    counts = _counts(metrics.counters(name), metrics.tokens_by_model(name))
    return {"connection": f"  {name}", **counts, "cost": "", "p50": "", "p95": ""}


def _counts(counters: dict[str, Any], tokens: TokenUsage) -> dict[str, str]:
    # As many attempts as calls is what everybody expects.
    unusual = counters["attempts"] != counters["calls"] - counters["mocked"] - counters["cached"]
    return {
        "calls": f"{counters['calls']:,}",
        "failed": f"{sum(counters['errors'].values()):,}",
        "cancelled": f"{counters['cancelled']:,}",
        "mocked": f"{counters['mocked']:,}",
        "kept": f"{counters['cached']:,}",
        "attempts": f"{counters['attempts']:,}" if unusual else "",
        "retries": f"{counters['retries']:,}",
        "tokens in": f"{tokens.tokens_in:,}",
        "tokens out": f"{tokens.tokens_out:,}",
        "cached": f"{tokens.tokens_cached:,}",
    }


def _notes(metrics: Metrics, name: str) -> list[str]:
    """What a line of the table has no room for."""
    notes = []
    errors = metrics.counters(name)["errors"]
    if errors:
        kinds = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
        notes.append("errors: " + ", ".join(f"{kind} {count:,}" for kind, count in kinds))
    queue = metrics.distribution(name, "queue_time_ms")
    if queue["max"] >= 1:
        waits = f"p50 {_time(queue['p50'])}, p95 {_time(queue['p95'])}"
        notes.append(f"queue: {waits}, longest {_time(queue['max'])}")
    first = metrics.distribution(name, "time_to_first_chunk_ms")
    if first["count"]:
        notes.append(f"first chunk: p50 {_time(first['p50'])}, p95 {_time(first['p95'])}")
    cost = metrics.estimated_cost(name)
    lacks = []
    if cost.unpriced_tokens:
        lacks.append(f"{cost.unpriced_tokens:,} tokens have no known price")
    if cost.estimated_tokens:
        lacks.append(f"{cost.estimated_tokens:,} tokens are estimated")
    if lacks:
        notes.append("cost is incomplete: " + ", ".join(lacks))
    return [f"{name}: {note}" for note in notes]


def _total(metrics: Metrics) -> str:
    seconds = _time(metrics.execution_time_ms())
    prices = f"prices of {metrics.price_table_date()}"
    return f"total: {_cost(metrics.total_estimated_cost())} in {seconds} ({prices})"


def _cost(cost: CostEstimate) -> str:
    """Never a bare zero where prices are unknown."""
    text = _dollars(cost.usd) if cost.usd or not cost.unpriced_tokens else ""
    if cost.unpriced_tokens:
        text = f"{text} + " if text else ""
        text += f"{cost.unpriced_tokens:,} unpriced"
    return text


def _dollars(usd: float) -> str:
    """Four decimals; for less than that two digits that say something."""
    if not 0 < usd < 0.001:
        return f"${usd:.4f}"
    return f"${usd:.{1 - math.floor(math.log10(usd))}f}"


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
