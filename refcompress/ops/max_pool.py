"""MaxPool: the maximum of every window; padding never wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_pools import max_pool32
from refcompress.ops import weights
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import monotone_bound, no_macs
from refcompress.ops.pooling import check_window, pooled_shape
from refcompress.ops.windows import Pads, Pair, output_size, pad_plane


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Attributes of MaxPool.

    Attributes
    ----------
    kernel_shape, strides
        (height, width).
    pads
        (top, left, bottom, right), each less than the kernel; padding counts as minus infinity.

    Raises
    ------
    ModelError
        A size is out of range.

    """

    kernel_shape: Pair
    strides: Pair
    pads: Pads = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        check_window(self.kernel_shape, self.strides, self.pads)


def infer_shape(attrs: MaxPool, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (output height, output width, channels)."""
    return pooled_shape(input_shapes, attrs.kernel_shape, attrs.strides, attrs.pads)


def forward(attrs: MaxPool, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the maximum of each window.

    Examples
    --------
    >>> forward(MaxPool((2, 2), (2, 2)), [np.arange(16.0).reshape(1, 4, 4, 1)], {})[0, ..., 0]
    array([[ 5.,  7.],
           [13., 15.]])

    """
    return _pooled(attrs, inputs[0])


def exact(attrs: MaxPool, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_pools.max_pool32`."""
    return max_pool32(inputs[0], attrs.kernel_shape, attrs.strides, attrs.pads)


def vjp(
    attrs: MaxPool,
    inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Give the cotangent to the first maximum of each window, in the order of height and width.

    Where windows overlap, an element adds up what it gets. A window that holds NaN passes nothing on.
    """
    from refcompress.kernels import pooling

    x, y, c = (weights.read_only(array) for array in (inputs[0], output, cotangent))
    out = np.zeros(x.shape, x.dtype)
    pooling.max_pool_vjp(x, y, c, attrs.kernel_shape, attrs.strides, attrs.pads[:2], out)
    return (out,), {}


def error_bound(
    attrs: MaxPool,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding; the maximum increases with each element, so its extremes lie at two corners."""
    return monotone_bound(lambda x: _pooled(attrs, x), inputs[0], errors[0], output)


def _pooled(attrs: MaxPool, x: Array) -> Array:
    padded = pad_plane(x, attrs.pads, -np.inf)
    (kh, kw), (sy, sx) = attrs.kernel_shape, attrs.strides
    # lines first, in runs as long as a line, then columns: kh + kw maxima in place of kh * kw
    height, width = output_size(padded.shape[1], kh, sy, (0, 0)), output_size(padded.shape[2], kw, sx, (0, 0))
    lines = reduce(np.maximum, (padded[:, i : i + (height - 1) * sy + 1 : sy] for i in range(kh)))
    columns = (lines[:, :, i : i + (width - 1) * sx + 1 : sx] for i in range(kw))
    return np.ascontiguousarray(reduce(np.maximum, columns))


OP = Op("MaxPool", MaxPool, infer_shape, forward, exact, vjp, error_bound, no_macs)
