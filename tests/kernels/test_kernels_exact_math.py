"""The float32 functions of the C runtime: accuracy in ULPs, special values, and the stated order of operations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from checks.float32 import bits_of, floats, largest_error, scalar_exp
from checks.ops import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress.kernels import exact_math, exact_pools

F = np.float32
INFINITY_BITS = 0x7F800000
FUNCTIONS = {
    "exp": (exact_math.exp32, np.exp, 0.991),
    "sigmoid": (exact_math.sigmoid32, special.expit, 2.41),
    "tanh": (exact_math.tanh32, np.tanh, 1.34),
}
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)


def scalar_sigmoid(x: np.float32) -> np.float32:
    if x >= 0:
        return F(F(1) / (F(1) + scalar_exp(F(-x))))
    e = scalar_exp(x)
    return F(e / (F(1) + e))


def scalar_tanh(x: np.float32) -> np.float32:
    a = F(abs(x))
    if a < F(0.625):
        z = x * x
        p = F(float.fromhex("-0x1.750ce2p-8"))
        for text in ("0x1.51f8cep-6", "-0x1.b835a4p-5", "0x1.1106f6p-3", "-0x1.555532p-2"):
            p = p * z
            p = p + F(float.fromhex(text))
        p = p * z
        p = p * x
        return F(p + x)
    t = F(1) - F(2) / (scalar_exp(F(a + a)) + F(1))
    return F(-t) if x < 0 else F(t)


SCALAR = {"exp": scalar_exp, "sigmoid": scalar_sigmoid, "tanh": scalar_tanh}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_below_the_stated_ulps(name: str) -> None:
    assert largest_error(*FUNCTIONS[name][:2], 193) <= FUNCTIONS[name][2]


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_below_the_stated_ulps_for_every_float(name: str) -> None:
    assert largest_error(*FUNCTIONS[name][:2], 1) <= FUNCTIONS[name][2]


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_function_never_decreases(name: str) -> None:
    x = floats(0, INFINITY_BITS + 1, 4099)
    x = np.concatenate([-x[::-1], x])
    y = FUNCTIONS[name][0](x).astype(np.float64)
    assert (y[1:] >= y[:-1]).all()
    near = floats(bits_of(F(0.5)), bits_of(F(0.75)), 1)  # tanh changes its formula in here
    y = FUNCTIONS[name][0](near)
    assert (y[1:] >= y[:-1]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_operation_is_one_float32_rounding_in_the_stated_order(name: str) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            rng.integers(0, 1 << 32, 1500, np.uint32).view(np.float32),
            rng.uniform(-105, 90, 1500).astype(np.float32),
            rng.uniform(-1, 1, 1000).astype(np.float32),
            floats(bits_of(F(0.6249)), bits_of(F(0.6251)), 7),
            np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 89, 88.72284, 88.722836, -103.97208, -103.97207], F),
        ]
    )
    with np.errstate(all="ignore"):
        wanted = np.array([SCALAR[name](v) for v in x], np.float32)
    assert_same_bits(FUNCTIONS[name][0](x), wanted)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(st.lists(any_float, max_size=40))
def test_any_float_gives_what_scalar_operations_give(name: str, values: list[float]) -> None:
    x = np.array(values, np.float32)
    with np.errstate(all="ignore"):
        wanted = np.array([SCALAR[name](v) for v in x], np.float32)
    assert_same_bits(FUNCTIONS[name][0](x), wanted)


def test_exp_of_special_values() -> None:
    x = np.array([-np.inf, -1e38, -103.97209, -103.97207, 0.0, -0.0, 88.72283, 88.72284, 3e38, np.inf, np.nan], F)
    y = exact_math.exp32(x)
    tiny = 2.0**-149
    assert y[:8].tolist() == [0, 0, 0, tiny, 1, 1, pytest.approx(3.40279851e38, rel=1e-7), np.inf]
    assert y[8:10].tolist() == [np.inf, np.inf]
    assert math.isnan(y[10])


def test_sigmoid_and_tanh_of_special_values() -> None:
    x = np.array([-np.inf, -200, 0, 200, np.inf, np.nan], np.float32)
    assert exact_math.sigmoid32(x)[:5].tolist() == [0, 0, 0.5, 1, 1]
    assert exact_math.tanh32(x)[:5].tolist() == [-1, -1, 0, 1, 1]
    assert np.isnan(exact_math.sigmoid32(x)[5])
    assert np.isnan(exact_math.tanh32(x)[5])
    denormal = np.array([1e-45, -1e-45, 1e-39], np.float32)
    assert_same_bits(exact_math.tanh32(denormal), denormal)


def test_tanh_is_odd() -> None:
    x = floats(1, INFINITY_BITS, 100_003)
    assert_same_bits(exact_math.tanh32(-x), -exact_math.tanh32(x))


@pytest.mark.parametrize("size", [0, 1, exact_math.BLOCK_ELEMENTS - 1, exact_math.BLOCK_ELEMENTS + 1])
def test_blocks_do_not_show(size: int) -> None:
    x = np.linspace(-3, 3, size, dtype=np.float32)
    for function, _, _ in FUNCTIONS.values():
        halves = np.concatenate([function(x[: size // 3]), function(x[size // 3 :])])
        assert_same_bits(function(x), halves)
        assert_same_bits(function(x[::-1])[::-1], function(x))


def test_shapes_are_kept_and_inputs_left_alone() -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    x.flags.writeable = False
    for function, _, _ in FUNCTIONS.values():
        assert function(x).shape == x.shape
        assert function(x[..., 0]).shape == (2, 3)
        assert function(x[0, 0, 0, None].reshape(())).shape == ()


def scalar_softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    most = x[0]
    for value in x[1:]:
        most = max(most, value)
    powers = [scalar_exp(F(value - most)) for value in x]
    total = F(0)
    for power in powers:
        total = F(total + power)
    return np.array([power / total for power in powers], np.float32)


@given(st.lists(st.lists(any_float, min_size=3, max_size=3), min_size=1, max_size=5))
def test_softmax_follows_the_scalar_loops(rows: list[list[float]]) -> None:
    x = np.array(rows, np.float32)
    with np.errstate(all="ignore"):
        wanted = np.array([scalar_softmax(row) for row in x], np.float32)
    assert_same_bits(exact_math.softmax32(x), wanted)


def test_softmax_is_near_scipy() -> None:
    x = np.random.default_rng(2).normal(0, 20, (50, 1000)).astype(np.float32)
    wanted = special.softmax(x.astype(np.float64), -1)
    # the difference is rounded, times u; exp is 1 ULP off; 999 sums and a quotient are rounded
    bound = wanted * (np.abs(x - x.max(-1, keepdims=True)) + 2 + 1001) * 2.0**-24 + 2.0**-140
    assert (np.abs(exact_math.softmax32(x) - wanted) <= bound).all()


def test_sum_runs_from_the_first_to_the_last() -> None:
    x = np.random.default_rng(3).normal(size=(4, 3, 101)).astype(np.float32)
    wanted = np.zeros((4, 3), np.float32)
    for place in np.ndindex(4, 3):
        total = F(0)
        for value in x[place]:
            total = F(total + value)
        wanted[place] = total
    assert_same_bits(exact_math.sum_in_order(x), wanted)


def test_sum_of_nothing_is_zero() -> None:
    assert exact_math.sum_in_order(np.zeros((2, 0), np.float32)).tolist() == [0, 0]


def test_maximum_keeps_the_first_of_equals_and_skips_nan_behind_it() -> None:
    x = np.array([[-0.0, 0.0], [0.0, -0.0], [1.0, np.nan], [np.nan, 1.0]], np.float32)
    y = exact_math.max_in_order(x)
    assert np.signbit(y[:2]).tolist() == [True, False]
    assert y[2] == 1
    assert np.isnan(y[3])


Pool = Callable[[list[np.float32], int], np.float32]


def pool_loops(
    x: NDArray[np.float32],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    pool: Pool,
) -> NDArray[np.float32]:
    """Gather the taps of every window that lie in the image, in order, and pool them."""
    batch, height, width, channels = x.shape
    out_height = (height + pads[0] + pads[2] - kernel[0]) // strides[0] + 1
    out_width = (width + pads[1] + pads[3] - kernel[1]) // strides[1] + 1
    out = np.zeros((batch, out_height, out_width, channels), np.float32)
    for n, oh, ow, c in np.ndindex(*out.shape):
        seen = []
        for kh, kw in np.ndindex(*kernel):
            row, column = oh * strides[0] - pads[0] + kh, ow * strides[1] - pads[1] + kw
            if 0 <= row < height and 0 <= column < width:
                seen.append(x[n, row, column, c])
        out[n, oh, ow, c] = pool(seen, kernel[0] * kernel[1])
    return out


def loop_max(seen: list[np.float32], _taps: int) -> np.float32:
    most = seen[0]
    for value in seen[1:]:
        most = max(most, value)
    return most


def loop_sum(seen: list[np.float32]) -> np.float32:
    total = F(0)
    for value in seen:
        total = F(total + value)
    return total


def loop_mean(seen: list[np.float32], _taps: int) -> np.float32:
    return F(loop_sum(seen) / F(len(seen)))


def loop_mean_with_padding(seen: list[np.float32], taps: int) -> np.float32:
    return F(loop_sum(seen) / F(taps))


@st.composite
def pools(draw: st.DrawFn) -> tuple[NDArray[np.float32], tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    size, kernel, strides, before, after = [], [], [], [], []
    for _ in range(2):
        k = draw(st.integers(1, 4))
        pads = draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))
        size.append(draw(st.integers(max(1, k - sum(pads)), 7)))
        kernel.append(k)
        strides.append(draw(st.integers(1, 5)))
        before.append(pads[0])
        after.append(pads[1])
    shape = (draw(st.integers(1, 2)), *size, draw(st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.normal(size=shape).astype(np.float32) * rng.choice([0, 1, 1e-3, 1e6], shape).astype(np.float32)
    return x, (kernel[0], kernel[1]), (strides[0], strides[1]), (before[0], before[1], after[0], after[1])


@given(pools())
def test_pools_follow_the_scalar_loops(
    case: tuple[NDArray[np.float32], tuple[int, int], tuple[int, int], tuple[int, int, int, int]],
) -> None:
    assert_same_bits(exact_pools.max_pool32(*case), pool_loops(*case, loop_max))
    excluded = exact_pools.average_pool32(*case, count_include_pad=False)
    assert_same_bits(excluded, pool_loops(*case, loop_mean))
    included = exact_pools.average_pool32(*case, count_include_pad=True)
    assert_same_bits(included, pool_loops(*case, loop_mean_with_padding))


def test_max_pool_keeps_minus_infinity_and_nan_in_first_place() -> None:
    x = np.array([-np.inf, -np.inf, np.nan, 1.0], np.float32).reshape(1, 1, 4, 1)
    y = exact_pools.max_pool32(x, (1, 2), (1, 2), (0, 0, 0, 0))
    assert y[0, 0, 0, 0] == -np.inf
    assert np.isnan(y[0, 0, 1, 0])
