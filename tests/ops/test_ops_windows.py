"""The windows of a plane and their adjoint, exactly, in whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress.ops.windows import crop_plane, output_size, overlap_add, pad_plane, padded_shape, windows

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
@given(
    kernel=pairs,
    strides=pairs,
    dilations=pairs,
    more=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    batch=st.integers(0, 2),
    channels=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_overlap_add_is_the_adjoint_of_windows(
    dtype: Any, kernel: Any, strides: Any, dilations: Any, more: Any, batch: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = [(kernel[i] - 1) * dilations[i] + 1 + more[i] for i in range(2)]
    x = rng.integers(-9, 10, (batch, *plane, channels)).astype(dtype)
    seen = windows(x, kernel, strides, dilations)
    y = rng.integers(-9, 10, seen.shape).astype(dtype)
    back = np.zeros_like(x)
    overlap_add(y, strides, dilations, back)
    assert (seen * y).sum() == (x * back).sum()  # whole numbers below 2^24: exact in float32 too
    strided = np.zeros_like(x)
    overlap_add(np.asarray(y.T.copy().T), strides, dilations, strided)
    assert np.array_equal(strided, back)
    overlap_add(y, strides, dilations, back)
    assert np.array_equal(back, 2 * strided), "it adds to what is there"


@given(st.tuples(*[st.integers(0, 3)] * 4), pairs, st.integers(0, 999))
def test_cropping_is_the_adjoint_of_padding(pads: Any, plane: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, *plane, 2))
    y = rng.integers(-9, 10, padded_shape(x.shape, pads))
    assert (pad_plane(x, pads) * y).sum() == (x * crop_plane(y, pads)).sum()


def test_every_window_counts_once() -> None:
    out = np.zeros((1, 5, 6, 1))
    count = [output_size(5, 3, 2, (0, 0)), output_size(6, 2, 1, (0, 0))]
    overlap_add(np.ones((1, *count, 3, 2, 1)), (2, 1), (1, 1), out)
    assert out[0, :, :, 0].tolist() == [[f * g for g in (1, 2, 2, 2, 2, 1)] for f in (1, 1, 2, 1, 1)]
