"""IDX files are read as they are described, and whatever else stands in them is refused."""

from __future__ import annotations

import gzip
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from checks.mnist_files import idx_bytes
from hypothesis import given
from hypothesis import strategies as st

from refcompress.errors import FormatError, OptionError, RefcompressError
from reference_models.data import idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)

MALFORMED = {
    # no byte at all: a download that never began
    "empty": (b"", 0, r"begins with ''; .* begins with '00 00 08 03'"),
    # a web page that was saved under the name of the file
    "a web page": (b"<!DOCTYPE html>", 0, "begins with '3c 21 44 4f'"),
    # labels where images should be
    "another rank": (idx_bytes(np.arange(3, dtype=np.uint8)), 0, "begins with '00 00 08 01'"),
    # type 0d: float32
    "another type": (b"\0\0\x0d\3" + GOOD[4:], 0, "begins with '00 00 0d 03'"),
    # the file of a machine that writes the low byte first
    "little-endian magic": (b"\3\x08\0\0" + GOOD[4:], 0, "begins with '03 08 00 00'"),
    # ends between the second and the third size
    "half a header": (GOOD[:12], 12, "header .* is cut off"),
    # ends within the magic
    "half a magic": (GOOD[:3], 0, "begins with '00 00 08'"),
    # a header that counts nothing
    "no examples": (idx_bytes(IMAGES[:0]), 4, "counts 0 examples; allowed are 1 to 60000"),
    # 2^32 - 1 examples of 12 bytes would be 48 GiB
    "too many examples": (GOOD[:4] + b"\xff" * 4 + GOOD[8:], 4, "counts 4294967295 examples"),
    # one more than MNIST has
    "60,001 examples": (GOOD[:4] + struct.pack(">I", 60_001) + GOOD[8:], 4, "counts 60001 examples"),
    # as many values, but height and width exchanged
    "another shape": (idx_bytes(IMAGES.reshape(2, 4, 3)), 8, r"the shape \(4, 3\); it must be \(3, 4\)"),
    # sizes whose product is 0 in 64 bits
    "sizes that overflow": (GOOD[:8] + b"\x80\0\0\0" * 2 + GOOD[16:], 8, "the shape"),
    # the last pixel is missing
    "a byte short": (GOOD[:-1], len(GOOD) - 1, "only 23 bytes of values where its header says 24"),
    # a header and nothing behind it
    "no values": (GOOD[:16], 16, "only 0 bytes"),
    # one pixel more than the header counts
    "a byte long": (GOOD + b"\0", len(GOOD), "more bytes of values where its header says 24"),
    # a download that broke off in the middle of the packed values
    "cut off in gzip": (PACKED[:-12], 0, "cannot be unpacked by gzip"),
    # all values are there, but not their checksum
    "no gzip trailer": (PACKED[:-8], 0, "cannot be unpacked by gzip"),
    # the checksum is of other values
    "a wrong gzip checksum": (PACKED[:-8] + b"\0" * 4 + PACKED[-4:], 0, "gzip .*CRC"),
    # the method of packing is none that exists
    "an unknown gzip method": (PACKED[:2] + b"\7" + PACKED[3:], 0, "gzip"),
    # a block of reserved type 3, which no packer writes
    "no deflate stream": (PACKED[:10] + b"\xff" * 9, 0, "gzip"),
    # only the two bytes by which gzip is known
    "half a gzip magic": (PACKED[:2], 0, "gzip"),
    # something stands behind the packed file
    "trailing bytes behind gzip": (PACKED + b"more", 0, "gzip"),
    # what is unpacked is malformed as above, and its positions are counted unpacked
    "a byte long in gzip": (gzip.compress(GOOD + b"\0"), len(GOOD), "more bytes"),
    # two packed files one behind the other unpack to one that is too long
    "twice in gzip": (PACKED + PACKED, len(GOOD), "more bytes"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_one_error_that_says_where(name: str, tmp_path: Path) -> None:
    data, offset_bytes, message = MALFORMED[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=message) as caught:
        idx.read_idx(path, (3, 4))
    assert caught.value.offset_bytes == offset_bytes
    assert str(path) in str(caught.value)


@given(
    st.integers(1, 9),
    st.lists(st.integers(1, 5), max_size=3).map(tuple),
    st.sampled_from([bytes, gzip.compress]),
    st.integers(0, 2**32),
)
def test_what_was_written_is_read(count: int, shape: tuple[int, ...], pack: type[bytes], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(pack(idx_bytes(array)))
        found = idx.read_idx(path, shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array, strict=True)


@given(st.sampled_from([GOOD, PACKED]), st.data())
def test_damage_gives_an_array_or_one_of_our_errors(good: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    damaged = good[:start] + data.draw(st.binary(max_size=8)) + good[end:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(damaged)
        try:
            found = idx.read_idx(path, (3, 4))
        except RefcompressError:
            return
    assert found.shape[1:] == (3, 4)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with gzip.open(path, "wb") as file:
        file.write(GOOD)
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="more bytes of values"):
            idx.read_idx(path, (3, 4))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20  # some buffers of gzip, and the error


def test_a_file_that_is_missing_or_a_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OptionError, match=r"cannot be read: .*give the path of an IDX file"):
            idx.read_idx(path, ())
