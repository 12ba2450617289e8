"""Arrays of HDF5 files: where their values stand, and the memory they share."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress import encodings
from refcompress.errors import FormatError
from refcompress.formats.hdf5 import arrays, groups
from refcompress.formats.hdf5.memory import PIECE_BYTES, Memory
from refcompress.formats.hdf5.source import Source


def read(path: Path, name: str) -> np.ndarray:
    """Read one array, whose shape is whatever the file says."""
    with path.open("rb", buffering=0) as file:
        source = Source(file, 0, os.fstat(file.fileno()).st_size)
        with groups.open_file(source) as root:
            stored = arrays.find(root, name)
            return arrays.read(stored, stored.shape or (), source, name)


@pytest.mark.parametrize("block_bytes", [0, 512, 4096])
def test_values_behind_a_user_block_are_found_and_missing_ones_are_refused(tmp_path: Path, block_bytes: int) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "any.h5"
    with h5py.File(path, "w", userblock_size=block_bytes) as file:
        file["there"] = values
        file.create_dataset("never", (3, 4), np.float32)
        file.create_dataset("other", (3, 4), np.float32, external=[("other.bin", 0, 48)])
    np.testing.assert_array_equal(read(path, "there"), values)
    with pytest.raises(FormatError, match="of which 0 are stored"):
        read(path, "never")
    with pytest.raises(FormatError, match="in other files"):
        read(path, "other")


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=9), st.integers(0, 3000))
def test_arrays_that_share_memory_share_no_byte(shapes: list[list[int]], most_bytes: int) -> None:
    memory = Memory(most_bytes)
    taken = [memory.take(tuple(shape)) for shape in shapes]
    for number, array in enumerate(taken):
        assert array.shape == tuple(shapes[number])
        array[...] = number
    assert all((array == number).all() for number, array in enumerate(taken))


def test_small_arrays_share_memory_and_are_kept_without_a_copy() -> None:
    memory = Memory(10 * PIECE_BYTES)
    first, second, large = memory.take((5,)), memory.take((7, 2)), memory.take((PIECE_BYTES,))
    assert first.base is second.base
    assert large.base is not first.base
    for array in (first, large):
        array[...] = 1
        array.flags.writeable = False
        kept = encodings.encode(array)
        assert isinstance(kept.values, encodings.Float32)
        assert kept.values.plain is not None
        assert np.shares_memory(kept.values.plain, array)
