"""A check of HDF5's global heaps, which hold texts of variable length, before the HDF5 library walks them.

The library (2.0.0 and before) adds up the sizes of a heap's objects until it reaches the heap's end; the object with
index 0 is free space, whose size includes its header. If that size is 0, it never ends. One wrong byte suffices.
Layout: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from refcompress.errors import FormatError

_START = b"GCOL\x01\0\0\0"
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size


def check(path: str | os.PathLike[str]) -> None:
    """Refuse a file in which a global heap has a free object without size.

    Only files whose lengths take 8 bytes are understood.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FormatError
        With the place of the first such object.

    Examples
    --------
    >>> import tempfile
    >>> text, free = _OBJECT.pack(1, 0, 0, 5) + b"words" + bytes(3), _OBJECT.pack(0, 0, 0, 0)
    >>> heap = _START + struct.pack("<Q", 64) + text + free
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "model.h5")
    ...     _ = path.write_bytes(heap)
    ...     check(path)
    Traceback (most recent call last):
        ...
    refcompress.errors.FormatError: byte 40: a global heap of this HDF5 file has a free object of size 0; ...

    """
    if not Path(path).stat().st_size:
        return  # an empty file cannot be mapped
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(_START)
        while start >= 0:
            _check_heap(data, start)
            start = data.find(_START, start + len(_START))


def _check_heap(data: mmap.mmap, start: int) -> None:
    offset = start + len(_START) + 8
    if offset > len(data):
        return
    end = min(start + int.from_bytes(data[offset - 8 : offset], "little"), len(data))
    while offset + _OBJECT.size <= end:
        index, _, _, size = _OBJECT.unpack_from(data, offset)
        if index == 0 and size == 0:
            raise FormatError(
                "a global heap of this HDF5 file has a free object of size 0; the file is damaged, get it again or "
                "save the model again",
                offset,
            )
        offset += size if index == 0 else _OBJECT.size + -(-size // 8) * 8
