"""Reading the arrays of an HDF5 file as float32, after everything that is said about them was checked."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError
from refcompress.formats.hdf5.groups import SAVE_AGAIN, identified, read_text, reading
from refcompress.formats.hdf5.source import MAX_INFLATION, Source

MAX_CHUNK_SLACK_BYTES = 1 << 20
# deflate, shuffle, fletcher32, LZF: lossless, and none is loaded from a plugin
KNOWN_FILTERS = {1, 2, 3, 32000}
INFLATING = {1, 32000}

_FLOAT32 = np.dtype(np.float32)
_NONE: frozenset[int] = frozenset()

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A dataset, and what its header says.

    Attributes
    ----------
    low
        h5py's ``DatasetID``; None where the values can be read without HDF5.
    shape
        None if it has none.
    dtype
        What NumPy calls its type.
    direct
        Whether its bytes are those of a NumPy array of this type.
    address
        Where its header stands: equal for two names of one dataset.
    offset
        Where its values stand; None if not in one piece.
    stored_bytes
        How many bytes of the file hold its values.
    chunk
        Shape of the pieces they are stored in; empty if they are not.
    filters
        Numbers of what compresses the pieces.
    elsewhere
        Whether the values are in other files or datasets.

    """

    low: Any
    shape: Shape | None
    dtype: np.dtype[Any]
    direct: bool
    address: int
    offset: int | None
    stored_bytes: int
    chunk: Shape
    filters: frozenset[int]
    elsewhere: bool


def find(place: Any, path: str) -> Stored:
    """Look up a dataset below a group.

    Raises
    ------
    FormatError
        Nothing stands there, or a link to elsewhere, or no dataset, or a malformed one.

    """
    import h5py

    low, address = identified(place, path)
    with reading(f"the header of {path!r} cannot be read", place):
        shape = low.shape
        kind = low.get_type()
        direct = sys.byteorder == "little" and kind.equal(h5py.h5t.IEEE_F32LE)
        dtype = _FLOAT32 if direct else kind.dtype
        offset = _in_one_piece(low)
        if direct and offset is not None and shape is not None:  # most of them; nothing else is of interest
            return Stored(None, shape, dtype, direct, address, offset, 4 * math.prod(shape), (), _NONE, elsewhere=False)
        plan = low.get_create_plist()
        layout = plan.get_layout()
        return Stored(
            low,
            shape,
            dtype,
            direct,
            address,
            offset,
            low.get_storage_size() if offset is None or shape is None else math.prod(shape) * dtype.itemsize,
            plan.get_chunk() if layout == h5py.h5d.CHUNKED else (),
            frozenset(plan.get_filter(i)[0] for i in range(plan.get_nfilters())),
            layout == h5py.h5d.VIRTUAL or plan.get_external_count() > 0,
        )


def _in_one_piece(low: Any) -> int | None:
    """Return where the values of a dataset stand, None if in several pieces, in other files or nowhere."""
    offset = low.get_offset()
    # no place at all, all bits set, comes one short of the length of the user block if there is one: a power of two
    return None if offset is None or offset & (offset + 1) == 0 else int(offset)


def read(stored: Stored, shape: Shape, source: Source, what: str) -> NDArray[np.float32]:
    """Read a dataset whose shape is known beforehand, as float32.

    float16 and bfloat16 are widened; float64 is rounded to nearest, as Keras does when it loads the file into a
    float32 layer.

    Parameters
    ----------
    stored
        From :func:`find`.
    shape
        The shape that the layer's configuration implies.
    source
        What the file was opened from.
    what
        For the messages: whose weight this is.

    Returns
    -------
    ndarray of float32
        Read-only: nothing else refers to its memory, so whoever keeps it need not copy it.

    Raises
    ------
    ModelError
        Another shape, or numbers that float32 cannot hold.
    FormatError
        The bytes are not in this file, or fewer than declared.

    """
    import h5py

    dtype = stored.dtype
    brain = (
        not stored.direct
        and dtype == "V2"
        and read_text(h5py.Dataset(stored.low), "dtype", source.size_bytes) == "bfloat16"
    )
    if stored.shape != shape:
        raise ModelError(f"{what} has the shape {stored.shape}; the configuration implies {shape}; {SAVE_AGAIN}")
    if not brain and (dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}):
        raise ModelError(f"{what} is of type {dtype}; allowed are float16, float32, float64 and bfloat16; {SAVE_AGAIN}")
    _check_storage(stored, source, what)
    if stored.direct and stored.offset is not None:
        array = source.memory.take(shape)
        _check_finite(what, _fill(array, source, stored.offset))
    else:
        with reading(f"{what} cannot be read"):
            values = h5py.Dataset(stored.low)[()]
        array = _as_float32(values, what, brain=brain)
    array.flags.writeable = False
    return array


def _fill(array: NDArray[np.float32], source: Source, offset: int) -> Iterator[bool]:
    with reading("the file cannot be read"), np.errstate(invalid="ignore"):
        for block in source.fill(offset, array.reshape(-1).view(np.uint8).data):
            values = np.frombuffer(block, np.float32)
            # infinity and NaN both reach one end; looked for in memory that is still in the cache
            yield math.isfinite(values.max()) and math.isfinite(values.min())


def _check_finite(what: str, finite: Iterable[Any]) -> None:
    if not all(finite):
        raise ModelError(f"{what} holds NaN or infinity; its training has diverged, take an earlier checkpoint")


def _as_float32(values: NDArray[Any], what: str, *, brain: bool) -> NDArray[np.float32]:
    if brain:  # the upper half of a float32
        values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    _check_finite(what, [np.isfinite(values).all()])
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(array).all():
        raise ModelError(f"{what} holds float64 values beyond the range of float32; rescale the layer")
    return array if array.shape == values.shape else array.reshape(values.shape)


def _check_storage(stored: Stored, source: Source, what: str) -> None:
    """Refuse what would make HDF5 read other files or allocate far more than this file holds."""
    if stored.elsewhere:
        raise FormatError(f"{what} keeps its values in other files or datasets; {SAVE_AGAIN}", 0)
    unknown = stored.filters - KNOWN_FILTERS
    if unknown:
        raise FormatError(f"{what} uses the HDF5 filters {sorted(unknown)}; {SAVE_AGAIN}", 0)
    stored_bytes = min(stored.stored_bytes, source.size_bytes)
    declared_bytes = math.prod(stored.shape or ()) * stored.dtype.itemsize
    chunk_bytes = math.prod(stored.chunk) * stored.dtype.itemsize
    most_bytes = min(stored_bytes * (MAX_INFLATION if stored.filters & INFLATING else 1), source.most_bytes)
    if declared_bytes > most_bytes or chunk_bytes > most_bytes + MAX_CHUNK_SLACK_BYTES:
        raise FormatError(
            f"{what} declares {max(declared_bytes, chunk_bytes)} bytes, of which {stored_bytes} are stored; "
            f"the file was cut off or never written; {SAVE_AGAIN}",
            0,
        )


def shape_of(stored: Stored, what: str) -> Shape:
    """Return the shape of a dataset.

    Raises
    ------
    FormatError
        It has none.

    """
    if stored.shape is None:
        raise FormatError(f"{what} has no values; {SAVE_AGAIN}", 0)
    return stored.shape


def is_counter(stored: Stored) -> bool:
    """Whether a dataset holds one or two integers."""
    return stored.dtype.kind in "iu" and stored.shape is not None and math.prod(stored.shape) <= 2
