"""Every value of an array stored, row after row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings.rows import check_shape, from_rows, matrix_shape
from refcompress.encodings.values import (
    Float32,
    Joint,
    Linear,
    Values,
    decode_values,
    has_row_scales,
    stream_of,
    value_count,
)
from refcompress.errors import OptionError


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """All values of an array.

    Attributes
    ----------
    shape
        Shape of the array (kernels HWIO, matrices (in, out)).
    values
        The values in row order (see :mod:`refcompress.encodings.rows`).

    """

    shape: tuple[int, ...]
    values: Values

    def __post_init__(self) -> None:
        check_shape(self.shape)
        if isinstance(stream_of(self.values), Joint):
            raise OptionError("joint integers ride on gaps, and a dense array has none; give a stream of their own")
        if value_count(self.values) != math.prod(self.shape):
            raise OptionError(
                f"{value_count(self.values)} values for the shape {self.shape}, which has {math.prod(self.shape)}"
            )
        check_scales(self.values, self.shape)


def check_scales(values: Values, shape: tuple[int, ...]) -> None:
    """Refuse linear values whose scales are neither one nor one for each row."""
    if isinstance(values, Linear) and len(values.scales) not in {1, matrix_shape(shape)[0]}:
        raise OptionError(
            f"{len(values.scales)} scales for {matrix_shape(shape)[0]} rows; give one, or one for each row"
        )


def encode(array: ArrayLike) -> Dense:
    """Store an array as it is, in float32.

    The array is copied, unless it is read-only and so is the array that owns its memory: then nobody is expected to
    change it.

    Examples
    --------
    >>> decode(encode([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]], dtype=float32)

    """
    weight = np.asarray(array, np.float32)
    if not _is_settled(weight):
        weight = np.array(weight, order="C")
    return Dense(weight.shape, Float32.of(weight))


def _is_settled(array: NDArray[np.float32]) -> bool:
    """Whether an array is a read-only view of a read-only array that owns its memory."""
    while isinstance(array.base, np.ndarray) and not array.flags.writeable:
        array = array.base
    return bool(array.flags.owndata and not array.flags.writeable)


def decode(encoding: Dense) -> NDArray[np.float32]:
    """Return the array: a new one, which may be written to."""
    if isinstance(encoding.values, Float32) and (plain := encoding.values.plain) is not None:
        return np.array(plain, order="C")
    rows, columns = matrix_shape(encoding.shape)
    row_of = np.repeat(np.arange(rows), columns) if has_row_scales(encoding.values) else None
    values = decode_values(encoding.values, row_of)
    return from_rows(values.reshape(rows, columns), encoding.shape)
