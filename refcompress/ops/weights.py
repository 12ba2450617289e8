"""Decoded weights for the operators: a dense matrix of rows, or the three arrays of a sparse one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.encodings import Csr, Encoding, csr
from refcompress.encodings.rows import matrix_shape
from refcompress.encodings.values import decode_values, value_count

T = TypeVar("T")
S = TypeVar("S", bound=np.generic)
Array = NDArray[np.floating[Any]]

# What a run has decoded: (what, id of the encoding, dtype) -> (the encoding, so that its id stays taken; the
# array)
_kept: ContextVar[dict[tuple[str, int, str], tuple[Encoding, Any]] | None] = ContextVar("kept", default=None)


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """The stored entries of a matrix, as SciPy's CSR names them.

    Attributes
    ----------
    data, indices, indptr
        Values, their columns, and where each row begins (and the last one ends).
    columns
        Number of columns of the matrix.

    """

    data: Array
    indices: NDArray[np.int32]
    indptr: NDArray[np.int64]
    columns: int


Weight = Array | SparseRows


def read_only(array: NDArray[S]) -> NDArray[S]:
    """Return a contiguous array that cannot be written to.

    Kernels compile once for arrays that can be written and once for those that cannot: giving them inputs that
    never can halves the time of a first run.
    """
    view = np.asarray(array, order="C").view()  # ascontiguousarray would give a scalar an axis
    view.flags.writeable = False
    return view


@contextmanager
def kept(given: Iterable[tuple[Encoding, Array]] = ()) -> Iterator[None]:
    """Decode each weight once while the context lasts, for runs that go batch after batch.

    Parameters
    ----------
    given
        Arrays that stand for what these encodings hold, of their shapes: nothing is decoded then. One encoding
        stands for one array only, however many parameters share it.

    """
    store: dict[tuple[str, int, str], tuple[Encoding, Any]] = {}
    for encoding, values in given:
        rows = values.reshape(matrix_shape(encoding.shape)[::-1]).T if values.ndim > 1 else values.reshape(1, -1)
        for what, value in (("weight", rows), ("array", values)):
            view = np.asarray(value).view()  # arithmetic makes scalars of arrays without axes
            view.flags.writeable = False
            store[(what, id(encoding), values.dtype.str)] = (encoding, view)
    token = _kept.set(store)
    try:
        yield
    finally:
        _kept.reset(token)


def _remember(what: str, encoding: Encoding, dtype: Any, make: Callable[[], T]) -> T:
    store = _kept.get()
    if store is None:
        return make()
    key = (what, id(encoding), np.dtype(dtype).str)
    if key not in store:
        store[key] = (encoding, make())
    value: T = store[key][1]
    return value


def weight(encoding: Encoding, dtype: Any) -> Weight:
    """Rows of a weight as they are stored: a dense matrix (rows, columns), or sparse rows for a Csr.

    Examples
    --------
    >>> weight(encodings.encode([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.float32)
    array([[1., 3., 5.],
           [2., 4., 6.]], dtype=float32)

    """
    return _remember("weight", encoding, dtype, lambda: _weight(encoding, dtype))


def _weight(encoding: Encoding, dtype: Any) -> Weight:
    rows, columns = matrix_shape(encoding.shape)
    if isinstance(encoding, Csr):
        data, indices, indptr = csr.arrays(encoding)
        values = np.asarray(data, dtype)
        return SparseRows(read_only(values), read_only(indices), read_only(indptr), columns)
    values = decode_values(encoding.values, np.repeat(np.arange(rows), columns))
    return read_only(np.asarray(values.reshape(rows, columns), dtype))


def array(encoding: Encoding, dtype: Any) -> Array:
    """Decode a parameter in its own shape, contiguous."""
    return _remember("array", encoding, dtype, lambda: read_only(np.asarray(encodings.decode(encoding), dtype)))


def optional_array(encoding: Encoding | None, dtype: Any) -> Array | None:
    """Like :func:`array`, None for a parameter that is absent."""
    return None if encoding is None else array(encoding, dtype)


def bias_or_zeros(encoding: Encoding | None, units: int) -> NDArray[np.float32]:
    """Bias in float32, zeros where there is none."""
    if encoding is None:
        return read_only(np.zeros(units, np.float32))
    return array(encoding, np.float32).astype(np.float32, copy=False)


def dense_rows(encoding: Encoding, dtype: Any) -> Array:
    """Rows of a weight as a dense matrix (rows, columns), sparse ones filled up with zeros.

    Examples
    --------
    >>> dense_rows(encodings.encode([[1.0, 2.0], [3.0, 4.0]]), np.float32)
    array([[1., 3.],
           [2., 4.]], dtype=float32)

    """
    rows = weight(encoding, dtype)
    if isinstance(rows, SparseRows):
        return array(encoding, dtype).reshape(matrix_shape(encoding.shape)[::-1]).T
    return rows


def magnitude(rows: Weight) -> Weight:
    """Absolute values."""
    if isinstance(rows, SparseRows):
        return replace(rows, data=read_only(np.abs(rows.data)))
    return np.abs(rows)


def all_stored(rows: Weight) -> SparseRows:
    """Sparse rows that store every entry of dense ones; sparse ones stay as they are.

    Examples
    --------
    >>> all_stored(np.array([[1.0, 0.0], [2.0, 3.0]])).indptr
    array([0, 2, 4])

    """
    if isinstance(rows, SparseRows):
        return rows
    count, columns = rows.shape
    indices = np.tile(np.arange(columns, dtype=np.int32), count)
    indptr = np.arange(count + 1, dtype=np.int64) * columns
    return SparseRows(read_only(rows.reshape(-1)), read_only(indices), read_only(indptr), columns)


def longest_sum(rows: Weight) -> int:
    """Most products that are not exactly zero in the sum of one output.

    Examples
    --------
    >>> longest_sum(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]))
    2

    """
    if isinstance(rows, SparseRows):
        return int(np.diff(rows.indptr).max(initial=0))
    return int(np.count_nonzero(rows, axis=1).max(initial=0))


def stored_count(encoding: Encoding) -> int:
    """How many weights are stored, fillers of sparse rows included."""
    return value_count(encoding.values)
