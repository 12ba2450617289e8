"""Fixed-point arithmetic against unbounded integers and against the real functions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from checks import tflite_arithmetic as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress.integer import fixed_point
from refcompress.integer.fixed_point import Rounding
from refcompress.integer.quantization import Multiplier, quantize_multiplier, round_half_away

INT32 = st.integers(-(2**31), 2**31 - 1)
EDGES = [-(2**31), -(2**31) + 1, -(2**30) - 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, 2**31 - 1]


def _one(value: int) -> np.ndarray:
    return np.array([value], np.int64)


@given(INT32, INT32)
def test_high_multiply_is_gemmlowps(a: int, b: int) -> None:
    assert fixed_point.high_multiply(_one(a), _one(b))[0] == oracle.high_multiply(a, b)


def test_high_multiply_is_gemmlowps_at_the_edges() -> None:
    a, b = np.meshgrid(EDGES, EDGES)
    expected = [[oracle.high_multiply(x, y) for x in EDGES] for y in EDGES]
    assert fixed_point.high_multiply(a.astype(np.int64), b.astype(np.int64)).tolist() == expected


@given(INT32, st.integers(0, 31))
def test_shift_right_rounds_halves_away_from_zero(x: int, bits: int) -> None:
    assert fixed_point.shift_right(_one(x), bits)[0] == oracle.divide_by_power(x, bits)


@given(INT32, st.integers(2**30, 2**31 - 1), st.integers(-31, 31), st.sampled_from(["double", "single"]))
@settings(max_examples=300)
def test_multiply_is_that_of_the_specification(x: int, significand: int, shift: int, rounding: Rounding) -> None:
    factor = Multiplier(np.asarray(significand), np.asarray(shift))
    found = fixed_point.multiply(_one(x), factor, rounding)[0]
    assert found == oracle.multiply_by(x, significand, shift, rounding)


@given(st.floats(2.0**-40, 2.0**30))
def test_a_factor_is_written_with_31_bits(real: float) -> None:
    found = quantize_multiplier(real)
    assert (int(found.significand), int(found.shift)) == oracle.quantized_multiplier(real)


@pytest.mark.parametrize(
    ("real", "significand", "shift"), [(0.0, 0, 0), (1.0, 2**30, 1), (1 - 2.0**-40, 2**30, 1), (2.0**-33, 0, 0)]
)
def test_factors_at_the_edges(real: float, significand: int, shift: int) -> None:
    found = quantize_multiplier(real)
    assert (int(found.significand), int(found.shift)) == (significand, shift)


@given(st.floats(-1e6, 1e6))
def test_halves_are_rounded_away_from_zero(value: float) -> None:
    assert round_half_away(np.array([value]))[0] == oracle.half_away(Fraction(value))


@given(st.integers(0, 2**25), st.integers(-2, 2), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_numbers_next_to_halves_are_rounded_exactly(doubled: int, away: int, negative: bool, dtype: type) -> None:
    value = dtype(doubled) / dtype(2)
    for _ in range(abs(away)):
        value = np.nextafter(value, dtype(away * np.inf))
    value = -value if negative else value
    assert round_half_away(np.array([value], dtype))[0] == oracle.half_away(Fraction(float(value)))


def test_infinite_numbers_and_none_stay_what_they_are() -> None:
    found = round_half_away(np.array([np.inf, -np.inf, np.nan], np.float32))
    assert np.array_equal(found, [np.inf, -np.inf, np.nan], equal_nan=True)


@pytest.mark.parametrize("integer_bits", [4, 5])
def test_exp_is_off_by_the_rest_of_its_polynomial_at_most(integer_bits: int) -> None:
    rest, roundings = (1 / 8) ** 5 / 120, 16 / 2**31  # of degree 4 within 1/8 around its centre
    raw = -np.unique(np.linspace(0, 2**31 - 1, 20011).astype(np.int64))
    found = fixed_point.exp_of_negative(raw, integer_bits) / 2**31
    assert np.abs(found - np.exp(raw / 2.0 ** (31 - integer_bits))).max() < rest + roundings


def test_exp_of_zero_is_the_largest_number() -> None:
    assert fixed_point.exp_of_negative(_one(0), 5)[0] == 2**31 - 1


def test_reciprocal_is_right_to_eight_digits() -> None:
    raw = np.linspace(0, 2**31 - 1, 10007).astype(np.int64)
    found = fixed_point.reciprocal_of_one_plus(raw) / 2**31
    assert np.abs(found - 1 / (1 + raw / 2**31)).max() < 1e-8


def test_logistic_and_tanh_are_right_to_seven_digits() -> None:
    raw = np.linspace(-(2**31) + 1, 2**31 - 1, 10007).astype(np.int64)
    x = raw / 2.0**27
    assert np.abs(fixed_point.logistic(raw) / 2**31 - 1 / (1 + np.exp(-x))).max() < 1e-7
    assert np.abs(fixed_point.tanh(raw) / 2**31 - np.tanh(x)).max() < 2e-7


def test_fixed_point_functions_keep_their_bits() -> None:
    # frozen: these raw values were read off once the operators equalled both runtimes
    raw = np.array([-(2**31) + 1, -123456789, -1, 0, 1, 2**27, 987654321])
    powers = fixed_point.exp_of_negative(np.minimum(raw, 0), 5)
    assert [int(value) for value in powers] == FROZEN_EXP
    assert [int(value) for value in fixed_point.logistic(raw)] == FROZEN_LOGISTIC
    assert [int(value) for value in fixed_point.tanh(raw)] == FROZEN_TANH


FROZEN_EXP = [0, 341177383, 2147483124, 2147483647, 2147483647, 2147483647, 2147483647]
FROZEN_LOGISTIC = [241, 612019099, 1073741699, 1073741824, 1073741948, 1569936226, 2146116376]
FROZEN_TANH = [-2147483647, -1558674772, -260, 0, 260, 1635510876, 2147481900]
