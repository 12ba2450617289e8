"""Pad, Flatten, Reshape and Dropout move elements and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from checks.ops import check_op
from hypothesis import given
from hypothesis import strategies as st

from refcompress.errors import ModelError
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.dropout import Dropout
from refcompress.ops.pad import Pad
from refcompress.ops.reshape import Reshape

sizes = st.integers(1, 4)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Distinct values, so that each element can be told from the others."""
    return np.arange(1, 1 + math.prod(shape), dtype=np.float32).reshape(shape)


@given(st.tuples(sizes, sizes, sizes, sizes), st.tuples(*[st.integers(0, 3)] * 4))
def test_pad_puts_zeros_around_each_plane(shape: tuple[int, ...], pads: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = pads
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    check_op(
        OPS["Pad"],
        Pad(pads),
        [numbered(shape)],
        lambda inputs, _: np.pad(inputs[0], around),
        exact_oracle=lambda inputs, _: np.pad(inputs[0], around),
    )


@given(st.lists(sizes, min_size=1, max_size=5).map(tuple))
def test_flatten_runs_through_the_last_axis_first(shape: tuple[int, ...]) -> None:
    check_op(
        OPS["Flatten"],
        NoAttrs(),
        [numbered(shape)],
        lambda inputs, _: np.array([sample.ravel() for sample in inputs[0]]),
        exact_oracle=lambda inputs, _: np.array([sample.ravel() for sample in inputs[0]]),
    )


@given(st.lists(sizes, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_reshape_keeps_the_order_of_the_elements(shape: list[int], random: object) -> None:
    new = list(shape)
    random.shuffle(new)  # type: ignore[attr-defined]
    x = numbered((2, *shape))
    y = check_op(OPS["Reshape"], Reshape(tuple(new)), [x], lambda inputs, _: inputs[0].reshape(2, *new))
    assert y.ravel().tolist() == x.ravel().tolist()


def test_reshape_refuses_other_numbers_of_elements() -> None:
    with pytest.raises(ModelError, match=r"6 elements and .* 8"):
        OPS["Reshape"].infer_shape(Reshape((2, 4)), [(2, 3)], {})


@pytest.mark.parametrize("shape", [(-1,), (2, 0)])
def test_reshape_refuses_sizes_below_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="at least 1"):
        Reshape(shape)


@given(st.lists(sizes, min_size=1, max_size=4).map(tuple))
def test_dropout_passes_everything(shape: tuple[int, ...]) -> None:
    check_op(
        OPS["Dropout"],
        Dropout(0.5),
        [numbered(shape)],
        lambda inputs, _: inputs[0].copy(),
        exact_oracle=lambda inputs, _: inputs[0].copy(),
    )


@pytest.mark.parametrize("ratio", [-0.1, 1.0, math.nan])
def test_dropout_refuses_a_ratio_that_is_no_share(ratio: float) -> None:
    with pytest.raises(ModelError, match="ratio"):
        Dropout(ratio)


def test_pad_refuses_negative_padding_and_other_ranks() -> None:
    with pytest.raises(ModelError, match="at least 0"):
        Pad((0, 0, -1, 0))
    with pytest.raises(ModelError, match="three axes"):
        OPS["Pad"].infer_shape(Pad((0, 0, 1, 0)), [(3, 3)], {})


@pytest.mark.parametrize(
    ("name", "attrs"), [("Pad", Pad((1, 0, 0, 2))), ("Flatten", NoAttrs()), ("Reshape", Reshape((4, 3)))]
)
def test_errors_move_with_their_elements(name: str, attrs: object) -> None:
    x = numbered((2, 2, 3, 2))
    op = OPS[name]
    y = op.forward(attrs, [x], {})
    assert np.array_equal(op.error_bound(attrs, [x], [x / 2], {}, y, lambda n: n), y / 2)
