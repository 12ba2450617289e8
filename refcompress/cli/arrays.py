"""NumPy files that users give and get: never unpickled, sizes checked before anything is allocated."""

from __future__ import annotations

import ast
import errno
import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from refcompress.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MALFORMED = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    RuntimeError,  # also of encrypted archives and of compressions that zipfile lacks
    KeyError,
    SyntaxError,
    TypeError,
)
_MAX_HEADER_BYTES = 1 << 16
_PLAIN_TYPE = re.compile(r"[<>|=]?[?biufcSU][0-9]*")


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read a ``.npz``, or a ``.npy`` as an archive of one array ``x``; told apart by content.

    Raises
    ------
    DataError
        The file is neither, is damaged, or holds Python objects.
    OSError
        The file cannot be read.

    """
    with Path(path).open("rb") as stream:
        magic = stream.read(6)
        stream.seek(0)
        try:
            if magic == b"\x93NUMPY":
                return {"x": _read_array(stream, os.fstat(stream.fileno()).st_size)}
            if magic[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
                return _read_archive(stream)
        except _MALFORMED as error:
            raise DataError(f"{path} is damaged or no NumPy file: {error}") from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # an archive that points before its own beginning
                raise
            raise DataError(f"{path} is damaged: it points outside itself") from None
        raise DataError(f"{path} is no .npy or .npz file; write it with numpy.save or numpy.savez")


def _read_archive(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    arrays = {}
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                arrays[member.filename.removesuffix(".npy")] = _read_array(content, member.file_size)
    return arrays


def _read_array(stream: IO[bytes], size_bytes: int) -> NDArray[Any]:
    import numpy as np

    shape, fortran_order, dtype = _read_header(stream)
    claimed_bytes = math.prod(shape) * dtype.itemsize
    there_bytes = size_bytes - stream.tell()
    if claimed_bytes != there_bytes:
        raise ValueError(f"the shape {shape} of {dtype} takes {claimed_bytes} bytes where {there_bytes} stand")
    data = bytearray(stream.read(claimed_bytes))
    if len(data) != claimed_bytes:
        raise ValueError(f"it ends after {len(data)} of {claimed_bytes} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    # not with numpy.lib.format, which tokenizes what it cannot parse, and raises whatever comes of that
    import numpy as np

    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in {b"\x01\0", b"\x02\0"}:
        raise ValueError(f"an array begins with {start!r}, not as .npy files of version 1 or 2 do")
    size_bytes = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
    if size_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"a header of {size_bytes} bytes; at most {_MAX_HEADER_BYTES} are read")
    fields = ast.literal_eval(stream.read(size_bytes).decode("latin-1").strip())
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError("the header of an array has not the fields descr, fortran_order and shape")
    shape, kind = fields["shape"], fields["descr"]
    if not isinstance(kind, str) or not _PLAIN_TYPE.fullmatch(kind):
        raise ValueError(f"values of the type {kind!r}, no plain numbers; Python objects are never unpickled")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"the shape {shape!r} of an array is none")
    return shape, bool(fields["fortran_order"]), np.dtype(kind)


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the bytes of a ``.npz``: the same bytes for the same arrays.

    Examples
    --------
    >>> import numpy as np
    >>> with np.load(io.BytesIO(npz_bytes({"y": np.arange(3.0)}))) as archive:
    ...     archive["y"]
    array([0., 1., 2.])

    """
    import numpy as np

    # not numpy.savez, which takes names as keyword arguments and so cannot store an array named "file"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def pick(arrays: Mapping[str, NDArray[Any]], name: str, path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return one array of a file by name.

    Raises
    ------
    DataError
        The file has no array of that name.

    """
    if name not in arrays:
        raise DataError(f"{path} has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none at all'}")
    return arrays[name]


def numbered(
    arrays: Mapping[str, NDArray[Any]], letter: str, names: Sequence[str], path: str | os.PathLike[str]
) -> dict[str, NDArray[Any]]:
    """Match the arrays of a file with names of a network.

    Arrays are named as the network names them, or ``x`` (where one is asked for), or ``x0``, ``x1``, ... in order.

    Parameters
    ----------
    arrays
        The arrays of the file.
    letter
        ``"x"`` for inputs, ``"y"`` for outputs.
    names
        Names of the network, in order.
    path
        The file, for the error.

    Examples
    --------
    >>> import numpy as np
    >>> list(numbered({"x0": np.zeros(1), "x1": np.ones(1)}, "x", ["left", "right"], "in.npz"))
    ['left', 'right']

    Raises
    ------
    DataError
        An array is missing.

    """
    spellings = [list(names), [f"{letter}{index}" for index in range(len(names))]]
    if len(names) == 1:
        spellings.append([letter])
    for spelling in spellings:
        if all(key in arrays for key in spelling):
            return {name: arrays[key] for name, key in zip(names, spelling, strict=True)}
    wanted = " or ".join(", ".join(map(repr, spelling)) for spelling in spellings)
    raise DataError(f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}; the network needs {wanted}")
