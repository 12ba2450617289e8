"""A weight stored as it is: copied unless nobody can change it, and put in row order only when that is asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress.encodings import Dense, Float32, decode, encode, pack
from refcompress.encodings.rows import to_rows


def weight(*shape: int) -> NDArray[np.float32]:
    """Return the numbers 0, 1, 2, ... as a weight."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def values(encoding: object) -> Float32:
    """Return the values of a dense float32 weight."""
    assert isinstance(encoding, Dense)
    assert isinstance(encoding.values, Float32)
    return encoding.values


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4, 5), (0, 3)])
def test_values_are_in_row_order_whenever_they_are_asked_for(shape: tuple[int, ...]) -> None:
    array = weight(*shape)
    encoding = encode(array)
    assert values(encoding).count == array.size
    before = decode(encoding)
    np.testing.assert_array_equal(values(encoding).array, to_rows(array).reshape(-1))
    for decoded in (before, decode(encoding)):
        np.testing.assert_array_equal(decoded, array)
        assert decoded.flags.c_contiguous
        assert decoded.flags.writeable


def test_an_array_that_may_change_is_copied(tmp_path: Path) -> None:
    array = weight(3, 4)
    view = array[:]
    view.flags.writeable = False  # its memory can still be written to
    np.save(tmp_path / "w.npy", array)
    mapped = np.load(tmp_path / "w.npy", mmap_mode="r")  # and so can a file
    encodings = [encode(array), encode(array.T.copy().T), encode(view), encode(mapped)]
    for encoding, given in zip(encodings, (array, array, view, mapped), strict=True):
        plain = values(encoding).plain
        assert plain is not None
        assert not np.shares_memory(plain, given)
    array[:] = -1
    np.testing.assert_array_equal(decode(encodings[0]), weight(3, 4))


def test_an_array_that_nobody_can_change_is_kept() -> None:
    array = weight(3, 4).copy()
    array.flags.writeable = False
    for given in (array, array.reshape(4, 3), array.T):
        assert values(encode(given)).plain is given
        np.testing.assert_array_equal(decode(encode(given)), given)
        assert not np.shares_memory(decode(encode(given)), array)


def test_values_are_pickled_and_packed_as_those_in_row_order() -> None:
    encoding = encode(weight(3, 4))
    expected = Dense((3, 4), Float32(to_rows(weight(3, 4)).reshape(-1)))
    assert pack(encoding) == pack(expected)
    copy = pickle.loads(pickle.dumps(encode(weight(3, 4))))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(values(copy).array, values(expected).array)
    assert repr(values(encode(weight(2)))) == "Float32(array=array([0., 1.], dtype=float32))"
