"""Sparse rows times dense data against the definition and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse as scipy_sparse

from refcompress.kernels import sparse

DTYPES = [np.float32, np.float64]
Floating = type[np.floating[Any]]


def random_rows(rows: int, columns: int, density: float, dtype: Floating, seed: int) -> scipy_sparse.csr_array:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < density)
    return scipy_sparse.csr_array(dense.astype(dtype))


def arrays(matrix: scipy_sparse.csr_array) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int64]]:
    parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64))
    for part in parts:
        part.flags.writeable = False
    return parts


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 30),
    st.integers(0, 20),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 999),
)
@settings(max_examples=60)
def test_windows_of_flat_data_equal_the_definition(
    dtype: Floating, groups: int, group_rows: int, columns: int, positions: int, density: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = random_rows(groups * group_rows, columns, density, dtype, seed)
    shifts, step = rng.integers(0, 50, columns), 50
    positions = sparse.padded_positions(positions)
    flat = rng.standard_normal(groups * step + 50 + positions).astype(dtype)
    out = np.full((groups * group_rows, positions), np.nan, dtype)
    sparse.accumulate(*arrays(matrix), shifts, flat, group_rows, step, out)
    dense = matrix.toarray().astype(np.float64)
    wanted = np.zeros((groups * group_rows, positions))
    for row, column, p in np.ndindex(*dense.shape, positions):
        wanted[row, p] += dense[row, column] * flat[shifts[column] + row // group_rows * step + p]
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-4 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 8, 16, 24, 32, 40, 48, 56, 64, 184])
def test_every_width_of_tile_equals_scipy(dtype: Floating, count: int) -> None:
    matrix = random_rows(5, 11, 0.7, dtype, 0)
    x = np.random.default_rng(1).standard_normal((11, count)).astype(dtype)
    out = np.full((5, count), np.nan, dtype)
    shifts = np.arange(11, dtype=np.int64) * count
    sparse.accumulate(*arrays(matrix), shifts, x.reshape(-1), 5, 0, out)
    np.testing.assert_allclose(out, matrix @ x, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lanes", "chains"), [(64, 1), (32, 2), (16, 2), (8, 4)])
@pytest.mark.parametrize("entries", [0, 1, 3, 4, 23])
def test_compiled_tiles_round_as_they_say(dtype: Floating, lanes: int, chains: int, entries: int) -> None:
    from refcompress.kernels.sparse import _plain_tile

    rng = np.random.default_rng(entries)
    data, indices = rng.standard_normal(entries).astype(dtype), np.arange(entries, dtype=np.int32)
    shifts, flat = rng.integers(0, 30, entries), rng.standard_normal(30 + lanes).astype(dtype)
    out, wanted = np.full((1, lanes), np.nan, dtype), np.empty(lanes, dtype)
    sparse.accumulate(data, indices, np.array([0, entries]), shifts, flat, 1, 0, out)
    _plain_tile(lanes, chains)(data, indices, 0, entries, shifts, flat, 0, wanted, 0)
    assert out.tobytes() == wanted.tobytes()


@given(
    st.sampled_from(DTYPES),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.integers(0, 999),
)
@settings(max_examples=60)
def test_single_vectors_equal_scipy(
    dtype: Floating, batch: int, rows: int, columns: int, density: float, seed: int
) -> None:
    matrix = random_rows(rows, columns, density, dtype, seed)
    x = np.random.default_rng(seed).standard_normal((batch, columns)).astype(dtype)
    x.flags.writeable = False
    out = np.full((batch, rows), np.nan, dtype)
    sparse.multiply(*arrays(matrix), x, out)
    np.testing.assert_allclose(out, (matrix @ x.T).T, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)


def test_columns_without_entries_are_never_read() -> None:
    matrix = scipy_sparse.csr_array(np.array([[0.0, 2.0, 0.0]], np.float32))
    x = np.array([[np.nan, 3.0, np.inf]], np.float32)
    out = np.empty((1, 1), np.float32)
    sparse.multiply(*arrays(matrix), x, out)
    assert out.item() == 6.0
    sums = np.empty((1, 8), np.float32)
    sparse.accumulate(*arrays(matrix), 8 * np.arange(3), np.repeat(x[0], 8), 1, 0, sums)
    assert (sums == 6.0).all()
