"""How values are written as text, for the check of constants and the command line alike (language reference 13.7)."""

from __future__ import annotations

import math


def float_text(number: float) -> str:
    """The shortest form that reads back: decimal for 1e-4 <= |x| < 1e16, else with an exponent."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    mantissa, _, exponent = repr(number).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if exponent else mantissa
