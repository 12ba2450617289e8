"""Arrays by name from plain HDF5, ``.npz`` and ``.safetensors`` files, none of which is trusted.

What is in a file is listed first, with shapes; an array is read only when somebody asks for it, so memory is bounded by
what is asked for. safetensors: https://github.com/huggingface/safetensors (format); ``.npy``: NumPy's NEP 1.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.hdf5 import arrays, groups
from refcompress.formats.hdf5.source import MAX_INFLATION, Source

Shape = tuple[int, ...]
Float32 = NDArray[np.float32]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_HEADER_BYTES = 1 << 24  # of a safetensors file: room for about 100,000 arrays
MAX_AXES = 8
SAFETENSORS_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # of a number, in the types that are read
REMEDY = "write it again with numpy.savez, h5py or safetensors"


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    shape
        As the file says.
    read
        Returns it as float32, given what it is called in messages; raises ModelError or FormatError.

    """

    shape: Shape
    read: Callable[[str], Float32]


@contextlib.contextmanager
def open_arrays(
    source: str | os.PathLike[str] | Mapping[str, Any],
) -> Iterator[Mapping[str, StoredArray]]:
    """Open a file of arrays, whose kind is seen in its bytes; or take a mapping from names to arrays.

    Yields
    ------
    mapping
        Name to array; that of HDF5 is the path of the dataset, ``"group/name"``.

    Raises
    ------
    FormatError
        The file is of no such kind, or malformed.
    OptionError
        It cannot be read.

    Examples
    --------
    >>> with open_arrays({"a": [1.0, 2.0]}) as arrays:
    ...     arrays["a"].shape, arrays["a"].read("a")
    ((2,), array([1., 2.], dtype=float32))

    """
    if isinstance(source, Mapping):
        yield {str(name): _in_memory(value) for name, value in source.items()}
        return
    with _opened(source) as file:
        size_bytes = file.seek(0, os.SEEK_END)
        start = _at(file, 0, 9)
        if start.startswith(b"PK"):
            yield _npz(file, size_bytes)
        elif _is_hdf5(file, size_bytes):
            with groups.open_file(window := Source(file, 0, size_bytes)) as root:
                yield _hdf5(root, window)
        elif start[8:] == b"{":
            yield _safetensors(file, size_bytes)
        else:
            found = f"begins with {start[:8]!r}" if start else "is empty"
            raise FormatError(f"{source} {found}; arrays are read from HDF5, .npz and .safetensors files", 0)


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of a file of arrays") from error


def as_float32(stored: NDArray[Any], what: str) -> Float32:
    """Widen float16, round float64 to nearest.

    Raises
    ------
    ModelError
        It holds other things than numbers that float32 can hold.

    """
    if stored.dtype.kind != "f" or stored.dtype.itemsize not in {2, 4, 8}:
        raise ModelError(f"{what} is of type {stored.dtype}; allowed are float16, bfloat16, float32 and float64")
    if not np.isfinite(stored).all():
        raise ModelError(f"{what} holds NaN or infinity; its training has diverged, take an earlier checkpoint")
    with np.errstate(over="ignore"):
        array = stored.astype(np.float32)
    if not np.isfinite(array).all():
        raise ModelError(f"{what} holds float64 values beyond the range of float32; rescale the layer")
    return array


def _in_memory(value: Any) -> StoredArray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of different lengths, tensors of other devices
        raise ModelError(f"an array of type {type(value).__name__} cannot be read ({str(error)[:100]})") from error
    return StoredArray(array.shape, lambda what: as_float32(array, what))


def _is_hdf5(file: BinaryIO, size_bytes: int) -> bool:
    offset = 0
    while offset < size_bytes:  # HDF5 may begin after a user block, at 512, 1024, 2048 and so on
        if _at(file, offset, 8) == HDF5_SIGNATURE:
            return True
        offset = max(512, 2 * offset)
    return False


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _hdf5(root: Any, source: Source) -> dict[str, StoredArray]:
    import h5py

    found = {}
    for name in groups.names_below(root):
        with groups.reading(f"{name!r} cannot be read"):
            is_dataset = root.get(name, getclass=True) is h5py.Dataset
        if is_dataset:
            found[name] = _hdf5_array(root, name, source)
    return found


def _hdf5_array(root: Any, name: str, source: Source) -> StoredArray:
    stored = arrays.find(root, name)
    shape = arrays.shape_of(stored, f"the array {name!r}")
    return StoredArray(shape, lambda what: arrays.read(stored, shape, source, what))


@contextlib.contextmanager
def _unzipping(what: str) -> Iterator[None]:
    """Turn what zipfile and NumPy raise for malformed bytes into our error."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise FormatError(f"{what} cannot be read ({str(error)[:200]}); {REMEDY}", 0) from error


def _npz(file: BinaryIO, size_bytes: int) -> dict[str, StoredArray]:
    with _unzipping("the zip archive"):
        archive = zipfile.ZipFile(file)
    found: dict[str, StoredArray] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            hint = "; a PyTorch file? pickles are never read" if name.endswith((".pkl", "/version")) else ""
            raise FormatError(f"the zip archive holds {name[:80]!r}, which is no .npy array{hint}; {REMEDY}", 0)
        if name in found:
            raise FormatError(f"the zip archive holds {name!r} twice; {REMEDY}", 0)
        found[name] = _npz_array(archive, member, size_bytes)
    return found


def _npz_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size_bytes: int) -> StoredArray:
    what = f"the member {member.filename!r}"
    with _unzipping(what), archive.open(member) as stream:
        shape, fortran, dtype = _npy_header(stream)
        start = stream.tell()

    def read(name: str) -> Float32:
        if dtype.kind != "f":
            raise ModelError(f"{name} is of type {dtype}; allowed are float16, float32 and float64")
        count = math.prod(shape) * dtype.itemsize
        if start + count != member.file_size or count > MAX_INFLATION * size_bytes:
            raise FormatError(f"{what} declares {count} bytes of numbers and holds {member.file_size - start}", 0)
        with _unzipping(what), archive.open(member) as stream:
            stream.seek(start)
            data = stream.read(count)
            if len(data) != count or stream.read(1):  # the checksum is compared at the end
                raise EOFError("its length is not what it says")
        return as_float32(np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C"), name)

    return StoredArray(shape, read)


def _npy_header(stream: Any) -> tuple[Shape, bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # later ones, with headers of any length, are written for records only
        raise ValueError(f"version {version} of .npy")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if len(shape) > MAX_AXES or any(not 0 <= size < 1 << 31 for size in shape) or dtype.hasobject:
        raise ValueError(f"an array of shape {shape} and type {dtype}")
    return shape, fortran, dtype


def _safetensors(file: BinaryIO, size_bytes: int) -> dict[str, StoredArray]:
    header_bytes = int.from_bytes(_at(file, 0, 8), "little")
    if header_bytes > min(size_bytes - 8, MAX_HEADER_BYTES):
        raise FormatError(f"a header of {header_bytes} bytes in a file of {size_bytes}; {REMEDY}", 0)
    try:
        header = json.loads(_at(file, 8, header_bytes), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the header is no JSON of safetensors ({str(error)[:200]}); {REMEDY}", 8) from error
    header.pop("__metadata__", None)
    start, found, spans = 8 + header_bytes, {}, []
    for name, entry in header.items():
        kind, shape, (begin, end) = _safetensors_entry(name, entry)
        spans.append((begin, end))
        found[name] = _safetensors_array(file, kind, shape, start + begin, end - begin)
    last = 0
    for begin, end in sorted(spans):
        if begin != last:
            raise FormatError(f"the arrays leave a gap or overlap; {REMEDY}", start + last)
        last = end
    if start + last != size_bytes:
        raise FormatError(f"the arrays end at byte {start + last} of a file of {size_bytes}; {REMEDY}", start + last)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _safetensors_entry(name: str, entry: Any) -> tuple[str, Shape, tuple[int, int]]:
    if isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}:
        kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        fits = isinstance(kind, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2
        if fits and len(shape) <= MAX_AXES and offsets[0] <= offsets[1]:
            stored = math.prod(shape) * SAFETENSORS_BYTES.get(kind, 0)
            if kind not in SAFETENSORS_BYTES or stored == offsets[1] - offsets[0]:
                return kind, tuple(shape), (offsets[0], offsets[1])
    raise FormatError(f"the header describes {name[:80]!r} in a way that safetensors does not; {REMEDY}", 8)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _safetensors_array(file: BinaryIO, kind: str, shape: Shape, start: int, count: int) -> StoredArray:
    def read(what: str) -> Float32:
        if kind not in SAFETENSORS_BYTES:
            raise ModelError(f"{what} is of type {kind[:20]}; allowed are {', '.join(SAFETENSORS_BYTES)}")
        data = _at(file, start, count)
        if len(data) != count:
            raise FormatError("the file became shorter while it was read", start)
        if kind == "BF16":  # the upper half of a float32
            return as_float32(
                (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape), what
            )
        return as_float32(np.frombuffer(data, f"<f{SAFETENSORS_BYTES[kind]}").reshape(shape), what)

    return StoredArray(shape, read)
