"""Memory for the arrays of a file, taken in large pieces that small arrays share.

A system gives memory page by page, when it is first written to; below some megabytes that costs more than reading the
bytes does, and for larger pieces NumPy asks for larger pages.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 1 << 23
_ALIGNED_BYTES = 64  # a line of the cache, and the widest vector


class Memory:
    """Memory for float32 arrays.

    A piece is given back when the last of its arrays is gone.

    Parameters
    ----------
    most_bytes
        How much they may take together; small files need no large piece.

    Examples
    --------
    >>> memory = Memory(1000)
    >>> one, other = memory.take((2, 3)), memory.take((4,))
    >>> one.base is other.base, one.base.flags.writeable
    (True, False)

    """

    def __init__(self, most_bytes: int) -> None:
        self._piece_bytes = min(most_bytes, PIECE_BYTES)
        self._left = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return an array to be filled, in C order, that shares no byte with others.

        It can be written to, and what owns its memory cannot: made read-only, it stays as it is.
        """
        need_bytes = 4 * math.prod(shape)
        if need_bytes > len(self._left):
            if 2 * need_bytes > self._piece_bytes:
                return _piece(need_bytes).view(np.float32).reshape(shape)
            self._left = _piece(self._piece_bytes)
        array = self._left[:need_bytes].view(np.float32).reshape(shape)
        self._left = self._left[-(-need_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES :]
        return array


def _piece(size_bytes: int) -> NDArray[np.uint8]:
    owner = np.empty(size_bytes, np.uint8)
    piece = owner[:]
    owner.flags.writeable = False
    return piece
