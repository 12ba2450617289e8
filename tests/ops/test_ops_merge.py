"""Add and Concat: sums in order, pieces in order, and what does not fit together."""

from __future__ import annotations

import numpy as np
import pytest
from checks.ops import check_op
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.concat import Concat

sizes = st.integers(1, 4)


def added(inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    out = np.zeros_like(inputs[0])
    for place in np.ndindex(*out.shape):
        total = inputs[0][place]
        for x in inputs[1:]:
            total = total + x[place]
        out[place] = total
    return out


@given(st.lists(sizes, min_size=1, max_size=3), st.integers(2, 5), st.integers(0, 1000))
def test_add_sums_from_left_to_right(shape: list[int], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [(rng.normal(size=shape) * rng.choice([1, 1e5])).astype(np.float32) for _ in range(n)]
    check_op(
        OPS["Add"],
        NoAttrs(),
        inputs,
        lambda arrays, _: np.sum(arrays, 0),
        exact_oracle=lambda arrays, _: added(list(arrays)),
    )


def test_add_rounds_after_every_sum() -> None:
    inputs = [np.array([[value]], np.float32) for value in (1e8, 1.0, -1e8)]
    assert OPS["Add"].exact(NoAttrs(), inputs, {}).tolist() == [[0.0]]


def test_add_bound_covers_cancellation_in_any_order() -> None:
    values = (1e8, 1.0, -1e8)
    inputs = [np.array([[value]]) for value in values]
    zeros = [np.zeros((1, 1))] * 3
    bound = OPS["Add"].error_bound(NoAttrs(), inputs, zeros, {}, np.array([[1.0]]), lambda n: n * 2.0**-24)
    assert bound.item() >= 1
    assert bound.item() == pytest.approx(2 * 2.0**-24 * 2e8, rel=1e-5)


def test_add_refuses_what_cannot_be_broadcast() -> None:
    with pytest.raises(ModelError, match="broadcast"):
        OPS["Add"].infer_shape(NoAttrs(), [(3, 2), (2, 2)], {})


@st.composite
def pieces(draw: st.DrawFn) -> tuple[int, list[NDArray[np.float32]]]:
    shape = draw(st.lists(sizes, min_size=2, max_size=4))
    axis = draw(st.integers(1, len(shape) - 1))
    inputs, start = [], 0
    for _ in range(draw(st.integers(2, 4))):
        shape[axis] = draw(sizes)
        inputs.append(np.arange(start, start + np.prod(shape), dtype=np.float32).reshape(shape))
        start += inputs[-1].size
    return axis, inputs


@given(pieces())
def test_concat_puts_pieces_one_behind_the_other(case: tuple[int, list[NDArray[np.float32]]]) -> None:
    axis, inputs = case

    def oracle(arrays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        moved = [row for x in arrays for row in np.moveaxis(x, axis, 0)]
        return np.moveaxis(np.array(moved), 0, axis)

    check_op(
        OPS["Concat"],
        Concat(axis),
        inputs,
        lambda arrays, _: oracle(list(arrays)),
        exact_oracle=lambda arrays, _: oracle(list(arrays)),
    )
    op = OPS["Concat"]
    bound = op.error_bound(Concat(axis), inputs, inputs, {}, oracle(inputs), lambda n: n)
    assert np.array_equal(bound, oracle(inputs))


def test_concat_refuses_the_batch_axis_and_axes_that_are_not_there() -> None:
    for axis in (0, -1):
        with pytest.raises(ModelError, match="at least 1"):
            Concat(axis)
    with pytest.raises(ModelError, match="the largest is 2"):
        OPS["Concat"].infer_shape(Concat(3), [(2, 2), (2, 2)], {})


@pytest.mark.parametrize("other", [(3, 3), (2, 2, 1), (2,)])
def test_concat_refuses_pieces_that_do_not_fit(other: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="axis 2 only"):
        OPS["Concat"].infer_shape(Concat(2), [(2, 2), other], {})
