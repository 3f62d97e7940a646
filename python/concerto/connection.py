"""Settings that a host lays over the connections of a program."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

ProviderKind = Literal["openai", "anthropic", "google", "ollama", "custom"]
Backoff = Literal["none", "linear", "exponential"]
RetryClass = Literal["rate_limit", "server_error", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """When and how often a failed request is sent again.

    `max_attempts` counts the first one (1..100, default 1); delays are in milliseconds; fields that are None take the defaults of the language.
    """

    max_attempts: int | None = None
    backoff: Backoff | None = None
    initial_delay_ms: int | None = None
    max_delay_ms: int | None = None
    retry_on: Sequence[RetryClass] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitConfig:
    """Limits of a connection; None means no limit of that kind."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
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


def fields_to_json(given: ConnectionConfig | Mapping[str, Any]) -> str:
    """The fields that are set, as JSON."""
    return json.dumps(plain_fields(given))


def plain_fields(given: ConnectionConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are set, as `plain` values."""
    values = _set_fields(given) if isinstance(given, ConnectionConfig) else given
    made = {name: plain(value) for name, value in values.items()}
    return {name: value for name, value in made.items() if value not in (None, [])}


def _set_fields(config: ConnectionConfig | RetryConfig | RateLimitConfig) -> dict[str, Any]:
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    return {name: value for name, value in values.items() if value is not None}


def plain(value: Any) -> Any:
    """A setting as JSON has it. What has no JSON form is passed on as something that the runtime refuses by name."""
    match value:
        case RetryConfig() | RateLimitConfig():
            return plain(_set_fields(value))
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case float() if not math.isfinite(value):
            return str(value)
        case str() if any("\ud800" <= character <= "\udfff" for character in value):
            return {"text that is no Unicode": None}
        case None | bool() | int() | float() | str():
            return value
        case os.PathLike():
            return plain(os.fspath(value))
        case Collection():
            return [plain(item) for item in value]
        case _:
            return {type(value).__name__: None}
