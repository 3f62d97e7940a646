"""IR to canonical JSON: the same program gives the same bytes."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from json.encoder import JSONEncoder, encode_basestring
from typing import Any

from concerto.lower.ir import FORMAT, VERSION, Function, Program

_compact = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_WORDS = {None: "null", True: "true", False: "false"}


class _Written(str):
    """JSON already."""

    __slots__ = ()


def encode(program: Program) -> bytes:
    """UTF-8, keys sorted, no white space, floats in the form that the runtime writes."""
    document = {"format": FORMAT, "version": VERSION, "features": [], **_fields(program)}
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


def _fields(record: Program | Function) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _write(value: Any, out: list[str]) -> None:
    match value:
        case _Written():
            out.append(value)
        case str():
            out.append(encode_basestring(value))
        case bool() | None:
            out.append(_WORDS[value])
        case int():
            out.append(str(value))
        case float():
            out.append(float_text(value))
        case list() | tuple():
            separator = "["
            for item in value:
                out.append(separator)
                _write(item, out)
                separator = ","
            out.append("]" if value else "[]")
        case dict():
            separator = "{"
            for key in sorted(value):
                out.append(f"{separator}{encode_basestring(key)}:")
                _write(value[key], out)
                separator = ","
            out.append("}" if value else "{}")
        case Function():
            # Code is most of a program; it holds whole numbers and names only.
            code, spans = _Written(_compact(value.code)), _Written(_compact(value.spans))
            _write({**_fields(value), "code": code, "spans": spans}, out)
        case _:
            raise AssertionError(value)


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
