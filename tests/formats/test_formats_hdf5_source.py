"""What HDF5 reads is a window of a file in which no global heap goes unchecked, wherever it begins."""

from __future__ import annotations

import io
import struct

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress.errors import FormatError
from refcompress.formats.hdf5 import groups, heap
from refcompress.formats.hdf5.source import Source

# a heap of one text and free space, whose size is missing in the second one
TEXT = struct.pack("<HHIQ", 1, 0, 0, 5) + b"words" + bytes(3)
GOOD = heap.START + struct.pack("<Q", 56) + TEXT + struct.pack("<HHIQ", 0, 0, 0, 16)
BAD = GOOD[:-8] + bytes(8)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 220), st.integers(0, 220))
def test_a_window_reads_as_the_bytes_it_holds(data: bytes, start: int, place: int, count: int) -> None:
    start = min(start, len(data))
    source, plain = Source(io.BytesIO(b"#" * 9 + data), 9 + start, len(data) - start), io.BytesIO(data[start:])
    assert source.seek(place) == plain.seek(place)
    assert source.read(count) == plain.read(count).ljust(count, b"\0")
    assert source.tell() == plain.tell()
    assert source.seek(0, io.SEEK_END) == len(data) - start


def test_what_lies_beyond_the_window_reads_as_zeros() -> None:
    assert Source(io.BytesIO(b"0123456789"), 2, 5).read(8) == b"23456\0\0\0"


@given(st.integers(0, 40), st.integers(0, 120), st.integers(1, 120))
def test_a_heap_is_seen_by_whatever_read_touches_its_first_bytes(before: int, place: int, count: int) -> None:
    source = Source(io.BytesIO(b"#" * before + BAD + b"#" * 40), 0, before + len(BAD) + 40)
    source.seek(place)
    touches = place < before + len(heap.START) and place + count > before
    if touches:
        with pytest.raises(FormatError, match="free object of size 0"):
            source.read(count)
        assert source.trouble is not None
        assert source.trouble.offset_bytes == before + len(BAD) - 16
    else:
        try:
            source.read(count)
        except FormatError:  # a read that ends near a heap looks a little further
            assert abs(place - before) < 16 or abs(place + count - before) < 16


def test_a_sound_heap_is_read() -> None:
    assert Source(io.BytesIO(GOOD), 0, len(GOOD)).read(len(GOOD)) == GOOD


def test_heaps_longer_than_the_file_are_refused() -> None:
    data = b"".join(heap.START + struct.pack("<Q", 1 << 20) + TEXT for _ in range(3))
    with pytest.raises(FormatError, match="longer than the file"):
        Source(io.BytesIO(data), 0, len(data)).read(len(data))


def test_arrays_are_filled_block_after_block() -> None:
    data = np.arange(200_000, dtype=np.float32)
    source, array = Source(io.BytesIO(b"####" + data.tobytes()), 4, data.nbytes), np.empty_like(data)
    blocks = [len(block) for block in source.fill(0, array.view(np.uint8).data)]
    assert sum(blocks) == data.nbytes
    assert len(blocks) > 1
    np.testing.assert_array_equal(array, data)


@pytest.mark.parametrize("offset", [-4, 1, 100])
def test_an_array_beyond_the_window_is_refused(offset: int) -> None:
    with pytest.raises(FormatError, match="bytes should stand here"):
        list(Source(io.BytesIO(bytes(8)), 0, 8).fill(offset, memoryview(bytearray(8))))


def test_the_heap_that_stopped_hdf5_is_what_the_error_names() -> None:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["text"] = "of variable length"
    data = bytearray(memory.getvalue())
    place = data.index(heap.START) + 16
    while data[place : place + 2] != bytes(2):
        place += 16 + -(-int.from_bytes(data[place + 8 : place + 16], "little") // 8) * 8
    data[place + 8 : place + 16] = bytes(8)
    source = Source(io.BytesIO(bytes(data)), 0, len(data))
    with pytest.raises(FormatError, match="free object of size 0") as caught, groups.open_file(source) as root:
        groups.read_text(root, "text", len(data))
    assert caught.value.offset_bytes == place
