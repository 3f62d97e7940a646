"""What is known of model ids: which ones exist, age, or refuse fields. The data is `model_table.json`, made from the runtime's tables."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from concerto.records import record


@record()
class Aging:
    """A model that its provider has ended, or will end."""

    date: str | None
    is_retired: bool
    successor: str | None

    def __str__(self) -> str:
        if self.is_retired:
            return "is out of service" + (f" since {self.date}" if self.date else "")
        return f"may be refused from {self.date} on"


@cache
def _table() -> dict[str, Any]:
    text = files("concerto.check").joinpath("model_table.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def is_known(id_: str) -> bool:
    """Whether the price table has this id."""
    return id_ in _table()["models"]


def aging(id_: str) -> Aging | None:
    """When the model ends, if it does."""
    found = _table()["models"].get(id_, {}).get("aging")
    return Aging(found["date"], found["retired"], found["successor"]) if found else None


def rejects(id_: str) -> frozenset[str]:
    """The features that the model refuses: from its row, or by the rules for ids that have none."""
    bare = id_.rsplit("/", 1)[-1]
    row = _table()["models"].get(bare)
    if row is not None:
        return frozenset(row.get("rejects", ()))
    return frozenset(by_rule(_table()["rules"], bare))


def by_rule(rules: list[dict[str, Any]], id_: str) -> list[str]:
    """What the first rule that fits an id says; the twin is `rule` in `rust/src/models_table`."""
    for rule in rules:
        if id_.startswith(tuple(rule["prefix"])) and _is_within(id_, rule):
            found: list[str] = rule["rejects"]
            return found
    return []


def _is_within(id_: str, rule: dict[str, Any]) -> bool:
    if "from" not in rule and "to" not in rule:
        return True
    own = _version(id_)
    if own is None:
        return False
    low, high = _version(rule.get("from", "0")), _version(rule.get("to", "99.99"))
    return low is not None and high is not None and low <= own <= high


def _version(id_: str) -> tuple[int, int] | None:
    """The first number of an id: one or two digits, with a second one after `.` or `-`. Dates are no versions."""
    parts = re.split(r"[-.]", id_)
    numbers = [int(part) if re.fullmatch(r"\d{1,2}", part) else None for part in parts]
    for place, major in enumerate(numbers):
        if major is not None:
            minor = numbers[place + 1] if place + 1 < len(numbers) else None
            return major, minor or 0
    return None
