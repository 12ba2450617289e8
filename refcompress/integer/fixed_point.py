"""Fixed-point arithmetic of 32-bit integers, in int64: what gemmlowp's ``fixedpoint.h`` and TFLite compute.

A raw integer r with n integer bits stands for r * 2^(n - 31). All arguments and results fit into 32 bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from refcompress.integer.quantization import Integers, Multiplier

Rounding = Literal["double", "single"]
Factor = Integers | np.int64

INT32_MAX = (1 << 31) - 1
INT32_MIN = -(1 << 31)
MAX_SINGLE_SHIFT = 30
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-2^k), k = -2 ... 4
EXP_OF_MINUS_EIGHTH = 1895147668
ONE_THIRD = 715827883
ONE_Q2 = 1 << 29  # 1 with two integer bits
C_48_OVER_17 = 1515870810  # with two integer bits
C_MINUS_32_OVER_17 = -1010580540
NEWTON_STEPS = 3


def wrap(x: Integers) -> Integers:
    """Keep the lowest 32 bits, as two's complement: what an int32 register would hold.

    Examples
    --------
    >>> wrap(np.array([2**31, -5]))
    array([-2147483648,          -5])

    """
    return x.astype(np.int32).astype(np.int64)


def high_multiply(a: Factor, b: Factor) -> Integers:
    """Return a * b / 2^31, halves rounded up, saturated: ``SaturatingRoundingDoublingHighMul``.

    Examples
    --------
    >>> high_multiply(np.array([3, -3]), np.array(1 << 30))
    array([ 2, -1])

    """
    product = np.asarray(a) * np.asarray(b)
    result: Integers = np.minimum((product + (1 << 30)) >> 31, INT32_MAX)
    return result


def shift_right(x: Integers, bits: Integers | int) -> Integers:
    """Return x / 2^bits, halves rounded away from zero: ``RoundingDivideByPOT``.

    Examples
    --------
    >>> shift_right(np.array([3, -3, 1]), 1)
    array([ 2, -2,  1])

    """
    mask = (np.int64(1) << np.asarray(bits, np.int64)) - 1
    threshold = (mask >> 1) + (x < 0)
    result: Integers = (x >> np.asarray(bits, np.int64)) + ((x & mask) > threshold)
    return result


def shift_left(x: Integers, bits: int) -> Integers:
    """Return x * 2^bits, saturated."""
    result: Integers = np.clip(x << bits, INT32_MIN, INT32_MAX)
    return result


def multiply(x: Integers, factor: Multiplier, rounding: Rounding) -> Integers:
    """Multiply by a quantized factor: TFLite's ``MultiplyByQuantizedMultiplier``.

    Parameters
    ----------
    x
        32-bit integers.
    factor
        Broadcasts against ``x``.
    rounding
        ``"double"``: first to 2^-31 of the product with the significand (halves up), then after the shift to the
        right (halves away from zero). ``"single"``: once, of the exact product (halves up).

    Examples
    --------
    >>> from refcompress.integer.quantization import quantize_multiplier
    >>> quarter = quantize_multiplier(0.25)
    >>> multiply(np.array([5, 6, -6]), quarter, "double"), multiply(np.array([5, 6, -6]), quarter, "single")
    (array([ 2,  2, -2]), array([ 1,  2, -1]))

    """
    if rounding == "double":
        shifted = wrap(x << np.maximum(factor.shift, 0))
        return shift_right(high_multiply(shifted, factor.significand), np.maximum(-factor.shift, 0))
    too_large = factor.shift > MAX_SINGLE_SHIFT
    significand = np.where(too_large, INT32_MAX, factor.significand)
    places = 31 - np.where(too_large, MAX_SINGLE_SHIFT, factor.shift)
    return wrap((x * significand + (np.int64(1) << (places - 1))) >> places)


def exp_of_negative(x: Integers, integer_bits: int) -> Integers:
    """Return exp(x) for x <= 0: gemmlowp's ``exp_on_negative_values``.

    A Taylor polynomial of fourth degree around -1/8 for x modulo 1/4, times a constant for each bit above.

    Parameters
    ----------
    x
        Raw, with ``integer_bits`` of 4 or 5 integer bits.
    integer_bits
        Of ``x``; the result has none.

    Examples
    --------
    >>> (exp_of_negative(np.array([0, -(1 << 26), -(5 << 26)]), 5) / 2**31).round(6)
    array([1.      , 0.36788 , 0.006738])

    """
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    low = (x & (quarter - 1)) - quarter
    above = low - x
    result = _exp_near_minus_eighth(shift_left(low, integer_bits))
    for place, factor in enumerate(EXP_FACTORS[: integer_bits + 2]):
        bit = (above >> (fraction_bits - 2 + place)) & 1
        result = np.where(bit, high_multiply(result, np.int64(factor)), result)
    return np.where(x == 0, INT32_MAX, result)


def _exp_near_minus_eighth(a: Integers) -> Integers:
    x = a + (1 << 28)
    square = high_multiply(x, x)
    cube, fourth = high_multiply(square, x), high_multiply(square, square)
    tail = high_multiply(shift_right(fourth, 2) + cube, np.int64(ONE_THIRD)) + square
    constant = np.int64(EXP_OF_MINUS_EIGHTH)
    result: Integers = constant + high_multiply(constant, x + shift_right(tail, 1))
    return result


def _newton(a: Integers) -> Integers:
    """Return 2 / (1 + a) with two integer bits, for raw a from 0 to 1 without any (Newton-Raphson division)."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = C_48_OVER_17 + high_multiply(half_denominator, np.int64(C_MINUS_32_OVER_17))
    for _ in range(NEWTON_STEPS):
        rest = ONE_Q2 - high_multiply(half_denominator, x)
        x = x + shift_left(high_multiply(x, rest), 2)
    return x


def reciprocal_of_one_plus(a: Integers) -> Integers:
    """Return 1 / (1 + a) for a from 0 to 1, raw without integer bits: ``one_over_one_plus_x_for_x_in_0_1``.

    Examples
    --------
    >>> (reciprocal_of_one_plus(np.array([0, 1 << 30])) / 2**31).round(6)
    array([1.      , 0.666667])

    """
    return shift_left(_newton(a), 1)


def logistic(x: Integers, integer_bits: int = 4) -> Integers:
    """Return 1 / (1 + exp(-x)), raw without integer bits: gemmlowp's ``logistic``.

    Examples
    --------
    >>> (logistic(np.array([0, 1 << 27])) / 2**31).round(6)
    array([0.5     , 0.731059])

    """
    positive = reciprocal_of_one_plus(exp_of_negative(-np.abs(x), integer_bits))
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, INT32_MAX - positive))


def tanh(x: Integers, integer_bits: int = 4) -> Integers:
    """Return tanh(x), raw without integer bits: gemmlowp's ``tanh``.

    Examples
    --------
    >>> (tanh(np.array([0, -(1 << 27)])) / 2**31).round(6)
    array([ 0.      , -0.761594])

    """
    power = exp_of_negative(-np.abs(x), integer_bits + 1)  # the same bits, read as 2 x
    size = shift_left(_newton(power) - ONE_Q2, 2)
    return np.where(x == 0, 0, np.sign(x) * size)


def bit_length(x: Integers) -> Integers:
    """Return how many bits positive integers have.

    Examples
    --------
    >>> bit_length(np.array([1, 4, 2**31 - 1]))
    array([ 1,  3, 31])

    """
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
