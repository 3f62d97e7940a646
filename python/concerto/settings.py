"""Options and settings as the runtime takes them: JSON. A runtime without any does not load this module."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from concerto.options import RuntimeOptions


class Settings:
    """Base of the dataclasses that hold settings; a field that is None is not set."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]  # `dataclass` makes it

    def set_fields(self) -> dict[str, Any]:
        """The fields that are set."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}


class Part(Settings):
    """Base of those that are the value of one setting."""

    __slots__ = ()


def options_to_json(options: RuntimeOptions) -> str:
    """The options as JSON, which the runtime checks."""
    return json.dumps({name: _plain_option(name, value) for name, value in options.items()})


def _plain_option(name: str, value: Any) -> Any:
    match name, value:
        case "connection_overrides", Mapping():
            return {connection: plain_fields(config) for connection, config in value.items()}
        case _:
            return plain(value)


def to_json(value: Any) -> str:
    """A setting, as the runtime takes it."""
    return json.dumps(plain(value))


def fields_to_json(given: Settings | Mapping[str, Any]) -> str:
    """The fields of a connection that are set, as JSON."""
    return json.dumps(plain_fields(given))


def plain_fields(given: Settings | Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are set, as `plain` values."""
    values = given.set_fields() if isinstance(given, Settings) else given
    made = {name: plain(value) for name, value in values.items()}
    return {name: value for name, value in made.items() if value not in (None, [])}


def plain(value: Any) -> Any:
    """A setting as JSON has it. What has no JSON form is passed on as something that the runtime refuses by name."""
    match value:
        case Part():
            return plain(value.set_fields())
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
