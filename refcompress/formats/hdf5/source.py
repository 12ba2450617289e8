"""The bytes of an HDF5 file, whole or inside another file, as the HDF5 library may read them: screened, never written.

HDF5 asks a file-like object for its bytes. Whatever it asks for is looked through for global heaps
(:mod:`refcompress.formats.hdf5.heap`), so no heap is walked before it was checked, and the arrays, most of the file,
need not be searched.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from refcompress.errors import FormatError
from refcompress.formats.hdf5 import heap

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_AROUND = len(heap.START) - 1  # a signature may begin before what is read, or end behind it

MAX_INFLATION = 1032  # no deflate stream expands further
BLOCK_BYTES = 1 << 18
_AHEAD_BYTES = 1 << 13


class Source(io.RawIOBase):
    """A window of an open file.

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
    trouble
        The heap that was refused: the HDF5 library does not hand on why a read failed.

    Examples
    --------
    >>> Source(io.BytesIO(b"some bytes"), 5, 5).read()
    b'bytes'

    """

    def __init__(self, file: BinaryIO, start: int, size_bytes: int, packed_bytes: int | None = None) -> None:
        super().__init__()
        self.size_bytes = size_bytes
        self.most_bytes = MAX_INFLATION * (size_bytes if packed_bytes is None else packed_bytes)
        self.trouble: FormatError | None = None
        self._file = file
        self._start = start
        self._position = 0
        self._heaps: dict[int, int] = {}
        self._ahead = (0, b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether the position can be set: yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, counted from the window's start."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, as far as the window reaches.

        Raises
        ------
        FormatError
            The bytes belong to a heap that HDF5 would walk forever.

        """
        target = memoryview(buffer).cast("B")
        before = min(_AROUND, self._position)
        found = self._near(self._position - before, before + len(target) + _AROUND)
        try:
            self._check_heaps(found, self._position - before)
        except FormatError as error:
            self.trouble = error
            raise
        inside = found[before : before + len(target)]
        target[: len(inside)] = inside
        target[len(inside) :] = bytes(len(target) - len(inside))  # HDF5 does not look at how much it got
        self._position += len(inside)
        return len(inside)

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return bytes of the window, fewer where it ends."""
        self._file.seek(self._start + offset)
        return self._file.read(max(min(count, self.size_bytes - offset), 0))

    def _near(self, offset: int, count: int) -> bytes:
        """Return bytes of the window; HDF5 asks for many small pieces, most of them close to the last one."""
        start, block = self._ahead
        if not start <= offset <= offset + count <= start + len(block):
            block = self.bytes_at(offset, max(count, _AHEAD_BYTES))
            start, self._ahead = offset, (offset, block)
        return block[offset - start : offset - start + count]

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

    def _check_heaps(self, found: bytes, offset: int) -> None:
        place = found.find(heap.START)
        while place >= 0:
            start = offset + place
            if start not in self._heaps:
                self._heaps[start] = heap.check(self.bytes_at, start, self.size_bytes)
            if sum(self._heaps.values()) > self.size_bytes:
                raise FormatError("the global heaps of this HDF5 file are longer than the file", start)
            place = found.find(heap.START, place + len(heap.START))


def _readinto(file: Any, block: memoryview) -> int:
    return int(file.readinto(block) or 0)
