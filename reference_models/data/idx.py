"""The IDX format that MNIST is published in: a magic, big-endian sizes, then the values, packed by gzip or not."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, OptionError

MAX_COUNT = 60_000  # as many as MNIST has for training
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTES = 8  # the code of the type in the magic
_FETCH_AGAIN = "fetch the file again"


def read_idx(path: str | os.PathLike[str], shape: tuple[int, ...], max_count: int = MAX_COUNT) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or packed by gzip; which of them is seen in its content.

    Parameters
    ----------
    path
        The file.
    shape
        Shape of one example: (28, 28) for an image of MNIST, () for a label.
    max_count
        How many examples are allowed. What a file unpacks to is read no further than one byte behind the examples
        that its header counts, so that no file, however small it is when packed, takes more memory than these.

    Returns
    -------
    array
        uint8, (n, *shape), read-only, n from 1 to ``max_count``.

    Raises
    ------
    FormatError
        The bytes are malformed, cut off or too many, or of another shape or type; the position counts unpacked bytes.
    OptionError
        There is no such file, or it cannot be read.

    References
    ----------
    LeCun, Cortes & Burges, "The MNIST database of handwritten digits", section "File formats", 1998.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "labels")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1]) + bytes([0, 0, 0, 3]) + bytes([7, 2, 1]))
    ...     read_idx(path, ())
    array([7, 2, 1], dtype=uint8)

    """
    try:
        with Path(path).open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                return _read(file, path, shape, max_count)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(stream, path, shape, max_count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:  # EOFError: cut off
        raise FormatError(f"{path} cannot be unpacked by gzip ({error}); {_FETCH_AGAIN}", 0) from error
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of an IDX file") from error


def _read(
    stream: BinaryIO | gzip.GzipFile, path: str | os.PathLike[str], shape: tuple[int, ...], max_count: int
) -> NDArray[np.uint8]:
    rank = 1 + len(shape)
    magic = bytes((0, 0, _UNSIGNED_BYTES, rank))
    header = stream.read(len(magic) + 4 * rank)
    if not header.startswith(magic):
        raise FormatError(
            f"{path} begins with {header[:4].hex(' ')!r}; an IDX file of unsigned bytes with {rank} "
            f"dimension{'s' if rank > 1 else ''} begins with {magic.hex(' ')!r}",
            0,
        )
    if len(header) < len(magic) + 4 * rank:
        raise FormatError(f"the header of {path} is cut off; {_FETCH_AGAIN}", len(header))
    count, *sizes = struct.unpack(f">{rank}I", header[len(magic) :])
    if not 1 <= count <= max_count:
        raise FormatError(f"{path} counts {count} examples; allowed are 1 to {max_count}", 4)
    if tuple(sizes) != shape:
        raise FormatError(f"the examples in {path} have the shape {tuple(sizes)}; it must be {shape}", 8)
    size_bytes = count * math.prod(shape)
    # one byte more would be one too many; to look for it also makes gzip reach its end and check its checksum
    data = stream.read(size_bytes + 1)
    if len(data) != size_bytes:
        found = f"only {len(data)}" if len(data) < size_bytes else "more"
        raise FormatError(
            f"{path} holds {found} bytes of values where its header says {size_bytes}; {_FETCH_AGAIN}",
            len(header) + min(len(data), size_bytes),
        )
    return np.frombuffer(data, np.uint8).reshape(count, *shape)
