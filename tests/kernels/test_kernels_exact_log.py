"""Logarithms, expm1 and erf in float32: accuracy in ULPs, special values, and the stated order of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from checks.float32 import Function32, Function64, bits_of, float_of, floats, largest_error, scalar_exp
from checks.ops import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress.kernels import exact_erf, exact_log
from refcompress.kernels.exact_math import BLOCK_ELEMENTS

F = np.float32
LN2_HI, LN2_LO = F(float.fromhex("0x1.63p-1")), F(float.fromhex("-0x1.bd0106p-13"))
LARGEST, SMALLEST = 3.4e38, 2.0**-149
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)


def polynomial(texts: str, x: np.float32) -> np.float32:
    first, *rest = (F(float.fromhex(text)) for text in texts.split())
    p = first
    for coefficient in rest:
        p = p * x
        p = p + coefficient
    return p


def log_of(u: np.float32, n: int, c: np.float32) -> np.float32:
    i = bits_of(u) + (0x3F800000 - 0x3F3504F3)
    n += (i >> 23) - 127
    f = float_of((i & 0x7FFFFF) + 0x3F3504F3) - F(1)
    k = F(n)
    s = f / (F(2) + f)
    z = s * s
    p = polynomial("0x1.31e036p-2 0x1.995ed8p-2 0x1.55557ap-1", z) * z
    h = F(0.5) * f * f
    p = (p + h) * s
    p = p + (k * LN2_LO + c)
    h = h - p
    h = h - f
    return F(k * LN2_HI - h)


def scalar_log(x: np.float32) -> np.float32:
    if np.isnan(x) or x < 0:
        return F(np.nan)
    if x == 0:
        return F(-np.inf)
    if x == np.inf:
        return x
    return log_of(x * F(2.0**25), -25, F(0)) if x < F(2.0**-126) else log_of(x, 0, F(0))


def scalar_log1p(x: np.float32) -> np.float32:
    if np.isnan(x) or x < -1:
        return F(np.nan)
    if x == -1:
        return F(-np.inf)
    if x == np.inf:
        return x
    u = F(1) + x
    c = x - (u - F(1)) if x < 1 else F(1) - (u - x)
    return log_of(u, 0, F(c / u))


def scalar_softplus(x: np.float32) -> np.float32:
    rest = scalar_log1p(scalar_exp(F(-abs(x))))
    return F(x + rest) if x > 0 else rest


def scalar_expm1(x: np.float32) -> np.float32:
    if np.isnan(x):
        return x
    x = F(min(max(float(x), -20.0), 89.0))
    t = x * F(float.fromhex("0x1.715476p+0"))
    t = t + F(12582912.0)
    n = bits_of(t) - 0x4B400000
    k = t - F(12582912.0)
    r = x - k * LN2_HI
    r = r - k * LN2_LO
    p = polynomial("0x1.6a4748p-10 0x1.1239a2p-7 0x1.5558b6p-5 0x1.555492p-3 0x1.fffffcp-2", r)
    p = p * (r * r)
    p = p + r
    p = p + (F(1) - (float_of((127 - n) << 23) if n < 127 else F(0)))
    n += 254
    p = p * float_of((n >> 1) << 23)
    return F(p * float_of((n - (n >> 1)) << 23))


def scalar_erf(x: np.float32) -> np.float32:
    a = F(abs(x))
    if a < F(0.84375):
        z = x * x
        texts = "-0x1.4e3b52p-11 0x1.4bbc48p-8 -0x1.b73f58p-6 0x1.ce25e8p-4 -0x1.812728p-2 0x1.06eba8p-3"
        return F(polynomial(texts, z) * x + x)
    a = F(4) if a > 4 else a
    texts = "0x1.c49652p-13 -0x1.a7589p-9 0x1.77ce32p-6 -0x1.af73b8p-4 -0x1.4575aep-1 -0x1.20e75ep+0"
    t = F(1) - scalar_exp(polynomial(texts, a) * a)
    return F(-t) if x < 0 else F(t)


def softplus(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@dataclass(frozen=True)
class Case:
    """A function, its float64 oracle, its scalar twin, the stated accuracy and the floats it holds for."""

    function: Function32
    oracle: Function64
    scalar: Callable[[np.float32], np.float32]
    ulps: float
    ranges: tuple[tuple[float, float, int], ...] = ((2.0**-25, 105.0, 1), (2.0**-25, 105.0, -1))
    rises: bool = True

    def largest_error(self, step: int) -> float:
        """Largest error in ULPs over every so-many-th float."""
        return max(
            largest_error(self.function, self.oracle, step, least=least, most=most, signs=(sign,))
            for least, most, sign in self.ranges
        )


CASES = {
    "log": Case(exact_log.log32, np.log, scalar_log, 0.84, ((SMALLEST, LARGEST, 1),)),
    "log1p": Case(
        exact_log.log1p_32, np.log1p, scalar_log1p, 0.87, ((SMALLEST, LARGEST, 1), (SMALLEST, 1 - 2.0**-24, -1))
    ),
    "softplus": Case(exact_log.softplus32, softplus, scalar_softplus, 1.71, rises=False),
    "expm1": Case(exact_erf.expm1_32, np.expm1, scalar_expm1, 1.59),
    "erf": Case(exact_erf.erf32, special.erf, scalar_erf, 1.25, rises=False),
}


@pytest.mark.parametrize("name", CASES)
def test_error_is_below_the_stated_ulps(name: str) -> None:
    assert CASES[name].largest_error(997) <= CASES[name].ulps


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_error_is_below_the_stated_ulps_for_every_float(name: str) -> None:
    assert CASES[name].largest_error(1) <= CASES[name].ulps


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.rises])
def test_function_never_decreases(name: str) -> None:
    x = floats(0, bits_of(F(np.inf)) + 1, 4099)
    x = np.concatenate([-x[::-1], x, floats(bits_of(F(0.7)), bits_of(F(0.72)), 1)])
    y = CASES[name].function(np.sort(x))
    y = y[~np.isnan(y)].astype(np.float64)
    assert (y[1:] >= y[:-1]).all()


def same_as_scalar(name: str, x: NDArray[np.float32]) -> None:
    with np.errstate(all="ignore"):
        wanted = np.array([CASES[name].scalar(v) for v in x], np.float32)
    assert_same_bits(CASES[name].function(x), wanted)


@pytest.mark.parametrize("name", CASES)
def test_every_operation_is_one_float32_rounding_in_the_stated_order(name: str) -> None:
    rng = np.random.default_rng(1)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, 2.0**-126, -20, 88.72284, 89, 0.84375, 4, 4.1, 3.4e38]
    same_as_scalar(
        name,
        np.concatenate(
            [
                rng.integers(0, 1 << 32, 600, np.uint32).view(np.float32),
                rng.uniform(-25, 90, 500).astype(np.float32),
                rng.uniform(-1, 1, 500).astype(np.float32),
                np.array(edges, np.float32),
            ]
        ),
    )


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=30)
@given(st.lists(any_float, max_size=20))
def test_any_float_gives_what_scalar_operations_give(name: str, values: list[float]) -> None:
    same_as_scalar(name, np.array(values, np.float32))


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_kept_inputs_left_alone_and_blocks_do_not_show(name: str) -> None:
    function = CASES[name].function
    x = np.linspace(0.1, 3, 2 * (BLOCK_ELEMENTS // 2 + 1), dtype=np.float32).reshape(2, -1)
    x.flags.writeable = False
    assert_same_bits(function(x), np.stack([function(x[0]), function(x[1])]))
    assert function(x[0, 0].reshape(())).shape == ()
    assert function(x[:0]).shape == (0, x.shape[1])


def test_special_values() -> None:
    infinity, nothing = np.inf, np.nan
    x = np.array([0.0, -1.0, infinity, -infinity, nothing], np.float32)
    np.testing.assert_array_equal(exact_log.log32(x), [-infinity, nothing, infinity, nothing, nothing])
    np.testing.assert_array_equal(exact_log.log1p_32(x), [0, -infinity, infinity, nothing, nothing])
    np.testing.assert_array_equal(exact_log.softplus32(x)[2:], [infinity, 0, nothing])
    np.testing.assert_array_equal(exact_erf.expm1_32(x)[2:], [infinity, -1, nothing])
    np.testing.assert_array_equal(exact_erf.erf32(x)[2:], [1, -1, nothing])
    assert exact_log.log32(np.array([1.0], np.float32)) == 0
    small = np.array([1e-45, -1e-45, 1e-39, -1e-10], np.float32)
    for function in (exact_log.log1p_32, exact_erf.expm1_32):
        assert_same_bits(function(small), small)


def test_erf_is_odd() -> None:
    x = floats(1, bits_of(F(np.inf)), 100_003)
    assert_same_bits(exact_erf.erf32(-x), -exact_erf.erf32(x))


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_log_softmax_follows_the_scalar_loops(rows: list[list[float]]) -> None:
    x = np.array(rows, np.float32)
    for row, got in zip(x, exact_log.log_softmax32(x), strict=True):
        most = row[0]
        for value in row[1:]:
            most = max(most, value)
        total = F(0)
        for value in row:
            total = F(total + scalar_exp(F(value - most)))
        rest = scalar_log(total)
        assert_same_bits(got, np.array([F(value - most) - rest for value in row], np.float32))
