"""The integers of a weight that holds some: those of ``Linear`` values, and of a codebook of integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import csr
from refcompress.encodings.bits import Bits
from refcompress.encodings.csr import Csr
from refcompress.encodings.dense import Dense
from refcompress.encodings.packed import Encoding
from refcompress.encodings.rows import matrix_shape
from refcompress.encodings.values import IntegerCodebook, Linear
from refcompress.errors import OptionError


def scales_of(encoding: Encoding) -> NDArray[np.float32]:
    """Return the scales of a weight of integers: one, or one for each row.

    Raises
    ------
    OptionError
        The weight holds no integers.

    Examples
    --------
    >>> scales_of(from_rows(np.array([[1, -2]], np.int16), (2, 1), np.array([0.5], np.float32), 8))
    array([0.5], dtype=float32)

    """
    values = encoding.values
    if isinstance(values, Linear):
        return values.scales
    if isinstance(values, IntegerCodebook):
        return np.array([values.scale], np.float32)
    raise OptionError(
        f"a weight stored as {type(values).__name__}; integers are Linear values (with one scale, or one for each "
        "output unit) or an IntegerCodebook"
    )


def rows_of(encoding: Encoding) -> NDArray[np.int32]:
    """Return the integers of a weight above their zero points, (rows, columns); what is not stored is 0.

    Raises
    ------
    OptionError
        The weight holds no integers.

    Examples
    --------
    >>> stream = Bits(np.array([129, 127], np.uint16), 8)
    >>> rows_of(Dense((2, 1), Linear(stream, 8, np.ones(1, np.float32), np.array([128], np.uint16))))
    array([[ 1, -1]], dtype=int32)

    """
    scales_of(encoding)
    rows, columns = matrix_shape(encoding.shape)
    flat = np.zeros(rows * columns, np.int32)
    where = csr.positions(encoding) if isinstance(encoding, Csr) else np.arange(rows * columns)
    values = encoding.values
    if isinstance(values, IntegerCodebook):
        flat[where] = values.centroids[values.labels.symbols]
    elif isinstance(values, Linear):
        zero_points = values.zero_points.astype(np.int32)
        of_each = zero_points if len(zero_points) == 1 else zero_points[where // max(columns, 1)]
        flat[where] = values.integers.symbols - of_each
    return flat.reshape(rows, columns)


def from_rows(integers: NDArray[np.integer], shape: tuple[int, ...], scales: NDArray[np.float32], bits: int) -> Dense:
    """Store signed integers as ``Linear`` values with the zero point in the middle.

    Parameters
    ----------
    integers
        (rows, columns), from -2^(bits - 1) to 2^(bits - 1) - 1.
    shape
        Shape of the array that the rows belong to.
    scales
        One, or one for each row.
    bits
        Width of an integer.

    Examples
    --------
    >>> found = from_rows(np.array([[1, -2]], np.int16), (2, 1), np.array([0.5], np.float32), 2)
    >>> found.values.integers.symbols, found.values.zero_points
    (array([3, 0], dtype=uint16), array([2], dtype=uint16))

    """
    return Dense(shape, signed(integers, scales, bits))


def signed(integers: NDArray[np.integer], scales: NDArray[np.float32], bits: int) -> Linear:
    """Return signed integers in row order as values with the zero point in the middle."""
    middle = 1 << (bits - 1)
    symbols = (integers.reshape(-1).astype(np.int32) + middle).astype(np.uint16)
    return Linear(Bits(symbols, bits), bits, scales, np.full(len(scales), middle, np.uint16))
