"""Relu, Clip, Sigmoid, Tanh and Softmax against their formulas, and how far errors get through them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from checks.ops import assert_same_bits, check_op
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress.errors import ModelError
from refcompress.kernels import exact_math
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import UNIT_ROUNDOFF, Op, deterministic_gamma
from refcompress.ops.clip import Clip

F = np.float32
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)
SMOOTH = {
    "Sigmoid": (special.expit, exact_math.sigmoid32),
    "Tanh": (np.tanh, exact_math.tanh32),
}


def values(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Numbers of all sizes, exact zeros and sixes among them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * rng.choice([1e-30, 1e-3, 1.0, 10.0], shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([0.0, -0.0, 6.0], shape), x).astype(np.float32)


def one_by_one(function: Callable[[np.float32], np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.array([function(v) for v in x.ravel()], np.float32).reshape(x.shape)


@given(shapes, seeds)
def test_relu_is_the_positive_part(shape: tuple[int, ...], seed: int) -> None:
    check_op(
        OPS["Relu"],
        NoAttrs(),
        [values(shape, seed)],
        lambda inputs, _: (inputs[0] + np.abs(inputs[0])) / 2,
        exact_oracle=lambda inputs, _: one_by_one(lambda v: v if v > 0 else F(0), inputs[0]),
    )


def test_relu_of_special_values_is_as_in_the_runtime() -> None:
    x = np.array([[-0.0, np.nan, -np.inf, np.inf]], np.float32)
    assert_same_bits(OPS["Relu"].exact(NoAttrs(), [x], {}), np.array([[0, 0, 0, np.inf]], np.float32))


def test_relu_bound_is_cut_where_the_input_stays_negative() -> None:
    x, e = np.array([[-3.0, -1.0, 0.5, 3.0]]), np.array([[1.0, 1.5, 2.0, 1.0]])
    bound = OPS["Relu"].error_bound(NoAttrs(), [x], [e], {}, np.maximum(x, 0), deterministic_gamma)
    assert bound.tolist() == [[0.0, 0.5, 2.0, 1.0]]


@given(shapes, seeds, st.floats(-8, 8, width=32), st.floats(0, 8, width=32))
def test_clip_keeps_values_between_its_ends(shape: tuple[int, ...], seed: int, least: float, width: float) -> None:
    attrs = Clip(least, least + width)
    low, high = F(attrs.min), F(attrs.max)
    check_op(
        OPS["Clip"],
        attrs,
        [values(shape, seed)],
        lambda inputs, _: np.clip(inputs[0], float(low), float(high)),
        exact_oracle=lambda inputs, _: one_by_one(lambda v: low if v < low else min(v, high), inputs[0]),
    )


def test_clip_bound_is_cut_at_both_ends() -> None:
    x, e = np.array([[-3.0, 1.0, 5.0, 9.0]]), np.array([[1.0, 2.0, 2.0, 4.0]])
    bound = OPS["Clip"].error_bound(Clip(0, 6), [x], [e], {}, np.clip(x, 0, 6), deterministic_gamma)
    assert bound[0].tolist() == pytest.approx([0.0, 2.0, 2.0, 1.0], rel=1e-5)


@pytest.mark.parametrize(("least", "most"), [(1, 0), (0, np.inf), (np.nan, 1), (0, 1e39)])
def test_clip_refuses_ends_that_float32_cannot_keep(least: float, most: float) -> None:
    with pytest.raises(ModelError, match="min <= max"):
        Clip(least, most)


def test_clip_keeps_its_ends_as_float32() -> None:
    assert Clip(0.1, 6).min == float(F(0.1))


@pytest.mark.parametrize("name", SMOOTH)
@given(shapes, seeds)
def test_smooth_activations_equal_scipy(name: str, shape: tuple[int, ...], seed: int) -> None:
    oracle, twin = SMOOTH[name]
    check_op(
        OPS[name],
        NoAttrs(),
        [values(shape, seed)],
        lambda inputs, _: oracle(inputs[0]),
        exact_oracle=lambda inputs, _: twin(inputs[0]),
    )


@pytest.mark.parametrize("name", SMOOTH)
@given(st.floats(-40, 40), st.floats(0, 20), st.floats(-1, 1))
def test_smooth_bound_covers_every_point_of_the_interval(name: str, centre: float, radius: float, at: float) -> None:
    oracle = SMOOTH[name][0]
    x, e = np.array([[centre]]), np.array([[radius]])
    bound = OPS[name].error_bound(NoAttrs(), [x], [e], {}, oracle(x), deterministic_gamma)
    assert np.abs(oracle(x + at * e) - oracle(x)) <= bound
    # and it exceeds the interval's ends by library error only
    reach = max(np.abs(oracle(x + s * e) - oracle(x)).item() for s in (-1, 1))
    assert bound.item() <= reach * (1 + 2**-19) + 20 * UNIT_ROUNDOFF


@given(shapes, seeds)
def test_softmax_equals_scipy(shape: tuple[int, ...], seed: int) -> None:
    shape = (2, *shape)
    check_op(
        OPS["Softmax"],
        NoAttrs(),
        [values(shape, seed)],
        lambda inputs, _: special.softmax(inputs[0], -1),
        exact_oracle=lambda inputs, _: exact_math.softmax32(inputs[0]),
    )


def test_softmax_refuses_a_scalar() -> None:
    with pytest.raises(ModelError, match="without axes"):
        OPS["Softmax"].infer_shape(NoAttrs(), [()], {})


def softmax_bound(x: NDArray[np.float64], e: NDArray[np.float64]) -> NDArray[np.float64]:
    op: Op = OPS["Softmax"]
    return np.asarray(op.error_bound(NoAttrs(), [x], [e], {}, special.softmax(x, -1), deterministic_gamma))


@given(st.integers(1, 4), seeds, st.sampled_from([0.0, 1e-6, 0.1, 3.0, 100.0]))
def test_softmax_bound_is_the_worst_corner_of_the_box(n: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    x, e = rng.normal(0, 10, (1, n)), size * rng.random((1, n))
    bound = softmax_bound(x, e)
    corners = np.array(list(itertools.product([-1, 1], repeat=n)))
    reached = np.abs(special.softmax(x + corners * e, -1) - special.softmax(x, -1)).max(0)
    assert (reached <= bound[0]).all()
    # what it exceeds the corners by is rounding: a few ULP in the exponents
    slack = (np.ptp(x) + 2 * e.max() + 60) * UNIT_ROUNDOFF
    assert (bound[0] <= reached * (1 + 8 * slack) + 4 * slack).all()


def test_softmax_bound_of_unlikely_classes_is_small() -> None:
    x = np.array([[0.0, -50.0]])
    bound = softmax_bound(x, np.full_like(x, 1e-3))
    assert bound[0, 1] < 0.01 * np.exp(-50)
    assert bound[0, 0] < 1e-5


@pytest.mark.parametrize("size", [1e3, 1e300, np.inf])
def test_softmax_bound_never_exceeds_what_probabilities_can_differ_by(size: float) -> None:
    x = np.array([[3.0, 1.0, -2.0]])
    bound = softmax_bound(x, np.full_like(x, size))
    assert (bound <= 1 + 1e-5).all()
    assert np.isfinite(bound).all()
    assert (bound >= np.maximum(special.softmax(x, -1), 1 - special.softmax(x, -1))).all()
