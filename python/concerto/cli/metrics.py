"""The metrics table of `--metrics` and of the examples."""

from __future__ import annotations

from concerto.metrics import CostEstimate, Metrics

_HEAD = ("", "calls", "failed", "tokens in", "tokens out", "cached", "cost", "p50", "p95")


def render_table(metrics: Metrics) -> str:
    """One line per connection and, below it, per model that was called."""
    rows = [_HEAD]
    for name in metrics.connections():
        counters, tokens = metrics.counters(name), metrics.tokens_by_connection(name)
        times = metrics.distribution(name, "latency_ms")
        rows.append(
            (
                name,
                f"{counters['calls']:,}",
                f"{sum(counters['errors'].values()):,}",
                f"{tokens.tokens_in:,}",
                f"{tokens.tokens_out:,}",
                f"{tokens.tokens_cached:,}",
                _cost(metrics.estimated_cost(name)),
                _time(times["p50"]) if times["count"] else "-",
                _time(times["p95"]) if times["count"] else "-",
            )
        )
    for name in metrics.models():
        entry = metrics.to_dict()["models"][name]
        if entry["calls"]:
            tokens = metrics.tokens_by_model(name)
            failed = sum(entry["errors"].values())
            counts = (
                f"{entry['calls']:,}",
                f"{failed:,}",
                f"{tokens.tokens_in:,}",
                f"{tokens.tokens_out:,}",
                f"{tokens.tokens_cached:,}",
            )
            rows.append((f"  {name}", *counts, "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines) + "\n"


def _cost(cost: CostEstimate) -> str:
    """Never a bare zero where prices are unknown."""
    text = f"${cost.usd:.4f}" if cost.usd or not cost.unpriced_tokens else ""
    if cost.unpriced_tokens:
        text = f"{text} + " if text else ""
        text += f"{cost.unpriced_tokens:,} unpriced"
    return text


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
