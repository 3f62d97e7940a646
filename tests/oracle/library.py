"""The native functions of the modules of `std` and of the methods that came with them, from sections 3 and 4 of the library reference."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import math
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.oracle import json_text
from tests.oracle.machine import Machine, panic
from tests.oracle.natives import WHITE, escaped, fits, plain, pure, unreadable, whole
from tests.oracle.values import (
    INT_MAX,
    INT_MIN,
    Array,
    Err,
    Map,
    Ok,
    Range,
    Struct,
    Tuple,
    Value,
    display,
    option,
    sort_order,
)

# Numbers


def _clamp(number: float, low: float, high: float) -> float:
    if not low <= high:
        shown = (display(low), display(high))
        panic("InvalidArgument", f"the lower bound {shown[0]} is above the upper {shown[1]}")
    return max(low, min(high, number)) if number == number else number


def _radix(number: int, radix: int) -> str:
    if not 2 <= radix <= 36:
        panic("InvalidArgument", "the radix must be 2 to 36")
    digits, rest = "", abs(number)
    while rest or not digits:
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % radix] + digits
        rest //= radix
    return ("-" if number < 0 else "") + digits


def _whole(how: Callable[[float], float]) -> Callable[[float], int]:
    def convert(number: float) -> int:
        found = whole(how(number)) if math.isfinite(number) else None
        if found is None:
            panic("ArithmeticOverflow", f"{display(number)} does not fit into an Int")
        return found

    return convert


def _half_away(number: float) -> float:
    inside = math.trunc(number)
    return inside + math.copysign(1, number) if abs(number - inside) >= 0.5 else inside


def _small_power(base: int, exponent: int) -> int | None:
    """None if it does not fit; huge exponents are not tried."""
    if exponent < 0:
        return None
    if abs(base) > 1 and exponent > 64:
        return None
    power = int(base ** (exponent if abs(base) > 1 else min(exponent, 2 + exponent % 2)))
    return power if INT_MIN <= power <= INT_MAX else None


def _pow(base: int, exponent: int) -> int:
    if exponent < 0:
        hint = f"a Float as base, such as {base}.0, has such powers"
        panic("InvalidArgument", f"the exponent {exponent} is negative: {hint}")
    power = _small_power(base, exponent)
    return fits(INT_MAX + 1) if power is None else power


def _checked(number: int | None) -> Value:
    return option(number, number is not None and INT_MIN <= number <= INT_MAX)


def _wrapped(number: int) -> int:
    return (number - INT_MIN) % 2**64 + INT_MIN


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent % 2 == 1
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _cube_root(number: float) -> float:
    """Rounded once, which the C library of some systems is not."""
    if not math.isfinite(number) or number == 0:
        return number
    return math.copysign(float(Decimal(abs(number)) ** (Decimal(1) / 3)), number)


def _outside(function: Callable[..., float], *otherwise: float) -> Callable[..., float]:
    """Where Python raises, IEEE has a value: that at zero, then elsewhere."""

    def call(*args: float) -> float:
        try:
            return function(*args)
        except OverflowError:
            return math.inf
        except ValueError:
            return otherwise[0] if otherwise and args[0] == 0 else math.nan

    return call


plain(
    {
        "int.sign": lambda number: (number > 0) - (number < 0),
        "int.clamp": _clamp,
        "int.to_string_radix": _radix,
        "bool.to_int": int,
        "float.pow": _power,
        "float.clamp": _clamp,
        "float.is_finite": math.isfinite,
        "float.is_infinite": math.isinf,
        "math.round": _whole(_half_away),
        "math.floor": _whole(math.floor),
        "math.ceil": _whole(math.ceil),
        "math.trunc": _whole(math.trunc),
        "math.pow": _pow,
        "math.cbrt": _cube_root,
        "math.atan2": math.atan2,
        "math.hypot": math.hypot,
        "math.checked_pow": lambda base, exponent: _checked(_small_power(base, exponent)),
    }
)
plain(
    {
        f"math.{name}": _outside(getattr(math, name))
        for name in ("exp", "sin", "cos", "tan", "asin", "acos", "atan")
    }
)
plain(
    {
        f"math.{name}": _outside(getattr(math, of), -math.inf)
        for name, of in (("ln", "log"), ("log10", "log10"), ("log2", "log2"))
    }
)
for _name, _operation in (("add", operator.add), ("sub", operator.sub), ("mul", operator.mul)):
    plain(
        {
            f"math.checked_{_name}": functools.partial(
                lambda operation, a, b: _checked(operation(a, b)), _operation
            ),
            f"math.wrapping_{_name}": functools.partial(
                lambda operation, a, b: _wrapped(operation(a, b)), _operation
            ),
        }
    )


# Ranges and arrays


def _every(range_: Range, step: int) -> Array:
    if step < 1:
        panic("InvalidArgument", "the step must be at least 1")
    if len(range(range_.start, range_.stop, step)) > 100_000_000:
        panic("LimitExceeded", "the array would have more than 100,000,000 elements")
    return Array(tuple(range(range_.start, range_.stop, step)))


def _size(number: int) -> int:
    if number < 1:
        panic("InvalidArgument", "the size must be at least 1")
    return number


def _sorted_with(array: Array, keys: Array) -> Array:
    by_key = functools.cmp_to_key(sort_order)
    order = sorted(range(len(keys.items)), key=lambda at: by_key(keys.items[at]))
    return Array(tuple(array.items[at] for at in order))


def _chunks(array: Array, size: int) -> Array:
    size = _size(size)
    starts = range(0, len(array.items), size)
    return Array(tuple(Array(array.items[at : at + size]) for at in starts))


def _windows(array: Array, size: int) -> Array:
    size = min(_size(size), max(len(array.items), 1))
    starts = range(len(array.items) - size + 1)
    return Array(tuple(Array(array.items[at : at + size]) for at in starts))


def _to_map(array: Array) -> Map:
    found = Map(())
    for pair in array.items:
        assert isinstance(pair, Tuple)
        found = found.put(*pair.items)
    return found


plain(
    {
        "range.is_empty": lambda range_: range_.stop <= range_.start,
        "range.start": lambda range_: range_.start,
        "range.end": lambda range_: range_.end,
        "range.step_by": _every,
        "range.reversed": lambda range_: Array(_every(range_, 1).items[::-1]),
        "array.sorted_with": _sorted_with,
        "array.chunks": _chunks,
        "array.windows": _windows,
        "array.flatten": lambda array: Array(
            tuple(x for inner in array.items for x in inner.items)
        ),
        "array.to_map": _to_map,
    }
)


# Texts


def _rfind(text: str, part: str) -> Value:
    at = text.rfind(part)
    return option(at, at >= 0)


def _count(text: str, part: str) -> int:
    if not part:
        panic("InvalidArgument", "the text to count is empty")
    return text.count(part)


def _split_once(text: str, separator: str) -> Value:
    at = text.find(separator)
    pair = Tuple((text[:at], text[at + len(separator) :]))
    return option(pair, at >= 0)


def _padding(text: str, width: int, fill: str) -> str:
    missing = max(max(width, 0) - len(text), 0)
    if missing * len((fill[:1] or " ").encode()) > 256 << 20:
        panic("LimitExceeded", "the text is larger than 256 MiB")
    return (fill[:1] or " ") * missing


def _truncate(text: str, most: int, ellipsis: str) -> str:
    most = max(most, 0)
    if len(text) <= most:
        return text
    return text[: max(most - len(ellipsis), 0)] + ellipsis[:most]


def _indent(text: str, spaces: int) -> str:
    lines = text.split("\n")
    if max(spaces, 0) * len(lines) > 256 << 20:
        panic("LimitExceeded", "the text is larger than 256 MiB")
    return "\n".join(line if line in ("", "\r") else " " * spaces + line for line in lines)


def _dedent(text: str) -> str:
    lines = text.split("\n")
    margins = [re.match("[ \t]*", line)[0] for line in lines if line.strip(" \t\r")]  # type: ignore[index]  # it matches always
    margin = margins[0] if margins else ""
    while not all(other.startswith(margin) for other in margins):
        margin = margin[:-1]
    return "\n".join(
        line.removeprefix(margin) if line.strip(" \t\r") else "\r" * line.endswith("\r")
        for line in lines
    )


@pure("string.parse_bool")
def _parse_bool(m: Machine, text: str) -> Value:
    word = text.strip(WHITE)
    if word in ("true", "false"):
        return Ok(word == "true")
    return unreadable(m, "Bool", "invalid" if word else "empty", text)


def _folded(text: str) -> list[str]:
    def one(mapped: str, otherwise: str) -> str:
        return mapped if len(mapped) == 1 else otherwise

    return [one(up.lower(), up) for up in (one(c.upper(), c) for c in text)]


plain(
    {
        "string.char_at": lambda text, at: option(text[at : at + 1], 0 <= at < len(text)),
        "string.bytes": lambda text: Array(tuple(text.encode())),
        "string.rfind": _rfind,
        "string.count": _count,
        "string.split_once": _split_once,
        "string.replace_first": lambda text, old, new: text.replace(old, new, 1),
        "string.reverse": lambda text: text[::-1],
        "string.pad_left": lambda text, width, fill: _padding(text, width, fill) + text,
        "string.pad_right": lambda text, width, fill: text + _padding(text, width, fill),
        "string.truncate": _truncate,
        "string.indent": _indent,
        "string.dedent": _dedent,
        "string.eq_ignore_case": lambda left, right: _folded(left) == _folded(right),
    }
)


@pure("result.context")
def _context(_: Machine, result: Value, note: str) -> Value:
    match result:
        case Err(str() as message):
            return Err(f"{note}: {message}")
        case Err(Struct(type_, (message, *others))) if type_.origin == "error":
            return Err(Struct(type_, (f"{note}: {message}", *others)))
        case _:
            return result


# fmt and prompt


def _format(template: str, args: Array) -> str:
    following = iter(range(len(template)))

    def place(found: re.Match[str]) -> str:
        if found[0] == "{{}}":
            return "{}"
        at = int(found[1]) if found[1] else next(following)
        if at >= len(args.items):
            count = len(args.items)
            # Numbers above those of the machine are all the same.
            panic("InvalidArgument", f"the template wants argument {at}, but there are {count}")
        return display(args.items[at])

    return re.sub(r"\{\{\}\}|\{([0-9]*)\}", place, template)


_PLACE = re.compile(r"\$\{([^}]*)\}|\{\{(.*?)\}\}", re.S)


def _fill(template: str, vars_: Map) -> tuple[str, list[str], list[str]]:
    """The text, and the names that were used or are not there."""
    used: list[str] = []
    unknown: list[str] = []
    out, at = "", 0
    while at < len(template):
        found = _PLACE.match(template, at)
        name = (found[1] if found[1] is not None else found[2]).strip(WHITE) if found else ""
        if not found or not re.fullmatch(r"[^\W\d]\w*", name):
            out, at = out + template[at], at + 1
            continue
        place = vars_.find(name)
        if place is None:
            unknown.append(name)
            out += found[0]
        else:
            used.append(name)
            out += display(vars_.entries[place][1])
        at = found.end()
    return out, used, unknown


@pure("prompt.template_strict")
def _template_strict(m: Machine, template: str, vars_: Map) -> Value:
    text, used, unknown = _fill(template, vars_)
    unused = [key for key, _ in vars_.entries if key not in used]
    if not unknown and not unused:
        return Ok(text)
    message = (
        f"there is no value for `{unknown[0]}`"
        if unknown
        else f"the template does not use `{display(unused[0])}`"
    )
    return Err(Struct(m.builtin_type("ParseError"), (message, "invalid", template)))


def _count_tokens(text: str, _model: str) -> int:
    word = r"([A-Za-z0-9]+)"
    mark = r"([!-/:-@\[-`{-~])"
    single = (
        "([\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u1100-\u11ff\u3130-\u318f\uf900-\ufaff\uff66-\uff9f"
        "\U00020000-\U000323af])"
    )
    other = f"((?:(?!{single})[^ -~{WHITE}])+)"
    tokens = 0
    for found in re.finditer(f"{word}|{mark}|{single}|{other}", text):
        size = len(found[0])
        tokens += -(-size // 4) if found[1] else 1 if found[2] or found[3] else -(-size // 2)
    return tokens


plain(
    {
        "fmt.format": _format,
        "prompt.template": lambda template, vars_: _fill(template, vars_)[0],
        "prompt.count_tokens": _count_tokens,
    }
)


# json


@pure("json.parse")
def _parse(m: Machine, text: str) -> Value:
    try:
        return Ok(json_text.read(text))
    except json_text.Problem as problem:
        place = f"line {problem.line}, column {problem.column}"
        message = f"invalid JSON at {place}: {problem.what}"
        fields = (message, problem.kind, problem.line, problem.column, "")
        return Err(Struct(m.builtin_type("JsonError"), fields))


@pure("json.schema_error")
def _schema_error(m: Machine, outcome: Value) -> Value:
    if not isinstance(outcome, Err):
        return outcome
    raise AssertionError("answers that do not fit belong to the tests of schemas")


def _is_valid(text: str) -> bool:
    try:
        json_text.read(text)
    except json_text.Problem:
        return False
    return True


def _pretty(value: Value, indent: int) -> str:
    if not 0 <= indent <= 8:
        panic("InvalidArgument", "`indent` must be 0 to 8")
    return json_text.write(value, indent)


plain(
    {
        "json.is_valid": _is_valid,
        "json.stringify": lambda value: json_text.write(value, None),
        "json.stringify_pretty": _pretty,
    }
)


# crypto


@pure("crypto.base64_decode")
def _decode(m: Machine, text: str) -> Value:
    message = "the text is no base64"
    try:
        return Ok(base64.b64decode(text, validate=True).decode())
    except UnicodeDecodeError:
        message = "the decoded bytes are no UTF-8"
    except (binascii.Error, ValueError):
        pass
    return Err(Struct(m.builtin_type("DecodeError"), (message, "invalid", text)))


plain(
    {
        "crypto.sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
        "crypto.sha512": lambda text: hashlib.sha512(text.encode()).hexdigest(),
        "crypto.md5": lambda text: hashlib.md5(text.encode()).hexdigest(),
        "crypto.hmac_sha256": lambda key, text: hmac.new(
            key.encode(), text.encode(), "sha256"
        ).hexdigest(),
        "crypto.base64_encode": lambda text: base64.b64encode(text.encode()).decode(),
    }
)


# time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


@pure("time.parse")
def _parse_moment(m: Machine, text: str) -> Value:
    found = _MOMENT.fullmatch(text.strip(WHITE))
    try:
        if found:
            return Ok(_moment(*found.groups()))
    except ValueError:
        pass
    message = f"`{escaped(text)}` is no date and time of ISO 8601"
    return Err(Struct(m.builtin_type("TimeError"), (message, "invalid", text)))


def _moment(*parts: str | None) -> int:
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = parts
    assert year
    assert month
    assert day
    at = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=UTC)
    if int(second or 0) > 60 or int(hours or 0) > 23 or int(minutes or 0) > 59:
        raise ValueError
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    passed = (
        at - _EPOCH + timedelta(seconds=int(second or 0)) + (offset if sign == "-" else -offset)
    )
    return passed // timedelta(milliseconds=1) + int(((fraction or "") + "000")[:3])


def _write_moment(moment: int) -> str:
    if not -62_167_219_200_000 <= moment <= 253_402_300_799_999:
        panic("InvalidArgument", f"{moment} ms is outside of the years 0000 to 9999")
    seconds, ms = divmod(moment, 1000)
    at = _EPOCH + timedelta(seconds=seconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms:03}Z"


plain({"time.format": _write_moment})
