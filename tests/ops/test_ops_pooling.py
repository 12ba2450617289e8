"""Pools against loops written from their definition and SciPy's filters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from checks.ops import check_op
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from refcompress.errors import ModelError
from refcompress.kernels import exact_pools
from refcompress.ops import OPS
from refcompress.ops.average_pool import AveragePool
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.global_average_pool import GlobalAveragePool
from refcompress.ops.global_max_pool import GlobalMaxPool
from refcompress.ops.max_pool import MaxPool
from refcompress.ops.windows import same_pads

Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]
Array = NDArray[np.float64]


def naive_pool(x: Array, window: Window, pool: Callable[[list[float], int], float]) -> Array:
    """Collect what each window sees of the image and pool it."""
    kernel, strides, (top, left, bottom, right) = window
    batch, height, width, channels = x.shape
    rows = range(-top, height + bottom - kernel[0] + 1, strides[0])
    columns = range(-left, width + right - kernel[1] + 1, strides[1])
    out = np.zeros((batch, len(rows), len(columns), channels))
    for n, i, j, c in np.ndindex(*out.shape):
        seen = [
            float(x[n, row, column, c])
            for row in range(rows[i], rows[i] + kernel[0])
            for column in range(columns[j], columns[j] + kernel[1])
            if 0 <= row < height and 0 <= column < width
        ]
        out[n, i, j, c] = pool(seen, kernel[0] * kernel[1])
    return out


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[np.float32], Window]:
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
    x = np.random.default_rng(draw(st.integers(0, 1000))).normal(size=shape).astype(np.float32)
    window = (kernel[0], kernel[1]), (strides[0], strides[1]), (before[0], before[1], after[0], after[1])
    return x, window


@given(cases())
def test_max_pool_equals_loops(case: tuple[NDArray[np.float32], Window]) -> None:
    x, window = case
    check_op(
        OPS["MaxPool"],
        MaxPool(*window),
        [x],
        lambda inputs, _: naive_pool(inputs[0], window, lambda seen, _taps: max(seen)),
        exact_oracle=lambda inputs, _: exact_pools.max_pool32(inputs[0], *window),
    )


@given(cases(), st.booleans())
def test_average_pool_equals_loops(case: tuple[NDArray[np.float32], Window], include: bool) -> None:
    x, window = case
    check_op(
        OPS["AveragePool"],
        AveragePool(*window, count_include_pad=include),
        [x],
        lambda inputs, _: naive_pool(
            inputs[0], window, lambda seen, taps: sum(seen) / (taps if include else len(seen))
        ),
        exact_oracle=lambda inputs, _: exact_pools.average_pool32(inputs[0], *window, count_include_pad=include),
    )


def test_max_pool_equals_the_maximum_filter() -> None:
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3))
    pooled = OPS["MaxPool"].forward(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [x], {})
    filtered = ndimage.maximum_filter(x, (1, 3, 3, 1), mode="constant", cval=-np.inf)
    assert np.array_equal(pooled, filtered[:, ::2, ::2])


def test_average_pool_that_counts_padding_equals_the_uniform_filter() -> None:
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3))
    pooled = OPS["AveragePool"].forward(AveragePool((3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=True), [x], {})
    filtered = ndimage.uniform_filter(x, (1, 3, 3, 1), mode="constant")
    np.testing.assert_allclose(pooled, filtered[:, ::2, ::2], rtol=0, atol=1e-13)


def test_same_average_pool_of_ones_is_one_to_the_edges() -> None:
    # TensorFlow's SAME of width 5, kernel 2, stride 2 pads one column after: it must not dilute the mean
    pads = same_pads(5, 2, 2)
    assert pads == (0, 1)
    attrs = AveragePool((2, 2), (2, 2), (pads[0], pads[0], pads[1], pads[1]))
    ones = np.ones((1, 5, 5, 1), np.float32)
    assert OPS["AveragePool"].forward(attrs, [ones], {}).tolist() == np.ones((1, 3, 3, 1)).tolist()
    assert OPS["AveragePool"].exact(attrs, [ones], {}).tolist() == np.ones((1, 3, 3, 1)).tolist()


planes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))


@given(planes, st.booleans(), st.integers(0, 1000))
def test_global_pools_equal_loops(shape: tuple[int, ...], keepdims: bool, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    whole: Window = (shape[1], shape[2]), (1, 1), (0, 0, 0, 0)
    out = (shape[0], 1, 1, shape[3]) if keepdims else (shape[0], shape[3])
    check_op(
        OPS["GlobalAveragePool"],
        GlobalAveragePool(keepdims),
        [x],
        lambda inputs, _: naive_pool(inputs[0], whole, lambda seen, taps: sum(seen) / taps).reshape(out),
        exact_oracle=lambda inputs, _: loop_mean(inputs[0]).reshape(out),
    )
    check_op(
        OPS["GlobalMaxPool"],
        GlobalMaxPool(keepdims),
        [x],
        lambda inputs, _: naive_pool(inputs[0], whole, lambda seen, _taps: max(seen)).reshape(out),
        exact_oracle=lambda inputs, _: inputs[0].max((1, 2)).reshape(out),
    )


def loop_mean(x: NDArray[np.float32]) -> NDArray[np.float32]:
    batch, height, width, channels = x.shape
    out = np.zeros((batch, channels), np.float32)
    for n, c in np.ndindex(*out.shape):
        total = np.float32(0)
        for i in range(height):
            for j in range(width):
                total = np.float32(total + x[n, i, j, c])
        out[n, c] = total / np.float32(height * width)
    return out


@pytest.mark.parametrize("name", ["MaxPool", "GlobalMaxPool"])
def test_error_of_an_element_that_cannot_win_does_not_count(name: str) -> None:
    x = np.array([0.0, 10.0]).reshape(1, 1, 2, 1)
    errors = np.array([9.0, 0.5]).reshape(1, 1, 2, 1)
    op = OPS[name]
    attrs = MaxPool((1, 2), (1, 2)) if name == "MaxPool" else GlobalMaxPool()
    bound = op.error_bound(attrs, [x], [errors], {}, op.forward(attrs, [x], {}), deterministic_gamma)
    assert bound.ravel().tolist() == pytest.approx([0.5], rel=1e-5)


@pytest.mark.parametrize("make", [MaxPool, AveragePool])
@pytest.mark.parametrize(
    ("window", "message"),
    [
        (((0, 2), (1, 1), (0, 0, 0, 0)), "kernel_shape"),
        (((2, 2), (1, 0), (0, 0, 0, 0)), "strides"),
        (((2, 2), (1, 1), (0, 0, -1, 0)), "pads"),
        (((2, 2), (1, 1), (0, 0, 2, 0)), "less than the kernel"),
        (((2, 1), (1, 1), (0, 1, 0, 0)), "less than the kernel"),
    ],
)
def test_impossible_windows_are_refused(make: type, window: Window, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(*window)


@pytest.mark.parametrize("name", ["MaxPool", "AveragePool"])
def test_windows_larger_than_the_image_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="larger than the input"):
        OPS[name].infer_shape(OPS[name].attrs((3, 3), (1, 1)), [(2, 5, 1)], {})


@pytest.mark.parametrize("name", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pools_refuse_what_is_no_plane(name: str) -> None:
    with pytest.raises(ModelError, match="three axes"):
        OPS[name].infer_shape(OPS[name].attrs(), [(5, 1)], {})
