"""What ONNX's Slice, Reshape and Split make of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from refcompress.errors import ModelError


def slice_indices(start: int, end: int, step: int, length: int) -> range:
    """Return what ONNX's Slice takes of an axis.

    Examples
    --------
    >>> list(slice_indices(-1, -(2**62), -2, 5))
    [4, 2, 0]

    """
    if step == 0:
        raise ModelError("a slice has the step 0; it must not")
    return range(length)[start:end:step]


def target_shape(shape: Sequence[int], wanted: Sequence[int], *, keeps: bool = True) -> list[int]:
    """Return the shape that Reshape makes: -1 is whatever is left, and 0 keeps a length if ``keeps``.

    Raises
    ------
    ModelError
        The numbers of elements differ.

    Examples
    --------
    >>> target_shape((2, 3, 4), (0, -1))
    [2, 12]

    """
    if len(wanted) > 16:
        raise ModelError(f"it makes {len(wanted)} axes; at most 16 are allowed")
    sizes = [shape[i] if n == 0 and keeps and i < len(shape) else n for i, n in enumerate(wanted)]
    total, known = math.prod(shape), math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes) or (-1 in sizes and (known == 0 or total % known)):
        raise ModelError(f"it reshapes {tuple(shape)} to {tuple(wanted)}, which does not fit")
    sizes = [total // known if n == -1 else n for n in sizes]
    if math.prod(sizes) != total:
        raise ModelError(f"it reshapes {tuple(shape)} to {tuple(wanted)}, which has another number of elements")
    return sizes


def split_sizes(length: int, count: int, given: Sequence[int] | None) -> list[int]:
    """Return the lengths into which Split cuts an axis.

    Examples
    --------
    >>> split_sizes(7, 2, None)
    [4, 3]

    """
    if given is None:
        most = -(-length // count)
        given = [min(most, length - i * most) for i in range(count)]
    if len(given) != count or sum(given) != length or min(given) < 1:
        raise ModelError(f"an axis of {length} is split into {list(given)} for {count} outputs; that does not fit")
    return list(given)
