"""Quantization of an activation, and real factors as an integer significand and a shift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.errors import DataError, OptionError

Integers = NDArray[np.int64]

MAX_BITS = 8


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the integers of an activation stand for real numbers: real = scale * (integer - zero point).

    Attributes
    ----------
    scale
        Positive; kept as the nearest float32, as in a file.
    zero_point
        The integer that stands for 0.
    bits
        Width of the signed integers, 2 to 8; they run from ``low`` to ``high``.

    Raises
    ------
    OptionError
        A field is out of range.

    Examples
    --------
    >>> Quantization(0.5, -128)
    Quantization(scale=0.5, zero_point=-128, bits=8)

    """

    scale: float
    zero_point: int
    bits: int = MAX_BITS

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            object.__setattr__(self, "scale", float(np.float32(self.scale)))
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise OptionError(f"the scale {self.scale}; it must be a positive float32 number")
        if not 2 <= self.bits <= MAX_BITS:
            raise OptionError(f"integers of {self.bits} bits; allowed are 2 to {MAX_BITS}")
        if not self.low <= self.zero_point <= self.high:
            raise OptionError(f"the zero point {self.zero_point}; it must lie within {self.low} and {self.high}")

    @property
    def low(self) -> int:
        """The least integer."""
        return -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1


def quantize(values: ArrayLike, quantization: Quantization) -> NDArray[np.int8]:
    """Round real numbers to integers as TFLite's operator QUANTIZE does.

    The quotient is taken in float32, halves are rounded away from zero, and what lies outside the range saturates.

    Raises
    ------
    DataError
        A value is not a number.

    Examples
    --------
    >>> quantize([0.25, 0.75, -100.0], Quantization(0.5, 3))
    array([   4,    5, -128], dtype=int8)

    """
    array = np.asarray(values, np.float32)
    if np.isnan(array).any():
        raise DataError("a value is not a number (NaN); integers cannot represent it")
    with np.errstate(over="ignore"):
        steps = round_half_away(array / np.float32(quantization.scale))
    span = quantization.high - quantization.low
    integers = np.clip(steps, -span, span).astype(np.int64) + quantization.zero_point
    return saturate(integers, quantization.low, quantization.high)


def dequantize(integers: ArrayLike, quantization: Quantization) -> NDArray[np.float32]:
    """Return the real numbers that integers stand for, rounded once to float32.

    Examples
    --------
    >>> dequantize([4, -128], Quantization(0.5, 3))
    array([  0.5, -65.5], dtype=float32)

    """
    steps = np.asarray(integers).astype(np.int64) - quantization.zero_point
    return (steps * quantization.scale).astype(np.float32)


def round_half_away(values: NDArray[Any]) -> NDArray[Any]:
    """Round to the nearest whole number, halves away from zero, as C's ``round`` does, in the dtype of the values.

    Examples
    --------
    >>> round_half_away(np.array([0.5, -0.5, 1.4, 0.49999999999999994]))
    array([ 1., -1.,  1.,  0.])

    """
    # with a half itself, the number below 1/2 would become 1; with the one below it, halves still round to the next
    almost = np.nextafter(values.dtype.type(0.5), values.dtype.type(0))
    moved: NDArray[Any] = np.asarray(np.copysign(almost, values))
    moved += values
    np.trunc(moved, out=moved)
    return moved


def saturate(integers: NDArray[Any], low: int, high: int) -> NDArray[np.int8]:
    """Return integers as int8, those outside the range at its ends."""
    result: NDArray[np.int8] = np.clip(integers, low, high).astype(np.int8)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Multiplier:
    """Real factors as integers: significand * 2^(shift - 31).

    Attributes
    ----------
    significand
        int64; 0, or from 2^30 to 2^31 - 1.
    shift
        int64, of the same shape; positive ones shift to the left.

    """

    significand: Integers
    shift: Integers


def quantize_multiplier(real: ArrayLike) -> Multiplier:
    """Write factors of at least 0 as 31-bit significands and powers of two (TFLite's ``QuantizeMultiplier``).

    Factors below 2^-32 become 0.

    Examples
    --------
    >>> result = quantize_multiplier([0.75, 6.0, 1e-12])
    >>> result.significand / 2**31, result.shift
    (array([0.75, 0.75, 0.  ]), array([0, 3, 0]))

    """
    fraction, exponent = np.frexp(np.asarray(real, np.float64))
    significand = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    shift = exponent.astype(np.int64)
    rounded_up = significand == 1 << 31
    significand, shift = np.where(rounded_up, 1 << 30, significand), shift + rounded_up
    vanishes = shift < -31
    return Multiplier(np.where(vanishes, 0, significand), np.where(vanishes, 0, shift))
