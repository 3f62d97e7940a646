"""Settings that a host lays over the connections of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from concerto.settings import Part, Settings

ProviderKind = Literal["openai", "anthropic", "google", "ollama", "custom"]
Backoff = Literal["none", "linear", "exponential"]
RetryClass = Literal["rate_limit", "server_error", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig(Part):
    """When and how often a failed request is sent again.

    `max_attempts` counts the first one (1..100, default 1); delays are in milliseconds; fields that are None take the defaults of the language.
    """

    max_attempts: int | None = None
    backoff: Backoff | None = None
    initial_delay_ms: int | None = None
    max_delay_ms: int | None = None
    retry_on: Sequence[RetryClass] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitConfig(Part):
    """Limits of a connection; None means no limit of that kind."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig(Settings):
    """Fields of one connection to replace; None leaves a field as the program declares it.

    `timeout` is in seconds, `timeout_ms` in milliseconds (not both). `headers` and `models` are merged by name. `remove` names fields to unset.
    The key never shows in `repr`.
    """

    provider: ProviderKind | None = None
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    default_model: str | None = None
    timeout: int | None = None
    timeout_ms: int | None = None
    retry: RetryConfig | Mapping[str, Any] | None = None
    rate_limit: RateLimitConfig | Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    models: Mapping[str, str] | None = None
    organization: str | None = None
    project: str | None = None
    remove: Sequence[str] = ()
