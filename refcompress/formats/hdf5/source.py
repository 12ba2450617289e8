"""The bytes of an HDF5 file, whole or inside another file, as the HDF5 library may read them: screened, never written.

h5py asks a file-like object for the bytes that HDF5 wants. Whatever it asks for is looked through for global heaps
(:mod:`refcompress.formats.hdf5.heap`), so no heap is walked before it was checked, and the arrays, most of the file,
need not be searched.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from refcompress.errors import FormatError
from refcompress.formats.hdf5 import heap
from refcompress.formats.hdf5.memory import Memory

_AROUND = len(heap.START) - 1  # a signature may begin before what is read, or end behind it

MAX_INFLATION = 1032  # no deflate stream expands further
BLOCK_BYTES = 1 << 19
_AHEAD_BYTES = 1 << 14
_ALIGNED_BYTES = 1 << 12  # HDF5 goes back nearly as often as forth


class Source:
    """A window of an open file, as h5py takes it in place of a file: with ``seek``, ``tell`` and ``read``.

    It has no ``readinto``, for which h5py would wrap each piece of memory first.

    Parameters
    ----------
    file
        Open for reading bytes; it stays open when the window is closed.
    start
        Where the window begins.
    size_bytes
        Its length.
    packed_bytes
        What it took before it was unpacked into memory.

    Attributes
    ----------
    size_bytes
        Length of the window.
    most_bytes
        No array in it can be larger, compressed or not.
    memory
        For the arrays that are read from it.
    trouble
        The heap that was refused: the HDF5 library does not hand on why a read failed.

    Examples
    --------
    >>> Source(io.BytesIO(b"some bytes"), 5, 5).read(5)
    b'bytes'

    """

    def __init__(self, file: BinaryIO, start: int, size_bytes: int, packed_bytes: int | None = None) -> None:
        self.size_bytes = size_bytes
        self.most_bytes = MAX_INFLATION * (size_bytes if packed_bytes is None else packed_bytes)
        self.memory = Memory(size_bytes)
        self.trouble: FormatError | None = None
        self._file = file
        self._start = start
        self._position = 0
        self._heaps: dict[int, int] = {}
        self._ahead, self._ahead_start = b"", 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, counted from the window's start."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return so many bytes from the position on; beyond the window's end they are zeros.

        Raises
        ------
        FormatError
            The bytes belong to a heap that HDF5 would walk forever.

        """
        offset = self._position
        first, last = max(offset - _AROUND, 0), min(offset + count + _AROUND, self.size_bytes)
        if first < self._ahead_start or last > self._ahead_start + len(self._ahead):
            self._look_ahead(first, last)
        if self._ahead.find(heap.START, first - self._ahead_start, last - self._ahead_start) >= 0:
            self._check_heaps(first, last)
        begin = offset - self._ahead_start
        found = self._ahead[begin : begin + count]
        self._position = offset + len(found)
        return found if len(found) == count else found + bytes(count - len(found))

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return bytes of the window, fewer where it ends."""
        self._file.seek(self._start + offset)
        return self._file.read(max(min(count, self.size_bytes - offset), 0))

    def _look_ahead(self, first: int, last: int) -> None:
        """Keep bytes of the window; HDF5 asks for many small pieces, most of them close to the last one."""
        self._ahead_start = first // _ALIGNED_BYTES * _ALIGNED_BYTES
        self._ahead = self.bytes_at(self._ahead_start, max(last - self._ahead_start, _AHEAD_BYTES))

    def fill(self, offset: int, target: memoryview) -> Iterator[memoryview]:
        """Fill memory from the window, unscreened, and yield it block after block while it is in the cache.

        Raises
        ------
        FormatError
            The window ends before.

        """
        most = max(self.size_bytes - offset, 0)
        if offset < 0 or len(target) > most:
            raise FormatError(f"{len(target)} bytes should stand here; the file has {most}", max(offset, 0))
        self._file.seek(self._start + offset)
        for start in range(0, len(target), BLOCK_BYTES):
            block = target[start : start + BLOCK_BYTES]
            done = 0
            while done < len(block):
                count = _readinto(self._file, block[done:])
                if not count:
                    raise FormatError("the file became shorter while it was read", offset + start + done)
                done += count
            yield block

    def _check_heaps(self, first: int, last: int) -> None:
        """Check the heaps that begin in some of the bytes that are kept."""
        begin, end = first - self._ahead_start, last - self._ahead_start
        place = self._ahead.find(heap.START, begin, end)
        try:
            while place >= 0:
                self._check_heap(self._ahead_start + place)
                place = self._ahead.find(heap.START, place + len(heap.START), end)
        except FormatError as error:
            self.trouble = error
            raise

    def _check_heap(self, start: int) -> None:
        if start not in self._heaps:
            self._heaps[start] = heap.check(self.bytes_at, start, self.size_bytes)
        if sum(self._heaps.values()) > self.size_bytes:
            raise FormatError("the global heaps of this HDF5 file are longer than the file", start)


def _readinto(file: Any, block: memoryview) -> int:
    return int(file.readinto(block) or 0)
