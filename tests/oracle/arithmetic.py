"""Arithmetic on numbers, from sections 13.1 and 13.2 of the language reference."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from tests.oracle.machine import panic
from tests.oracle.values import INT_MAX, INT_MIN


def checked(number: int) -> int:
    """A result within 64 bits."""
    if not INT_MIN <= number <= INT_MAX:
        panic("ArithmeticOverflow", "the result does not fit into 64 bits")
    return number


def _nonzero(divisor: int) -> int:
    if divisor == 0:
        panic("DivisionByZero", "division by zero")
    return abs(divisor)


def _div_int(dividend: int, divisor: int) -> int:
    quotient = abs(dividend) // _nonzero(divisor)  # toward zero
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _rem_int(dividend: int, divisor: int) -> int:
    rest = abs(dividend) % _nonzero(divisor)
    return -rest if dividend < 0 else rest


def _div_float(dividend: float, divisor: float) -> float:
    if divisor != 0:
        return dividend / divisor
    if dividend == 0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def _rem_float(dividend: float, divisor: float) -> float:
    if divisor == 0 or math.isinf(dividend):
        return math.nan
    return math.fmod(dividend, divisor)


_INTS: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _div_int,
    "rem": _rem_int,
}
_FLOATS: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _div_float,
    "rem": _rem_float,
}


def ints(name: str, left: int, right: int) -> int:
    """`add`, `sub`, `mul`, `div` or `rem` of two Ints."""
    return checked(_INTS[name](left, right))


def floats(name: str, left: float, right: float) -> float:
    """The same of two Floats."""
    return _FLOATS[name](left, right)
