"""The table of model ids that the checker uses is made from the tables of the runtime; `make golden` rewrites it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from concerto.check import known_models

from tests.conftest import ROOT, Golden

TABLE = ROOT / "python/concerto/check/model_table.json"
ABOUT = (
    "Generated from rust/src/metrics/model_prices.json (source, date and licence stand there) and "
    "rust/src/models_table/rules.json: what each id refuses, when it ends, and the rules for other ids."
)


def read(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((ROOT / "rust/src" / name).read_text(encoding="utf-8"))
    return table


PRICES = read("metrics/model_prices.json")
RULES = read("models_table/rules.json")
ROWS: dict[str, Any] = {
    id_: row for group in ("openai", "anthropic", "gemini") for id_, row in PRICES[group].items()
}


def lives(id_: str) -> bool:
    return id_ in ROWS and not ROWS[id_].get("retired") and "deprecated" not in ROWS[id_]


def successor(id_: str) -> str | None:
    undated = re.sub(r"-(\d{8}|\d{4}-\d{2}-\d{2})$", "", id_)
    if undated != id_ and lives(undated):
        return undated
    fitting = (rule for rule in RULES["successors"] if id_.startswith(tuple(rule["prefix"])))
    return next((rule["successor"] for rule in fitting), None)


def entry(id_: str, row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    rejects = sorted({*row.get("rejects", []), *known_models.by_rule(RULES["rules"], id_)})
    if rejects:
        made["rejects"] = rejects
    if row.get("retired") or "deprecated" in row:
        date, retired = row.get("deprecated"), row.get("retired", False)
        made["aging"] = {"date": date, "retired": retired, "successor": successor(id_)}
    return made


def test_the_table_is_that_of_the_runtime(golden: Golden) -> None:
    models = [f"  {json.dumps(id_)}: {json.dumps(entry(id_, ROWS[id_]))}" for id_ in sorted(ROWS)]
    rules = [f"  {json.dumps(rule)}" for rule in RULES["rules"]]
    about = json.dumps(ABOUT)
    parts = (",\n".join(models), ",\n".join(rules))
    text = '{{\n "_about": {},\n "models": {{\n{}\n }},\n "rules": [\n{}\n ]\n}}\n'
    golden(TABLE, text.format(about, *parts))


def test_successors_live() -> None:
    for rule in RULES["successors"]:
        assert lives(rule["successor"]), rule


# C-38
def test_defaults_live() -> None:
    for kind, id_ in RULES["defaults"].items():
        assert kind == "ollama" or lives(id_), id_


# The same rows as in the twin, `rust/src/models_table`.
@pytest.mark.parametrize(
    ("id_", "sampling", "stop"),
    [
        ("o1", True, False),
        ("o1-mini", True, False),
        ("o3-mini", True, True),
        ("gpt-5-chat-latest", False, False),
        ("gpt-5.1-chat-latest", True, True),
        ("gpt-5.1-codex", True, True),
        ("gpt-5.1", False, True),
        ("gpt-5.4-mini", False, True),
        ("gpt-5.5", True, True),
        ("gpt-6.1-sol", True, True),
        ("gpt-5-nano", True, True),
        ("gpt-4o", False, False),
        ("claude-haiku-4-5-20251001", False, False),
        ("claude-opus-4-6", False, False),
        ("claude-opus-4-7", True, False),
        ("claude-opus-4-9", True, False),
        ("claude-sonnet-5-5", True, False),
        ("claude-haiku-6", True, False),
        ("models/gemini-3.8-flash", True, False),
        ("gemini-2.5-flash", False, False),
        ("llama3.1", False, False),
    ],
)
def test_what_models_refuse(id_: str, sampling: bool, stop: bool) -> None:
    rejects = known_models.rejects(id_)
    assert ("sampling" in rejects, "stop" in rejects) == (sampling, stop)
