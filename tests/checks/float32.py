"""float32 numbers by their bits, errors in ULP, and the scalar twin of exp."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F = np.float32
Function32 = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Function64 = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def bits_of(value: np.float32) -> int:
    """Return the bit pattern of a float."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def float_of(bits: int) -> np.float32:
    """Return the float of a bit pattern."""
    return F(struct.unpack("<f", struct.pack("<I", bits))[0])


def scalar_exp(x: np.float32) -> np.float32:
    """Compute exp32 as its C code does, one scalar operation after another."""
    if np.isnan(x):
        return x
    x = F(min(max(float(x), -104.0), 89.0))
    t = x * F(float.fromhex("0x1.715476p+0"))
    t = t + F(12582912.0)
    n = bits_of(t) - 0x4B400000
    k = t - F(12582912.0)
    r = x - k * F(float.fromhex("0x1.63p-1"))
    r = r - k * F(float.fromhex("-0x1.bd0106p-13"))
    p = F(float.fromhex("0x1.6a4748p-10"))
    for text in ("0x1.1239a2p-7", "0x1.5558b6p-5", "0x1.555492p-3", "0x1.fffffcp-2"):
        p = p * r
        p = p + F(float.fromhex(text))
    p = p * (r * r)
    p = p + r
    p = p + F(1)
    n += 254
    p = p * float_of((n >> 1) << 23)
    return F(p * float_of((n - (n >> 1)) << 23))


def floats(start_bits: int, stop_bits: int, step: int) -> NDArray[np.float32]:
    """Every so-many-th float between two bit patterns."""
    return np.arange(start_bits, stop_bits, step, np.uint32).view(np.float32)


def ulps(got: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Error in units of the last place that float32 has at the exact result, denormals included."""
    _, exponent = np.frexp(wanted)
    return np.abs(got - wanted) / np.exp2(np.maximum(exponent - 24, -149))


def largest_error(
    function: Function32,
    oracle: Function64,
    step: int,
    *,
    least: float = 2.0**-25,
    most: float = 105.0,
    signs: tuple[int, ...] = (1, -1),
) -> float:
    """Largest error in ULPs over every so-many-th float from ``least`` to ``most``, with the given signs."""
    worst = 0.0
    first, last = bits_of(F(least)), bits_of(F(most))
    for low in range(first, last, 1 << 22):
        positive = floats(low, min(last, low + (1 << 22)), step)
        for sign in signs:
            x = F(sign) * positive
            with np.errstate(over="ignore", under="ignore"):
                exact = oracle(x.astype(np.float64))
                fits = np.isfinite(exact.astype(np.float32))
            got = function(x)
            assert np.array_equal(np.isfinite(got), fits)
            worst = max(worst, float(ulps(got[fits], exact[fits]).max(initial=0.0)))
    return worst
