"""The options of a runtime as a type, for functions that pass them on: `def ask(**options: Unpack[RuntimeOptions])`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from concerto._native import VirtualClock
    from concerto.connection import ConnectionConfig


@dataclass(frozen=True, slots=True)
class Buffered:
    """Emits are handed to handlers several at a time, in order: when `size` of them wait, or the first has waited `interval_ms` milliseconds.

    What waits is handed over also before a request and at the end of the run; the program waits while it is.
    """

    interval_ms: float = 50
    size: int = 10_000


def buffered(interval_ms: float = 50, size: int = 10_000) -> Buffered:
    """The option `emit_mode` of a `Runtime` that hands emits over several at a time."""
    return Buffered(interval_ms, size)


class RuntimeOptions(TypedDict, total=False):
    """Keyword arguments of `Runtime` and `AsyncRuntime`, which describes them; each has a default."""

    mock: bool | str | Mapping[str, Any]
    env: Mapping[str, str] | None
    env_allow: Collection[str] | None
    execution_timeout: float | None
    max_cost_usd: float | None
    max_tokens: int | None
    max_concurrent_requests: int | None
    max_call_depth: int
    max_tasks: int
    max_store_bytes: int
    shared_stores: bool
    proxy: str | None
    ca_bundle: str | None
    retry_jitter: float | None
    max_queued_requests: int | None
    clock: VirtualClock | None
    log_level: str
    program_log_level: str
    args: Sequence[str]
    seed: int | None
    audit: bool
    record: str | os.PathLike[str] | None
    replay: str | os.PathLike[str] | None
    fs_root: str | os.PathLike[str] | None
    fs_mode: str
    net_allow: Collection[str] | None
    offline: bool
    http_body_limit: int
    max_tool_rounds: int
    max_tool_result_bytes: int
    tool_permissions: Mapping[str, bool] | None
    emit_mode: Literal["immediate"] | Buffered
    handler_errors: Literal["raise", "log"]
    reply_timeout: float | None
    prices: Mapping[str, Mapping[str, float]] | None
    connection_overrides: Mapping[str, ConnectionConfig | Mapping[str, Any]] | None
