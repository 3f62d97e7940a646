"""What model calls used, as a Python host sees it: tokens, counters, times, cost. Numbers come from the runtime; nothing is counted here."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concerto import _native


class TokenUsage(int):
    """Tokens; as a number it is the total. `tokens_in` is the whole prompt, `tokens_cached` a part of it."""

    tokens_in: int
    tokens_out: int
    tokens_cached: int

    def __new__(cls, tokens_in: int, tokens_out: int, tokens_cached: int) -> TokenUsage:
        """Counts of tokens."""
        self = super().__new__(cls, tokens_in + tokens_out)
        self.tokens_in, self.tokens_out, self.tokens_cached = tokens_in, tokens_out, tokens_cached
        return self

    @property
    def total(self) -> int:
        """Prompts and answers."""
        return int(self)

    def __repr__(self) -> str:
        inside = f"tokens_in={self.tokens_in}, tokens_out={self.tokens_out}, tokens_cached={self.tokens_cached}"
        return f"TokenUsage({inside})"


class CostEstimate(float):
    """US dollars for the tokens whose price is known; `unpriced_tokens` counts the others."""

    unpriced_tokens: int
    estimated_tokens: int

    def __new__(cls, usd: float, unpriced_tokens: int, estimated_tokens: int) -> CostEstimate:
        """US dollars, and what is not in them."""
        self = super().__new__(cls, usd)
        self.unpriced_tokens, self.estimated_tokens = unpriced_tokens, estimated_tokens
        return self

    @property
    def usd(self) -> float:
        """The same as a plain number."""
        return float(self)

    def is_complete(self) -> bool:
        """Whether all prices and token numbers are known."""
        return not self.unpriced_tokens and not self.estimated_tokens

    def __repr__(self) -> str:
        inside = f"usd={float(self)}, unpriced_tokens={self.unpriced_tokens}, estimated_tokens={self.estimated_tokens}"
        return f"CostEstimate({inside})"


class Metrics:
    """An immutable snapshot. Names that the program does not declare raise `KeyError`."""

    def __init__(self, native: _native.Metrics) -> None:
        self._native = native

    @cached_property
    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self._native.to_json())
        return data

    def tokens_by_connection(self, name: str) -> TokenUsage:
        """Tokens of all calls over a connection."""
        return _usage(self._entry("connections", name)["tokens"])

    def tokens_by_model(self, name: str) -> TokenUsage:
        """Tokens of a model, by its name in the program."""
        return _usage(self._entry("models", name)["tokens"])

    def tokens_by_base(self, model_id: str) -> TokenUsage:
        """Tokens by the id that the servers reported; zeros for one that never answered."""
        return _usage(self._data["bases"].get(model_id, {}))

    def estimated_cost(self, name: str) -> CostEstimate:
        """What a connection cost."""
        return _cost(self._entry("connections", name)["cost"])

    def total_estimated_cost(self) -> CostEstimate:
        """What all connections cost."""
        costs = [entry["cost"] for entry in self._data["connections"].values()]
        names = ("usd", "unpriced_tokens", "estimated_tokens")
        return _cost({name: sum(cost[name] for cost in costs) for name in names})

    def counters(self, name: str) -> dict[str, Any]:
        """Calls, attempts, errors by kind and the like, of a connection or a model."""
        kind = "connections" if name in self._data["connections"] else "models"
        entry = self._entry(kind, name)
        hidden = ("connection", "tokens", "cost", "server_limits")
        return {k: v for k, v in entry.items() if k not in hidden and not k.endswith("_ms")}

    def server_limits(self, name: str) -> dict[str, dict[str, int | None]]:
        """What the server of a connection last said about its own limits: `limit`, `remaining`, `resets_in_ms` (from this snapshot on) of `requests`,
        `tokens`, `input_tokens`, `output_tokens`, as far as it did. They change nothing in the runtime's limits.
        """
        found: dict[str, dict[str, int | None]] = self._entry("connections", name)["server_limits"]
        return found

    def connection_of(self, model: str) -> str:
        """The connection that a model is on."""
        return str(self._entry("models", model)["connection"])

    def distribution(self, name: str, which: str) -> dict[str, Any]:
        """`queue_time_ms`, `latency_ms`, `attempt_ms` or `time_to_first_chunk_ms` of a connection: count, sum, extremes, percentiles, buckets."""
        entry = self._entry("connections", name)
        names = [key for key in entry if key.endswith("_ms")]
        if which not in names:
            from concerto.diagnostics.model import did_you_mean

            hint = did_you_mean(which, names) or f"there are: {', '.join(names)}"
            raise KeyError(f"no distribution is named `{which}`; {hint}")
        found: dict[str, Any] = entry[which]
        return found

    def total_tokens(self) -> int:
        """Tokens of all connections."""
        return sum(self.tokens_by_connection(name) for name in self.connections())

    def model_calls(self) -> int:
        """Calls of all models."""
        return sum(entry["calls"] for entry in self._data["connections"].values())

    def tool_calls(self) -> int:
        """Calls of tools that models have asked for."""
        return int(self._data["tool_calls"])

    def emit_count(self) -> int:
        """Emits of the program."""
        return int(self._data["emit_count"])

    def errors(self) -> int:
        """Failed calls."""
        return sum(sum(entry["errors"].values()) for entry in self._data["connections"].values())

    def execution_time_ms(self) -> int:
        """Since the runtime, or the run, began."""
        return int(self._data["execution_time_ms"])

    def connections(self) -> list[str]:
        """Names of all declared connections."""
        return list(self._data["connections"])

    def models(self) -> list[str]:
        """Names of all declared models."""
        return list(self._data["models"])

    def is_known(self, name: str) -> bool:
        """Whether the program declares a connection or model of this name."""
        return name in self._data["connections"] or name in self._data["models"]

    def price_table_date(self) -> str:
        """The day on which the built-in prices were collected."""
        return str(self._data["price_table_date"])

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        copy: dict[str, Any] = json.loads(self._native.to_json())
        return copy

    def to_json(self) -> str:
        """Everything, as JSON with stable keys."""
        return self._native.to_json()

    def to_prometheus(self) -> str:
        """The text format of Prometheus."""
        return self._native.to_prometheus()

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        entries: dict[str, Any] = self._data[kind]
        if name not in entries:
            from concerto.diagnostics.model import did_you_mean

            declared = ", ".join(entries) or "none"
            hint = did_you_mean(name, list(entries)) or f"declared: {declared}"
            raise KeyError(f"no {kind[:-1]} is named `{name}`; {hint}")
        entry: dict[str, Any] = entries[name]
        return entry


def _usage(tokens: dict[str, int]) -> TokenUsage:
    return TokenUsage(
        *(tokens.get(name, 0) for name in ("tokens_in", "tokens_out", "tokens_cached"))
    )


def _cost(cost: dict[str, Any]) -> CostEstimate:
    return CostEstimate(cost["usd"], cost["unpriced_tokens"], cost["estimated_tokens"])
