"""Each code on its example of the language reference: one message, at the right place (core 16)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.codes import CODES
from concerto.diagnostics.render import render, render_json
from concerto.source import Source

from tests.conftest import ROOT

EXAMPLES = ROOT / "tests/frontend/diagnostic_examples.txt"
MARK = "§"
#: What one source file cannot show: bytes that are no text, the command that runs it, other files, and the manifest.
ELSEWHERE = {
    "E0001",
    "E0010",
    "E2016",
    "E2020",
    "E4022",
    "E4023",
    "E4058",
    "E4059",
    "E4060",
    "E4061",
}
#: Rules that are about several declarations, or are not in the language's table: their goldens show them.
GOLDEN_ONLY = {"E4010", "E4016", "W4012", "W4017", "E9001"}


def examples() -> dict[str, str]:
    """The marked programs by code."""
    parts = re.split(r"^--- (\w+)\n", EXAMPLES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("code", sorted(set(examples()) & set(CODES)))
def test_the_example_of_each_code_gives_its_one_message(code: str) -> None:
    before, _, after = examples()[code].partition(MARK)
    source = Source(f"{code}.conc", before + after)
    _, diagnostics = compile_source(source)
    found = [(d.code, source.position(d.primary.span.start)) for d in diagnostics]
    assert found == [(code, source.position(len(before)))], render(diagnostics)


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether JSON fits a schema of the keywords that ours uses; any other keyword is refused."""
    known: dict[str, Callable[[], bool]] = {
        "$schema": lambda: True,
        "$defs": lambda: True,
        "title": lambda: True,
        "description": lambda: True,
        "$ref": lambda: fits(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole),
        "type": lambda: any(_is(value, kind) for kind in _listed(schema["type"])),
        "enum": lambda: value in schema["enum"],
        "pattern": lambda: re.search(schema["pattern"], value) is not None,
        "minimum": lambda: value >= schema["minimum"],
        "required": lambda: set(schema["required"]) <= set(value),
        "additionalProperties": lambda: set(value) <= set(schema["properties"]),
        "properties": lambda: all(
            fits(value[key], inner, whole)
            for key, inner in schema["properties"].items()
            if key in value
        ),
        "minItems": lambda: len(value) >= schema["minItems"],
        "items": lambda: all(fits(each, schema["items"], whole) for each in value),
    }
    # The type is looked at first: the others need it.
    return all(known[word]() for word in sorted(schema, key=lambda word: word != "type"))


def _listed(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _is(value: Any, kind: str) -> bool:
    types = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
    return isinstance(value, types[kind]) and not isinstance(value, bool)


def test_the_json_form_of_every_example_fits_the_published_schema() -> None:
    schema = json.loads((ROOT / "docs/diagnostic.schema.json").read_text(encoding="utf-8"))
    lines = []
    for code, text in examples().items():
        _, diagnostics = compile_source(Source(f"{code}.conc", text.replace(MARK, "")))
        lines += render_json(diagnostics).splitlines()
    assert len(lines) > 150
    for line in lines:
        assert fits(json.loads(line), schema, schema), line
    broken = json.loads(lines[0])
    damages: list[dict[str, Any]] = [
        {"code": "X1"}, {"labels": []}, {"start": {}}, {"more": 1}, {"help": 1},
    ]  # fmt: skip
    for damage in damages:
        assert not fits({**broken, **damage}, schema, schema)


def test_each_code_has_an_example() -> None:
    assert set(CODES) - set(examples()) == ELSEWHERE | GOLDEN_ONLY
