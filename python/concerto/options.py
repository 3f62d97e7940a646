"""The options of a runtime as a type, for functions that pass them on: `def ask(**options: Unpack[RuntimeOptions])`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from concerto.settings import Part

if TYPE_CHECKING:
    from concerto._native import VirtualClock
    from concerto.connection import ConnectionConfig


@dataclass(frozen=True, slots=True)
class Buffered(Part):
    """Emits are handed to handlers several at a time, in order: when `size` of them wait, or the first has waited `interval_ms` milliseconds.

    What waits is handed over also before a request and at the end of the run; the program waits while it is.
    """

    interval_ms: float = 50
    size: int = 10_000


def buffered(interval_ms: float = 50, size: int = 10_000) -> Buffered:
    """The option `emit_mode` of a `Runtime` that hands emits over several at a time."""
    return Buffered(interval_ms, size)


#: Whether tools, or methods of them, may be called.
ToolPermissions = Mapping[str, bool | Mapping[str, bool]]


#: Gives the value of a variable; None for one that it does not know, which is asked of the process.
EnvLookup = Callable[[str], str | None]


class RuntimeOptions(TypedDict, total=False):
    """Keyword arguments of `Runtime` and `AsyncRuntime`; each may be left out, and None leaves it at its default.

    Keys:
        mock: Answer every model call locally, without network and keys; a script (a mapping, or JSON text, as `docs/mock.md` describes) says what; default: no.
        env: Laid over the process environment for `env(..)`: a mapping, or a function that gives the value of a name, or None for what it does not know. A function
            is called on the thread that called `run` or `call`, each time that a value is needed; what it raises comes out of there. Runs in the background and
            an `AsyncRuntime` go on in threads that call no Python: they take a mapping.
        env_allow: If given, other variables count as not set.
        execution_timeout: Limit of one run in seconds; default: none, as for the next three.
        max_cost_usd: The most that one run may cost, in US dollars; beyond that it ends with `LimitError`. What has no price costs nothing.
        max_tokens: The same for the tokens of prompts and answers together.
        max_concurrent_requests: How many requests may be under way at a time over all connections; others wait.
        max_call_depth: Active calls before a program panics with `StackOverflow`; default 10,000.
        max_tasks: Tasks that one run may have at a time before it panics with `LimitExceeded`; default 10,000.
        max_store_bytes: What the stores of a run may hold together before it panics with `LimitExceeded`, in bytes; default 256 MiB.
        shared_stores: Whether all runs use the same stores; by default each begins with its own.
        proxy: URL of an HTTP proxy, or "none"; default: `HTTPS_PROXY` and its like.
        ca_bundle: PEM file with trusted certificates besides Mozilla's; default: `CONCERTO_CA_BUNDLE`, else `SSL_CERT_FILE`.
        retry_jitter: The share of a retry's delay, 0 to 1, that may be added to it at random; default 0.1, 0 with a virtual clock.
        max_queued_requests: How many requests may wait for the rate limits of one connection; one more fails as `rate_limit`; default: no bound.
        clock: A `VirtualClock` for tests: delays of retries, rate limits and time limits follow it; default: the machine's clock.
        log_level: Of the runtime's own log on standard error: `error`, `warn` (default), `info`, `debug`, `trace`.
        program_log_level: The same for what the program writes with `std::log`; default `info`.
        args: What the program's `std::env::args` gives.
        seed: Makes the random numbers of `std::math` the same in each run; 0 to 2**64 - 1; default: they differ.
        audit: Tell what the program reaches, before it does, on `audit:file_access`, `audit:env_access`, `audit:http` and `audit:tool_call`: names only,
            nothing secret; default: no.
        record: A file that the traffic of all model calls is written to: one JSON object a line, without keys.
        replay: A file that was recorded: it answers all model calls, each exchange once, by the end of the path and the body
            of the request. No server is asked.
        fs_root: The folder that `std::fs` is kept in; default: the working directory.
        fs_mode: What `std::fs` may do: `none`, `read` or `write` (default).
        net_allow: Hosts that `std::http` may reach: names, `name:port`, or `*.name` for all below it; default: all.
        offline: No network for `std::http`, and models only on this machine; default: no.
        http_body_limit: The longest body that `std::http` reads, in bytes; default 10 MiB.
        max_tool_rounds: Rounds with calls of tools that one call of a model may have, 1 to 100; one more is `ToolLimit`; default 10.
        max_tool_result_bytes: A longer result of a tool is cut before a model gets it, in bytes; default 1 MiB.
        tool_permissions: Which tools and methods may be called, as `set_tool_permissions` takes them.
        emit_mode: "immediate" (default), or `buffered(interval_ms, size)` to hand emits over several at a time.
        handler_errors: What an exception of a handler of `on` does: "raise" (default) ends the run, "log" writes it to the log as an error.
        reply_timeout: Seconds that a program waits for the reply of `await emit`; default: without end.
        prices: US dollars per million tokens by model id: `input`, `output` and perhaps `cached`; over those of the manifest and the built-in ones.
        worker_threads: Threads of this runtime's own, 1 to 1,024, that drive its runs in the background, with their I/O; default: all runtimes of the process share 2.
        connection_overrides: Settings by connection, as `override_connection` takes them.
    """

    mock: bool | str | Mapping[str, Any]
    env: Mapping[str, str] | EnvLookup | None
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
    tool_permissions: ToolPermissions | None
    emit_mode: Literal["immediate"] | Buffered
    handler_errors: Literal["raise", "log"]
    reply_timeout: float | None
    prices: Mapping[str, Mapping[str, float]] | None
    worker_threads: int | None
    connection_overrides: Mapping[str, ConnectionConfig | Mapping[str, Any]] | None
