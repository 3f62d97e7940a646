"""IR to canonical JSON: the same program gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from concerto.lower.ir import FORMAT, VERSION, Program


def encode(program: Program) -> bytes:
    """UTF-8, keys sorted, no white space, floats in the form that the runtime writes."""
    document = {"format": FORMAT, "version": VERSION, "features": [], **asdict(program)}
    if program.channels is None:
        del document["channels"]
    if program.stores is None:
        del document["stores"]
    if program.pricing is None:
        del document["pricing"]
    if program.tools is None:
        del document["tools"]
    if not program.tests:
        del document["tests"]
    out: list[str] = []
    _write(document, out)
    return "".join(out).encode("utf-8")


def _write(value: Any, out: list[str]) -> None:
    match value:
        case dict():
            out.append("{")
            for position, key in enumerate(sorted(value)):
                out.append("," if position else "")
                out.append(json.dumps(key, ensure_ascii=False) + ":")
                _write(value[key], out)
            out.append("}")
        case list() | tuple():
            out.append("[")
            for position, item in enumerate(value):
                out.append("," if position else "")
                _write(item, out)
            out.append("]")
        case float():
            out.append(float_text(value))
        case _:
            out.append(json.dumps(value, ensure_ascii=False))


def float_text(number: float) -> str:
    """The shortest digits that read back to the same number, placed as Rust's serde_json places them: decimal from 1e-5 to 1e16, else with an exponent."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent += len(digits) - len(text)
    if text == "0":
        return "-0.0" if sign else "0.0"
    point = len(text) + exponent  # digits before the decimal point
    if exponent >= 0 and point <= 16:
        body = text + "0" * exponent + ".0"
    elif 0 < point <= 16:
        body = f"{text[:point]}.{text[point:]}"
    elif -5 < point <= 0:
        body = "0." + "0" * -point + text
    else:
        rest = f".{text[1:]}" if len(text) > 1 else ""
        body = f"{text[0]}{rest}e{point - 1}"
    return ("-" if sign else "") + body
