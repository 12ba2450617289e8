"""The float32 twin bit for bit against NumPy's float32 scalars, which round after every operation."""

from __future__ import annotations

import numpy as np
import pytest
from checks.ops import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from refcompress.kernels import exact

Float32 = NDArray[np.float32]
Sparse = tuple[Float32, NDArray[np.int32], NDArray[np.int64]]

# all of float32: signed zeros, denormals, infinities, NaN
ANY = st.floats(width=32)


def scalar_gemm(x: Float32, rows: list[list[tuple[int, np.float32]]], bias: Float32) -> Float32:
    out = np.empty((len(x), len(rows)), np.float32)
    for b, r in np.ndindex(*out.shape):
        total = bias[r]
        for column, value in rows[r]:
            total = total + value * x[b, column]
        out[b, r] = total
    return out


def stored(matrix: Float32, keep: NDArray[np.bool_]) -> tuple[list[list[tuple[int, np.float32]]], Sparse]:
    """Entries that are kept, as lists and as SciPy's three arrays."""
    rows = [[(c, matrix[r, c]) for c in np.flatnonzero(keep[r])] for r in range(len(matrix))]
    indptr = np.concatenate([[0], np.cumsum(keep.sum(1))]).astype(np.int64)
    return rows, (matrix[keep], np.nonzero(keep)[1].astype(np.int32), indptr)


@given(st.data(), st.integers(0, 4), st.integers(0, 12), st.integers(1, 9))
@settings(max_examples=60)
@np.errstate(all="ignore")  # without a JIT the kernels warn as NumPy does
def test_matrix_products_round_in_order(data: st.DataObject, batch: int, columns: int, units: int) -> None:
    x = data.draw(arrays_of.arrays(np.float32, (batch, columns), elements=ANY))
    matrix = data.draw(arrays_of.arrays(np.float32, (units, columns), elements=ANY))
    keep = data.draw(arrays_of.arrays(np.bool_, (units, columns)))
    bias = data.draw(arrays_of.arrays(np.float32, units, elements=ANY))
    every = [list(enumerate(row)) for row in matrix]
    dense = np.empty((batch, units), np.float32)
    exact.gemm_dense(x, np.ascontiguousarray(matrix.T), bias, dense)
    assert_same_bits(dense, scalar_gemm(x, every, bias))
    rows, csr = stored(matrix, keep)
    sums = np.empty((units, batch), np.float32)
    exact.gemm_sparse(np.ascontiguousarray(x.T), *csr, bias, sums)
    assert_same_bits(np.ascontiguousarray(sums.T), scalar_gemm(x, rows, bias))


def scalar_conv(
    x: Float32,
    rows: list[list[tuple[int, np.float32]]],
    bias: Float32,
    kernel: tuple[int, int, int],
    where: tuple[tuple[int, int], ...],
    shape: tuple[int, ...],
) -> Float32:
    strides, corner, dilations = where
    out = np.empty(shape, np.float32)
    group_rows = shape[3] // (x.shape[3] // kernel[2])
    for n, oy, ox, r in np.ndindex(*shape):
        total = bias[r]
        for column, value in rows[r]:
            ky, kx, c = (int(i) for i in np.unravel_index(column, kernel))
            iy = oy * strides[0] - corner[0] + ky * dilations[0]
            ix = ox * strides[1] - corner[1] + kx * dilations[1]
            if 0 <= iy < x.shape[1] and 0 <= ix < x.shape[2]:
                total = total + value * x[n, iy, ix, r // group_rows * kernel[2] + c]
        out[n, oy, ox, r] = total
    return out


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(st.data(), PAIR, PAIR, PAIR, st.sampled_from([(1, 1, 3), (1, 3, 1), (2, 2, 2), (3, 1, 1), (3, 1, 2)]))
@settings(max_examples=60)
@np.errstate(all="ignore")  # without a JIT the kernels warn as NumPy does
def test_convolutions_round_in_order_and_skip_the_padding(
    data: st.DataObject,
    size: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    groups: tuple[int, int, int],
) -> None:
    group, group_in, group_out = groups
    corner = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    plane = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    out_plane = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    kernel, cout = (*size, group_in), group * group_out
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.standard_normal((2, *plane, group * group_in)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = data.draw(ANY)
    matrix = rng.standard_normal((cout, int(np.prod(kernel)))).astype(np.float32)
    bias = np.where(rng.random(cout) < 0.5, np.float32(-0.0), rng.standard_normal(cout)).astype(np.float32)
    where, shape = (strides, corner, dilations), (2, *out_plane, cout)
    dense = np.empty(shape, np.float32)
    exact.conv_dense(x, np.ascontiguousarray(matrix.T).reshape(*kernel, cout), bias, *where, dense)
    every = [list(enumerate(row)) for row in matrix]
    assert_same_bits(dense, scalar_conv(x, every, bias, kernel, where, shape))
    rows, csr = stored(matrix, rng.random(matrix.shape) < 0.5)
    planes = np.empty((cout, out_plane[0], 2 * out_plane[1]), np.float32)
    lines = x.transpose(3, 1, 2, 0).reshape(x.shape[3], plane[0], -1)
    exact.conv_sparse(lines, *csr, bias, kernel, *where, 2, planes)
    wanted = scalar_conv(x, rows, bias, kernel, where, shape)
    assert_same_bits(np.ascontiguousarray(planes.reshape(cout, *out_plane, 2).transpose(3, 1, 2, 0)), wanted)


@pytest.mark.parametrize("sparse", [False, True])
def test_products_are_not_contracted_with_sums(sparse: bool) -> None:
    # long inner loops, which are the ones compilers vectorise
    e, n = np.float32(2.0**-12), 64
    x = np.tile(np.array([[-1.0], [1 + e]], np.float32), (1, n))
    ones, bias = np.array([1.0, 1 + e], np.float32), np.zeros(n, np.float32)
    out = np.empty((1, n), np.float32)
    if sparse:
        indptr, indices = np.array([0, 2]), np.array([0, 1], np.int32)
        exact.gemm_sparse(x, ones, indices, indptr, bias[:1], out)
    else:
        exact.gemm_dense(ones[None], x, bias, out)
    # fused, the small square of e would survive
    assert_same_bits(out, np.full((1, n), 2 * e, np.float32))


def test_a_sum_of_negative_zeros_stays_negative_where_padding_is_skipped() -> None:
    x, weight = np.full((1, 1, 1, 1), -0.0, np.float32), np.ones((3, 3, 1, 1), np.float32)
    bias, where = np.array([-0.0], np.float32), ((1, 1), (1, 1), (1, 1))
    out = np.empty((1, 1, 1, 1), np.float32)
    exact.conv_dense(x, weight, bias, *where, out)
    assert np.signbit(out).all()
    indices, indptr = np.arange(9, dtype=np.int32), np.array([0, 9])
    out[:] = 1
    exact.conv_sparse(x[0], weight.reshape(-1), indices, indptr, bias, (3, 3, 1), *where, 1, out[0])
    assert np.signbit(out).all()
