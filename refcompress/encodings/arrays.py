"""What the encodings ask of the arrays they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refcompress.errors import OptionError

CHUNK = 1 << 16  # elements looked at together, so that temporaries stay in the cache and out of the memory bound


def check_array(array: NDArray[Any], dtype: DTypeLike, what: str) -> None:
    """Refuse anything but an array of one dimension and this dtype.

    Raises
    ------
    OptionError
        Another type; nothing is converted, since a silent conversion could change a value.

    Examples
    --------
    >>> check_array(np.zeros(3, np.int64), np.uint16, "the symbols")
    Traceback (most recent call last):
    ...
    refcompress.errors.OptionError: the symbols are int64 of 1 dimensions; give uint16 of one dimension

    """
    if not isinstance(array, np.ndarray):
        raise OptionError(f"{what} are a {type(array).__name__}; give an array of {np.dtype(dtype)}")
    if array.dtype != dtype or array.ndim != 1:
        raise OptionError(
            f"{what} are {array.dtype} of {array.ndim} dimensions; give {np.dtype(dtype)} of one dimension"
        )


def chunks(count: int) -> Iterator[slice]:
    """Cut ``count`` elements into slices of CHUNK.

    Examples
    --------
    >>> list(chunks(70_000))
    [slice(0, 65536, None), slice(65536, 70000, None)]

    """
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """View an array as contiguous and read-only, so that the kernels are compiled for one kind of array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
