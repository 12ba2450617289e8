"""AveragePool: the mean of every window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_pools import average_pool32
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs
from refcompress.ops.pooling import check_window, mean_bound, pooled_shape, taps
from refcompress.ops.windows import Pads, Pair, crop_plane, overlap_add, pad_plane, padded_shape


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Attributes of AveragePool.

    Attributes
    ----------
    kernel_shape, strides
        (height, width).
    pads
        (top, left, bottom, right), each less than the kernel.
    count_include_pad
        Whether padding counts as zeros of the window (ONNX's name); under TensorFlow's ``same`` it does not.

    Raises
    ------
    ModelError
        A size is out of range.

    """

    kernel_shape: Pair
    strides: Pair
    pads: Pads = (0, 0, 0, 0)
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        check_window(self.kernel_shape, self.strides, self.pads)


def infer_shape(attrs: AveragePool, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (output height, output width, channels)."""
    return pooled_shape(input_shapes, attrs.kernel_shape, attrs.strides, attrs.pads)


def forward(attrs: AveragePool, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the mean of each window.

    Examples
    --------
    >>> x = np.array([1.0, 3.0, 5.0]).reshape(1, 1, 3, 1)
    >>> forward(AveragePool((1, 2), (1, 2), (0, 0, 0, 1)), [x], {}).ravel()
    array([2., 5.])

    """
    result: Array = _sums(attrs, inputs[0]) / _counts(attrs, inputs[0])
    return result


def exact(attrs: AveragePool, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_pools.average_pool32`."""
    return average_pool32(
        inputs[0], attrs.kernel_shape, attrs.strides, attrs.pads, count_include_pad=attrs.count_include_pad
    )


def vjp(
    attrs: AveragePool,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Every element of a window gets an equal share."""
    x = inputs[0]
    share = cotangent / _counts(attrs, x)
    seen = np.broadcast_to(share[:, :, :, None, None], (*share.shape[:3], *attrs.kernel_shape, share.shape[3]))
    padded = np.zeros(padded_shape(x.shape, attrs.pads), x.dtype)
    overlap_add(seen, attrs.strides, (1, 1), padded)
    return (crop_plane(padded, attrs.pads),), {}


def error_bound(
    attrs: AveragePool,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.pooling.mean_bound`."""
    return mean_bound(lambda x: forward(attrs, [x], params), inputs[0], errors[0], math.prod(attrs.kernel_shape), gamma)


def _counts(attrs: AveragePool, x: Array) -> Array:
    """How many elements each window averages, (1, height, width, 1) or a scalar."""
    if attrs.count_include_pad:
        return np.asarray(math.prod(attrs.kernel_shape), x.dtype)
    return _sums(attrs, np.ones((1, *x.shape[1:3], 1), x.dtype))


def _sums(attrs: AveragePool, x: Array) -> Array:
    return reduce(np.add, taps(pad_plane(x, attrs.pads), attrs.kernel_shape, attrs.strides))


OP = Op("AveragePool", AveragePool, infer_shape, forward, exact, vjp, error_bound, no_macs)
