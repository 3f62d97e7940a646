"""JSON text to values and back: section 4.1 of the library reference. The first mistake is told by line and column, in characters, from 1."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import NoReturn

from tests.oracle.values import (
    INT_MAX,
    INT_MIN,
    Array,
    Collection,
    Enum,
    Err,
    Map,
    Nothing,
    Ok,
    Range,
    Some,
    Struct,
    Tuple,
    Value,
    display,
)

_BLANKS = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip


class Problem(Exception):  # noqa: N818 - what is wrong with a text
    def __init__(self, text: str, at: int, what: str, kind: str = "syntax") -> None:
        super().__init__(what)
        self.what, self.kind = what, kind
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1


def read(text: str) -> Value:
    return _Reader(text.removeprefix("\ufeff")).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fail(self, what: str, at: int | None = None, kind: str = "syntax") -> NoReturn:
        raise Problem(self.text, self.at if at is None else at, what, kind)

    def whole(self) -> Value:
        value = self.value(0)
        self.blanks()
        if self.at < len(self.text):
            self.fail("text follows the value")
        return value

    def blanks(self) -> None:
        self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches always

    def eat(self, word: str) -> bool:
        found = self.text.startswith(word, self.at)
        self.at += len(word) * found
        return found

    def value(self, depth: int) -> Value:
        self.blanks()
        for word, value in (("null", None), ("true", True), ("false", False)):
            if self.eat(word):
                return value
        first = self.text[self.at : self.at + 1]
        if first == '"':
            return self.string()
        if first in ("[", "{") and depth == 128:
            self.fail("nested deeper than 128", kind="depth")
        if first == "[":
            return self.array(depth + 1)
        if first == "{":
            return self.object(depth + 1)
        if first == "" or first not in "-0123456789":
            self.fail("expected a value")
        return self.number()

    def array(self, depth: int) -> Value:
        self.at += 1
        self.blanks()
        items: list[Value] = []
        if self.eat("]"):
            return Array(())
        while True:
            items.append(self.value(depth))
            self.blanks()
            if self.eat("]"):
                return Array(tuple(items))
            if not self.eat(","):
                self.fail("expected `,` or `]`")

    def object(self, depth: int) -> Value:
        self.at += 1
        self.blanks()
        found = Map(())
        if self.eat("}"):
            return found
        while True:
            self.blanks()
            if self.text[self.at : self.at + 1] != '"':
                self.fail("expected a name in quotes")
            key = self.string()
            self.blanks()
            if not self.eat(":"):
                self.fail("expected `:`")
            found = found.put(key, self.value(depth))
            self.blanks()
            if self.eat("}"):
                return found
            if not self.eat(","):
                self.fail("expected `,` or `}`")

    def number(self) -> Value:
        start = self.at
        found = _NUMBER.match(self.text, start)
        if not found:
            self.fail("expected a digit", start + 1)
        rest = self.text[found.end() :]
        broken = None if found[2] else re.match(r"[eE][+-]?|\.", rest)
        if broken and not (found[1] and broken[0] == "."):
            self.fail("expected a digit", found.end() + len(broken[0]))
        self.at = found.end()
        is_whole = found[1] is None and found[2] is None
        if is_whole and INT_MIN <= int(found[0]) <= INT_MAX:
            return int(found[0])
        number = float(found[0])
        if math.isinf(number):
            self.fail("the number is too large", start)
        return number

    def string(self) -> str:
        self.at += 1
        content = ""
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain
            content += plain[0]
            self.at = plain.end()
            if self.eat('"'):
                return content
            if self.at == len(self.text):
                self.fail("the string does not end")
            if self.text[self.at] != "\\":
                self.fail("a control character in a string must be escaped")
            content += self.escape()

    def escape(self) -> str:
        start = self.at
        letter = self.text[start + 1 : start + 2]
        self.at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != "u":
            self.fail("unknown escape", start)
        found = re.compile(
            r"([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|(?![dD][89abAB]|[dD][c-fC-F])([0-9a-fA-F]{4})"
        ).match(self.text, self.at)
        if not found:
            self.fail("bad Unicode escape", start)
        self.at = found.end()
        if found[3]:
            return chr(int(found[3], 16))
        high, low = int(found[1], 16) - 0xD800, int(found[2], 16) - 0xDC00
        return chr(0x10000 + (high << 10) + low)


def write(value: Value, indent: int | None) -> str:
    """Compact, or with so many spaces for each level."""
    return _write(value, indent, "\n")


def _write(value: Value, indent: int | None, line: str) -> str:
    inner = line + " " * (indent or 0)

    def around(opening: str, parts: list[str], closing: str) -> str:
        if not parts or indent is None:
            return opening + ",".join(parts) + closing
        return opening + inner + f",{inner}".join(parts) + line + closing

    def items(values: tuple[Value, ...]) -> str:
        return around("[", [_write(item, indent, inner) for item in values], "]")

    def object_(pairs: list[tuple[str, Value]]) -> str:
        colon = ":" if indent is None else ": "
        written = [
            json.dumps(k, ensure_ascii=False) + colon + _write(v, indent, inner) for k, v in pairs
        ]
        return around("{", written, "}")

    match value:
        case None | Nothing():
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Some(held):
            return _write(held, indent, line)
        case Ok(held):
            return object_([("ok", held)])
        case Err(held):
            return object_([("err", held)])
        case Array(values) | Tuple(values) | Collection(_, values):
            return items(values)
        case Range():
            return items(tuple(range(value.start, value.stop)))
        case Map(entries):
            return object_([(display(key), item) for key, item in entries])
        case Struct(type_, fields) if type_.origin != "error":
            return object_(list(zip(type_.fields, fields, strict=True)))
        case Enum(type_, variant, fields):
            name, form, names = type_.variants[variant]
            if form == "unit":
                return json.dumps(name)
            data: Value = Array(fields)
            if form == "struct":
                data = Map(tuple(zip(names, fields, strict=True)))
            return object_([("variant", name), ("data", data)])
        case _:
            return json.dumps(display(value), ensure_ascii=False)


def _float(number: float) -> str:
    """Shortest digits; decimal from 1e-5 to below 1e16."""
    if not math.isfinite(number):
        return "null"
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent += len(digits) - len(text) if text != "0" else 0
    point = len(text) + exponent
    minus = "-" * sign
    if text == "0":
        return f"{minus}0.0"
    if -5 < point <= 16:
        if point <= 0:
            return f"{minus}0.{'0' * -point}{text}"
        if point >= len(text):
            return f"{minus}{text}{'0' * (point - len(text))}.0"
        return f"{minus}{text[:point]}.{text[point:]}"
    rest = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{rest}e{'+' * (point > 1)}{point - 1}"
