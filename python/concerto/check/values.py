"""Constants that are no numbers, texts, truth values or arrays of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VariantDefault:
    """A variant without data as a constant."""

    variant: int
    name: str
    enum: str | None = None


@dataclass(frozen=True, slots=True)
class MapConstant:
    """A map as a constant."""

    entries: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class StructConstant:
    """A struct as a constant; the fields in declared order."""

    name: str
    origin: str
    fields: tuple[Any, ...]
