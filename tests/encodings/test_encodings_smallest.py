"""`smallest` keeps every bit of the values and is never beaten by a form built by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from refcompress import encodings
from refcompress.encodings import Bits, Codebook, Csr, Dense, Float32, IntegerCodebook, Linear, huffman, integers
from refcompress.encodings.packed import size_bytes
from refcompress.encodings.rows import to_rows
from refcompress.errors import OptionError

ODD_VALUES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38], np.float32).tolist()


def bits_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


@given(
    arrays(
        np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6), elements=st.sampled_from(ODD_VALUES)
    )
)
def test_every_bit_of_the_values_survives(array: np.ndarray) -> None:
    found = encodings.smallest(encodings.encode(array))
    assert np.array_equal(bits_of(encodings.decode(found)), bits_of(array))
    assert size_bytes(found) == len(encodings.pack(found)) <= 4 + 4 * array.size


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 6))
def test_linear_values_survive_with_a_scale_for_each_row(seed: int, density: float, width_bits: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = 5, 23
    zero_points = rng.integers(0, 1 << width_bits, rows).astype(np.uint16)
    integers = rng.integers(0, 1 << width_bits, (rows, columns)).astype(np.uint16)
    integers = np.where(rng.random((rows, columns)) < density, integers, zero_points[:, None]).astype(np.uint16)
    scales = rng.uniform(0.1, 1, rows).astype(np.float32)
    before = Dense((columns, rows), Linear(Bits(integers.reshape(-1), width_bits), width_bits, scales, zero_points))
    found = encodings.smallest(before)
    again = encodings.smallest(found)
    assert np.array_equal(bits_of(encodings.decode(found)), bits_of(encodings.decode(before)))
    assert size_bytes(found) <= size_bytes(before)
    assert size_bytes(again) == size_bytes(found)


def by_hand(array: np.ndarray, gap_bits: int) -> list[encodings.Encoding]:
    """Forms of a sparse array with few distinct values, built without the code under test: no gap is split."""
    flat = to_rows(array).reshape(-1)
    centroids = np.unique(flat[flat != 0])
    where = np.flatnonzero(flat)
    gaps = np.array([b - a - 1 for a, b in zip([-1, *where[:-1]], where, strict=True)], np.uint16)
    labels = np.searchsorted(centroids, flat[where]).astype(np.uint16)
    width_bits = max(1, int(len(centroids) - 1).bit_length())
    forms: list[encodings.Encoding] = [encodings.encode(array)]
    for stream in (Bits(gaps, gap_bits), huffman.encode(gaps)):
        forms += [
            Csr(array.shape, stream, gap_bits, "filler", Float32(flat[where])),
            Csr(array.shape, stream, gap_bits, "filler", Codebook(centroids, Bits(labels, width_bits))),
            Csr(array.shape, stream, gap_bits, "filler", Codebook(centroids, huffman.encode(labels))),
        ]
    return forms


@pytest.mark.parametrize("density", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("levels", [1, 4, 30])
def test_no_form_built_by_hand_is_smaller(density: float, levels: int) -> None:
    rng = np.random.default_rng(levels)
    array = (rng.integers(1, levels + 1, (60, 40)) / 8).astype(np.float32)
    array[rng.random(array.shape) >= density] = 0
    flat = to_rows(array).reshape(-1)
    widest = int(np.diff(np.flatnonzero(flat), prepend=-1).max() - 1)
    for form in by_hand(array, max(1, widest.bit_length())):
        assert np.array_equal(encodings.decode(form), array)
        assert size_bytes(encodings.smallest(encodings.encode(array))) <= size_bytes(form)


def test_random_float32_stays_dense() -> None:
    array = np.random.default_rng(0).standard_normal((100, 50)).astype(np.float32)
    found = encodings.smallest(encodings.encode(array))
    assert isinstance(found, Dense)
    assert isinstance(found.values, Float32)


def test_codes_keep_to_the_limit() -> None:
    frequencies = 2 ** np.arange(12)
    array = np.repeat(np.arange(1, 13), frequencies).astype(np.float32)
    found = encodings.smallest(encodings.encode(array), limit_bits=6)
    assert isinstance(found.values, Codebook)
    assert found.values.labels.lengths.max() == 6


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([2, 5, 16, 300]), st.sampled_from([None, 10]))
def test_integers_stay_integers(seed: int, density: float, levels: int, limit_bits: int | None) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.choice(rng.integers(-127, 128, levels), (5, 40)) * (rng.random((5, 40)) < density)
    scales = np.array([0.25], np.float32)
    before = integers.from_rows(rows, (40, 5), scales, 8)
    found = encodings.smallest(before, limit_bits=limit_bits, keep_integers=True)
    again = encodings.smallest(found, limit_bits=limit_bits, keep_integers=True)
    assert np.array_equal(integers.rows_of(found), rows)
    assert np.array_equal(integers.rows_of(again), rows)
    assert np.array_equal(bits_of(encodings.decode(found)), bits_of(encodings.decode(before)))
    assert size_bytes(again) <= size_bytes(found) <= size_bytes(before)


def test_few_integers_are_stored_as_labels_where_no_code_is_allowed() -> None:
    rng = np.random.default_rng(0)
    rows = rng.choice(np.array([-100, -20, 30, 127]), (50, 40))
    before = integers.from_rows(rows, (40, 50), np.ones(1, np.float32), 8)
    found = encodings.smallest(before, limit_bits=None, keep_integers=True)
    assert isinstance(found.values, IntegerCodebook)
    # 4 bytes of header, 4 of counts, 4 of scale, 4 centroids, and a quarter of a byte for each label
    assert size_bytes(found) == 4 + 4 + 4 + 4 + 2000 // 4


def test_what_holds_no_integers_is_refused() -> None:
    with pytest.raises(OptionError, match=r"stored as Float32; integers are Linear values"):
        encodings.smallest(encodings.encode([1.0]), keep_integers=True)
