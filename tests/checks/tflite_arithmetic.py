"""TFLite's integer arithmetic once more, in Python's unbounded integers and fractions, one number at a time.

Written from the definitions (rounding, saturation, wrapping), with none of the shortcuts of the library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
HALF = Fraction(1, 2)


def half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves upwards."""
    return math.floor(value + HALF)


def half_away(value: Fraction) -> int:
    """Round to the nearest integer, halves away from zero."""
    return math.floor(value + HALF) if value >= 0 else -math.floor(-value + HALF)


def wrap(value: int) -> int:
    """Keep 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def saturate(value: int, low: int, high: int) -> int:
    """Keep within a range."""
    return min(max(value, low), high)


def quantized_multiplier(real: float) -> tuple[int, int]:
    """Significand of 31 bits and exponent of a positive factor."""
    if real == 0:
        return 0, 0
    exponent = math.floor(math.log2(real)) + 1
    while Fraction(real) >= Fraction(2) ** exponent:
        exponent += 1
    while Fraction(real) < Fraction(2) ** (exponent - 1):
        exponent -= 1
    significand = half_away(Fraction(real) / Fraction(2) ** (exponent - 31))
    if significand == 2**31:
        significand, exponent = 2**30, exponent + 1
    return (0, 0) if exponent < -31 else (significand, exponent)


def high_multiply(a: int, b: int) -> int:
    """Multiply as gemmlowp's SaturatingRoundingDoublingHighMul: C's division truncates, so a nudge rounds."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return int(Fraction(product + nudge, 2**31))  # truncates


def divide_by_power(value: int, exponent: int) -> int:
    """Divide as gemmlowp's RoundingDivideByPOT."""
    return half_away(Fraction(value, 2**exponent))


def multiply(value: int, real: float, rounding: str) -> int:
    """MultiplyByQuantizedMultiplier by a real factor."""
    return multiply_by(value, *quantized_multiplier(real), rounding)


def multiply_by(value: int, significand: int, shift: int, rounding: str) -> int:
    """MultiplyByQuantizedMultiplier by a factor that is quantized already."""
    if rounding == "double":
        product = high_multiply(wrap(value * 2 ** max(shift, 0)), significand)
        return divide_by_power(product, max(-shift, 0))
    if shift > 30:
        significand, shift = INT32_MAX, 30
    return wrap(half_up(Fraction(value * significand) * Fraction(2) ** (shift - 31)))


def float_quotient(bound: float, scale: float) -> Fraction:
    """Return the float32 quotient of two float32 numbers, exactly."""
    return Fraction(float(np.float32(bound) / np.float32(scale)))


def convolve(
    image: Sequence[Sequence[Sequence[int]]],
    kernel: Sequence[Sequence[Sequence[Sequence[int]]]],
    bias: Sequence[int],
    zero_point: int,
    geometry: tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int], int],
) -> list[list[list[int]]]:
    """Accumulators of a convolution: kernel [ky][kx][channel of the group][output], loops as the definition says."""
    (sy, sx), (top, left, bottom, right), (dy, dx), group = geometry
    height, width = len(image), len(image[0])
    kh, kw, cin, cout = len(kernel), len(kernel[0]), len(kernel[0][0]), len(kernel[0][0][0])
    rows = (height + top + bottom - dy * (kh - 1) - 1) // sy + 1
    columns = (width + left + right - dx * (kw - 1) - 1) // sx + 1
    result = [[[0] * cout for _ in range(columns)] for _ in range(rows)]
    for oy in range(rows):
        for ox in range(columns):
            for oc in range(cout):
                total = bias[oc]
                for ky in range(kh):
                    for kx in range(kw):
                        y, x = oy * sy + ky * dy - top, ox * sx + kx * dx - left
                        if 0 <= y < height and 0 <= x < width:
                            for ci in range(cin):
                                channel = oc // (cout // group) * cin + ci
                                total += kernel[ky][kx][ci][oc] * (image[y][x][channel] - zero_point)
                result[oy][ox][oc] = wrap(total)
    return result


def rounded_mean(values: Sequence[int]) -> int:
    """Mean of integers, halves away from zero."""
    return half_away(Fraction(sum(values), len(values)))
