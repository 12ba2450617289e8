"""Steps of optimizers in one pass: the formula in NumPy, rounding by rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.kernels import steps

DTYPES = [np.float32, np.float64]


def draw_arrays(seed: int, size: int, count: int, dtype: Any) -> list[NDArray[Any]]:
    """Draw numbers of all sizes, zeros among them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, size)) * 10.0 ** rng.integers(-12, 4, (count, size))
    return list((values * (rng.random((count, size)) < 0.9)).astype(dtype))


@given(
    st.integers(0, 999),
    st.integers(0, 70),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 0.5, 0.9]),
    st.sampled_from([0.0, 0.01]),
    st.booleans(),
)
def test_momentum_rounds_as_the_formula_does(
    seed: int, size: int, dtype: Any, memory: float, decay: float, nesterov: bool
) -> None:
    w, g, v = draw_arrays(seed, size, 3, dtype)
    scalars = np.array([memory, decay, 0.3], dtype)
    d = g + scalars[1] * w
    velocity = scalars[0] * v + d
    moved = w - scalars[2] * (d + scalars[0] * velocity if nesterov else velocity)
    steps.momentum(w, g, v, scalars, nesterov)
    np.testing.assert_array_equal(v, velocity)
    np.testing.assert_array_equal(w, moved)


@given(
    st.integers(0, 999),
    st.integers(0, 70),
    st.sampled_from(DTYPES),
    st.sampled_from([1.0, 0.99]),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.0, 0.9]),
)
def test_adam_rounds_as_the_formula_does(
    seed: int, size: int, dtype: Any, keep: float, decay: float, beta: float
) -> None:
    w, g, m, v = draw_arrays(seed, size, 4, dtype)
    v = np.abs(v)
    scalars = np.array([keep, decay, beta, 1 - beta, 0.999, 0.001, 0.7, 1e-8, 0.3], dtype)
    kept = w * scalars[0]
    slope = g + scalars[1] * kept
    mean = scalars[2] * m + scalars[3] * slope
    square = scalars[4] * v + scalars[5] * (slope * slope)
    moved = kept - scalars[8] * (mean / (np.sqrt(square) / scalars[6] + scalars[7]))
    steps.adam(w, g, m, v, scalars)
    np.testing.assert_array_equal(m, mean)
    np.testing.assert_array_equal(v, square)
    np.testing.assert_array_equal(w, moved)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_overflows_becomes_infinite(dtype: Any) -> None:
    most = np.finfo(dtype).max
    w, g, m, v = (np.full(9, value, dtype) for value in (0, most, 0, 0))
    velocity = np.full(9, most, dtype)
    with np.errstate(over="ignore"):  # compiled loops say nothing; the same loops in Python would
        steps.adam(w, g, m, v, np.array([1, 0, 0.9, 0.1, 0.999, 0.001, 1, 1e-8, 1], dtype))
        steps.momentum(w, g, velocity, np.array([0.9, 0, 1], dtype), False)
    assert np.isinf(v).all()
    assert np.isinf(velocity).all()
    assert np.isinf(w).all()
