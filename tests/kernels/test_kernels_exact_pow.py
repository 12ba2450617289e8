"""Powers in float32: accuracy in ULPs, special values, and the stated order of operations."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from checks.float32 import floats, ulps
from checks.ops import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.kernels.exact_math import BLOCK_ELEMENTS
from refcompress.kernels.exact_pow import pow32

F = np.float32
EXPONENTS = (0.5, -0.5, 2.0, 3.0, -1.0, 0.0, 1.7, 1.0, -2.0, 10.0, 1 / 3, -7.25, 100.0, 1e-3)
SPECIAL = (0.0, 1.0, 2.0, 0.5, 3.0, 2.5, math.inf, 1e-45, 3.4e38, 2.0**24 - 1, 2.0**24, 2.0**23 + 0.5, 1e30)
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)


def bits64(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def value64(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def scalar_log2(a: float) -> float:
    if a in {0.0, math.inf}:
        return -math.inf if a == 0 else math.inf
    i = bits64(a) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    f = value64((i & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 2 / 17
    for n in (15, 13, 11, 9, 7, 5, 3, 1):
        p = p * z
        p = p + 2 / n
    p = p * s
    p = p * float.fromhex("0x1.71547652b82fep+0")
    return p + float((i >> 52) - 1023)


def scalar_pow(x: np.float32, y: np.float32) -> np.float32:
    """Compute pow32 as its C code does, one scalar operation after another."""
    if y == 0 or x == 1:
        return F(1)
    if np.isnan(x) or np.isnan(y):
        return F(np.nan)
    if y == 2:
        return x * x
    large = abs(y) >= F(2.0**24)
    n = 0 if large else int(y)
    if x < 0 and x != -np.inf and not large and y != F(n):
        return F(np.nan)
    log = scalar_log2(abs(float(x)))
    t = 0.0 if log == 0 else float(y) * log
    t = min(max(t, -160.0), 160.0)
    k = (t + 6755399441055744.0) - 6755399441055744.0
    r = (t - k) * float.fromhex("0x1.62e42fefa39efp-1")
    q = 1 / math.factorial(11)
    for power in range(10, -1, -1):
        q = q * r
        q = q + 1 / math.factorial(power)
    w = F(q * 2.0 ** int(k))
    return F(-w) if math.copysign(1, x) < 0 and not large and y == F(n) and n % 2 else w


def same_as_scalar(x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
    with np.errstate(all="ignore"):
        wanted = np.array([scalar_pow(a, b) for a, b in zip(x, y, strict=True)], np.float32)
    assert_same_bits(pow32(x, y), wanted)


def largest_error(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Largest error in ULPs, against logarithm and exponential of long double."""
    with np.errstate(all="ignore"):
        wide = np.exp2(np.longdouble(y) * np.log2(np.longdouble(x)))
        fits = np.isfinite(wide.astype(np.float32))
    got = pow32(x, y)
    assert np.array_equal(np.isfinite(got), fits)
    # the exact value to 2**-53 of itself
    return float(ulps(got[fits], wide[fits].astype(np.float64)).max())


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double has no more digits than double here")
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_error_is_below_the_stated_ulps_over_all_sizes_of_the_base(exponent: float) -> None:
    x = floats(1, 0x7F800000, 9973)
    assert largest_error(x, np.full(x.shape, exponent, F)) <= 0.50001


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double has no more digits than double here")
def test_error_is_below_the_stated_ulps_up_to_the_largest_and_smallest_results() -> None:
    rng = np.random.default_rng(0)
    for spread in (1e-6, 1e-3, 0.1, 1, 120):
        x = np.exp2(rng.uniform(-spread, spread, 100_000)).astype(F)
        x = x[x != 1]
        y = (rng.uniform(-152, 130, x.size) / np.log2(x.astype(np.float64))).astype(F)
        assert largest_error(x, y) <= 0.50001


def test_every_operation_is_one_rounding_in_the_stated_order() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 1 << 32, (2, 600), np.uint32).view(np.float32)
    same_as_scalar(x, y)
    x = rng.lognormal(0, 3, 1000).astype(F) * rng.choice([-1, 1], 1000).astype(F)
    same_as_scalar(x, rng.choice(np.array(EXPONENTS, F), 1000))
    same_as_scalar(np.abs(x), rng.normal(0, 10, 1000).astype(F))


@settings(max_examples=50)
@given(st.lists(st.tuples(any_float, any_float | st.integers(-9, 9).map(float)), max_size=20))
def test_any_floats_give_what_scalar_operations_give(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs, np.float32).reshape(-1, 2).T
    same_as_scalar(x, y)


def test_special_values_are_those_of_c() -> None:
    signed = np.array([sign * value for value in SPECIAL for sign in (1, -1)] + [math.nan], F)
    x, y = (grid.ravel() for grid in np.meshgrid(signed, signed))
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.float64), y.astype(np.float64)).astype(F)  # the C library's pow
    got = pow32(x, y)
    special = ~np.isfinite(wanted) | (wanted == 0) | (np.abs(wanted) == 1)
    assert special.sum() > 300
    assert_same_bits(got[special], wanted[special])


def test_a_square_is_the_product_rounded_once() -> None:
    x = np.random.default_rng(2).normal(size=100_000).astype(F)
    x[:4096] = np.arange(4096, 8192)  # many squares stand half-way between two floats
    assert_same_bits(pow32(x, np.array([2], F)), x * x)


def test_shapes_broadcast_inputs_are_left_alone_and_blocks_do_not_show() -> None:
    x = np.linspace(0.1, 3, 2 * (BLOCK_ELEMENTS // 2 + 1), dtype=np.float32).reshape(2, -1)
    y = np.array([[1.7], [-0.5]], F)
    x.flags.writeable = y.flags.writeable = False
    assert_same_bits(pow32(x, y), np.stack([pow32(x[0], y[0]), pow32(x[1], y[1])]))
    assert pow32(x[0, 0].reshape(()), y[0, 0].reshape(())).shape == ()
    assert pow32(x[:0], y[:1]).shape == (0, x.shape[1])
