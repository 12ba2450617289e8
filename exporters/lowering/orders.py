"""Orders in which kernels visit elements: axes of a tensor with strides, as few as do."""

from __future__ import annotations

import math

from exporters.program import Axes
from refcompress.errors import ModelError
from refcompress.graph import Shape

MAX_AXES = 6  # RC_AXES


def contiguous(shape: Shape) -> tuple[int, ...]:
    """Strides of a tensor whose elements follow each other.

    Examples
    --------
    >>> contiguous((4, 3, 2))
    (6, 2, 1)

    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def repeated(shape: Shape, to: Shape) -> tuple[int, ...]:
    """Strides of a tensor of some shape that is broadcast to another.

    Examples
    --------
    >>> repeated((4, 1), (5, 4, 3))
    (0, 1, 0)

    """
    full = (1,) * (len(to) - len(shape)) + shape
    return tuple(0 if size == 1 else stride for size, stride in zip(full, contiguous(full), strict=True))


def axes(name: str, sizes: Shape, *strides: tuple[int, ...]) -> tuple[Axes, ...]:
    """Join axes that run on into each other in every tensor, and fill up with axes of size 1.

    Parameters
    ----------
    name
        Of the node, for the error.
    sizes
        Of the axes.
    strides
        Those of each tensor.

    Raises
    ------
    ModelError
        More axes are left than the runtime has.

    Examples
    --------
    >>> axes("n", (4, 3, 2), (6, 2, 1), (0, 2, 1))[1]
    Axes(sizes=(1, 1, 1, 1, 4, 6), strides=(0, 0, 0, 0, 0, 1))

    """
    joined: list[tuple[int, tuple[int, ...]]] = []
    for size, *steps in zip(sizes, *strides, strict=True):
        if size == 1:
            continue
        if joined and all(before == step * size for before, step in zip(joined[-1][1], steps, strict=True)):
            joined[-1] = (joined[-1][0] * size, tuple(steps))
        else:
            joined.append((size, tuple(steps)))
    if len(joined) > MAX_AXES:
        raise ModelError(f"node {name!r}: {len(joined)} axes that do not run on into each other; at most {MAX_AXES}")
    empty = MAX_AXES - len(joined)
    full = (1,) * empty + tuple(size for size, _ in joined)
    return tuple(Axes(full, (0,) * empty + tuple(steps[k] for _, steps in joined)) for k in range(len(strides)))
