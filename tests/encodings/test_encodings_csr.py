"""Sparse rows: gaps split one by one, SciPy's three arrays, and the order of a weight's values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from checks.encodings import Nesting, all_nestings, bits_of, build, naive_gaps, odd_arrays
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import Bits, Csr, Dense, Float32, Linear, csr, decode, encode, rows
from refcompress.encodings.csr import LongGap
from refcompress.errors import OptionError

SPARSE = [nesting for nesting in all_nestings() if nesting.gaps]


@given(
    st.sets(st.integers(0, 300), max_size=40).map(sorted),
    st.integers(1, 12),
    st.sampled_from(["filler", "escape"]),
)
def test_gaps_are_split_as_one_by_one(where: list[int], gap_bits: int, long_gap: LongGap) -> None:
    symbols, entry = csr.split_gaps(np.array(where, np.int64), gap_bits, long_gap)
    expected, places = naive_gaps(where, gap_bits, long_gap)
    assert symbols.tolist() == expected
    index = {place: i for i, place in enumerate(where)}
    assert entry.tolist() == [index.get(place, -1) for place in places]


@settings(max_examples=100)
@given(st.sampled_from(SPARSE), odd_arrays(), st.integers(1, 5))
def test_arrays_are_those_of_scipy(nesting: Nesting, array: NDArray[np.float32], gap_bits: int) -> None:
    encoding = build(nesting, array, gap_bits)
    assert isinstance(encoding, Csr)
    shape = rows.matrix_shape(array.shape)
    matrix = scipy.sparse.csr_array(csr.arrays(encoding), shape=shape)
    matrix.check_format()
    # SciPy adds the entries to zeros, so that -0.0 becomes 0.0
    assert np.array_equal(matrix.toarray(), rows.to_rows(decode(encoding)), equal_nan=True)


@given(odd_arrays())
def test_rows_are_the_last_axis_first(array: NDArray[np.float32]) -> None:
    expected = np.moveaxis(array, -1, 0).reshape(array.shape[-1], -1) if array.ndim > 1 and array.size else None
    matrix = rows.to_rows(array)
    assert matrix.shape == rows.matrix_shape(array.shape)
    if expected is not None:
        assert np.array_equal(bits_of(matrix), bits_of(expected))
    again = rows.from_rows(matrix, array.shape)
    assert again.shape == array.shape
    assert np.array_equal(bits_of(again), bits_of(array))


@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (1, 3), (2, 3), (1, 1, 4, 1)])
def test_encodings_share_no_memory_with_what_goes_in_or_comes_out(shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)
    dense = encode(array)
    sparse = build(Nesting("float32", "", "bits"), array)
    assert isinstance(sparse, Csr)
    array[...] = 2
    for encoding in (dense, sparse):
        decode(encoding)[...] = 3
        assert (decode(encoding) == 1).all()
    csr.arrays(sparse)[0][...] = 3
    assert (decode(sparse) == 1).all()


def test_linear_values_are_rounded_once_and_by_row() -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(0, 1 << 16, 6).astype(np.uint16)
    scales = rng.uniform(0, 1, 3).astype(np.float32)
    zero_points = rng.integers(0, 1 << 16, 3).astype(np.uint16)
    array = decode(Dense((2, 3), Linear(Bits(integers, 16), 16, scales, zero_points)))
    for row in range(3):
        for column in range(2):
            steps = int(integers[2 * row + column]) - int(zero_points[row])
            assert array[column, row] == np.float32(float(scales[row]) * steps)  # exact in float64


def test_too_large_a_product_is_infinite() -> None:
    values = Linear(Bits(np.array([65535], np.uint16), 16), 16, np.array([3e38], np.float32), np.zeros(1, np.uint16))
    assert decode(Dense((1,), values))[0] == np.inf


def test_an_entry_past_the_end_of_the_array_is_refused() -> None:
    with pytest.raises(OptionError, match="past the end"):
        Csr((4,), Bits(np.array([3, 0], np.uint16), 2), 2, "filler", Float32(np.ones(2, np.float32)))
