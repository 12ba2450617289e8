"""A check of HDF5's global heaps, which hold texts of variable length, before the HDF5 library walks them.

The library (2.0.0 and before) adds up the sizes of a heap's objects until it reaches the heap's end; the object with
index 0 is free space, whose size includes its header. If that size is 0, it never ends. One wrong byte suffices.
Layout: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from refcompress.errors import FormatError

START = b"GCOL\x01\0\0\0"
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size

Read = Callable[[int, int], bytes]  # the bytes from an offset, so many or all that are left


def check(read: Read, start: int, limit_bytes: int) -> int:
    """Refuse a global heap with a free object without size.

    Only files whose lengths take 8 bytes are understood.

    Parameters
    ----------
    read
        Returns bytes of the file, given an offset and a length.
    start
        Where the heap begins, with the bytes :data:`START`.
    limit_bytes
        No heap is longer; what is declared beyond is not looked at.

    Returns
    -------
    int
        How long the heap says it is.

    Raises
    ------
    FormatError
        With the place of the object.

    Examples
    --------
    >>> text, free = _OBJECT.pack(1, 0, 0, 5) + b"words" + bytes(3), _OBJECT.pack(0, 0, 0, 0)
    >>> file = START + struct.pack("<Q", 64) + text + free
    >>> check(lambda offset, count: file[offset : offset + count], 0, len(file))
    Traceback (most recent call last):
        ...
    refcompress.errors.FormatError: byte 40: a global heap of this HDF5 file has a free object of size 0; ...

    """
    begin = start + len(START) + 8
    size_bytes = int.from_bytes(read(begin - 8, 8), "little")
    data = read(start, min(size_bytes, limit_bytes))
    offset = begin - start
    while offset + _OBJECT.size <= len(data):
        index, _, _, size = _OBJECT.unpack_from(data, offset)
        if index == 0 and size == 0:
            raise FormatError(
                "a global heap of this HDF5 file has a free object of size 0; the file is damaged, get it again or "
                "save the model again",
                start + offset,
            )
        offset += size if index == 0 else _OBJECT.size + -(-size // 8) * 8
    return size_bytes
