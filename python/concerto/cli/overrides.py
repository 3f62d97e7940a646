"""`--override NAME.FIELD=VALUE` options as fields of each connection (O-14).

Every user of a machine can read the command lines of its processes, so a key or a header may also stand in a variable (`env:NAME`) or a file (`@FILE`).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from concerto.cli.app import USAGE, Exit
from concerto.runtime import Runtime

_OBJECTS = ("retry", "rate_limit", "headers", "models")


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--override`."""
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="NAME.FIELD=VALUE",
        help="replace a setting of a connection, such as openai.base_url=http://127.0.0.1:8080;"
        " for a key, which other users could see, write openai.api_key=env:VAR or =@FILE",
    )


def apply(
    runtime: Runtime,
    given: list[str],
    env: Mapping[str, str] | None = None,
    *,
    made_up: Mapping[str, str] | None = None,
) -> None:
    """Lays the options under the overrides of the host; `env` holds variables besides the process's. Raises `ConfigError`, `Exit`.

    Fields that cannot be evaluated take their values from `made_up`.
    """
    found = parse(given, {**(env or {}), **os.environ})
    for name, fields in found.items():
        runtime._native.override_connection(name, json.dumps(fields), True)
    for name in runtime.program.connections if made_up else ():
        settings = runtime.connection_settings(name)
        lacking = {f: value for f, value in (made_up or {}).items() if "error" in settings[f]}
        if lacking:
            fields = {**lacking, **found.get(name, {})}
            runtime._native.override_connection(name, json.dumps(fields), True)


def parse(given: list[str], env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The fields by connection. Values are not repeated in messages: they may be keys."""
    found: dict[str, dict[str, Any]] = {}
    for option in given:
        place, separator, value = option.partition("=")
        name, dot, path = place.partition(".")
        if not separator or not dot or not name or not path:
            found_ = f"found `{place}=..`" if separator else "found no `=`"
            raise Exit(USAGE, f"error: `--override` takes NAME.FIELD=VALUE, {found_}")
        field, _, key = path.partition(".")
        if field == "api_key" or (field == "headers" and key):
            value = _fetched(place, value, env)
        fields = found.setdefault(name, {})
        if key:
            _set_key(fields, place, field, key, value)
        elif field == "remove":
            fields.setdefault(field, []).extend(each for each in value.split(",") if each)
        else:
            fields[field] = _value(place, field, value)
    return found


def _fetched(place: str, value: str, env: Mapping[str, str]) -> str:
    """The value itself, or what it refers to."""
    if value.startswith("env:"):
        name = value.removeprefix("env:")
        if name not in env:
            raise Exit(
                USAGE, f"error: `--override {place}`: environment variable `{name}` is not set"
            )
        return env[name]
    if value.startswith("@"):
        try:
            return Path(value[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Exit(
                USAGE, f"error: `--override {place}`: cannot read `{value[1:]}`: {reason}"
            ) from None
    return value


def _set_key(fields: dict[str, Any], place: str, field: str, key: str, value: str) -> None:
    if field not in _OBJECTS:
        raise Exit(USAGE, f"error: `--override {place}`: `{field}` has no parts")
    inner = fields.setdefault(field, {})
    if not isinstance(inner, dict):
        raise Exit(USAGE, f"error: `--override {place}`: `{field}` is given as something else")
    plain = field in ("headers", "models") or key == "backoff"
    inner[key] = value if plain else _json(place, value)


def _value(place: str, field: str, value: str) -> Any:
    if field in _OBJECTS:
        return _json(place, value)
    if field in ("timeout", "timeout_ms"):
        try:
            return json.loads(value)
        except ValueError:
            return value  # the runtime says what it must be
    return value


def _json(place: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise Exit(USAGE, f"error: `--override {place}` takes JSON: {error}") from None
