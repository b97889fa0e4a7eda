"""Formats numbers as the LuaJIT of the recorded runs does.

LuaJIT from February 2016 to December 2025 rounds an exact tie away from zero: string.format("%.3f", 0.0625) is 0.063.
Older and newer versions round it to the even digit, 0.062, as C and Python do. Source: LuaJIT's lj_strfmt_num.c, and
the recorded runs.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal

_EXACT = Context(prec=1100, rounding=ROUND_HALF_UP)  # the longest double has 767 significant digits, 1074 decimals


def fixed(x: float, decimals: int) -> str:
    """`%.{decimals}f`: fixed(0.0625, 3) -> '0.063'"""
    if not math.isfinite(x):
        return _not_finite(x)
    return format(_EXACT.quantize(Decimal(x), Decimal(1).scaleb(-decimals)), "f")


def scientific(x: float, decimals: int) -> str:
    """`%.{decimals}e`: scientific(0.6571, 2) -> '6.57e-01'"""
    if not math.isfinite(x):
        return _not_finite(x)
    if x == 0:
        return f"{x:.{decimals}e}"
    rounded = Context(prec=decimals + 1, rounding=ROUND_HALF_UP).plus(Decimal(x))
    mantissa, exponent = f"{rounded:.{decimals}e}".split("e")
    return f"{mantissa}e{int(exponent):+03d}"


def tostring(x: float) -> str:
    """`tostring(x)`, which is `%.14g`: tostring(0.002) -> '0.002', tostring(128.0) -> '128'"""
    if not math.isfinite(x):
        return _not_finite(x)
    if x == 0:
        return f"{x:.0f}"  # -0, too
    rounded = Context(prec=14, rounding=ROUND_HALF_UP).plus(Decimal(x))
    return f"{float(rounded):.14g}"


def _not_finite(x: float) -> str:
    return "nan" if math.isnan(x) else "-inf" if x < 0 else "inf"
