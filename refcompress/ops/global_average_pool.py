"""GlobalAveragePool: the mean of each channel over its plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_pools import average_pool32
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs
from refcompress.ops.pooling import globally_pooled_shape, mean_bound


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """Attributes of GlobalAveragePool.

    Attributes
    ----------
    keepdims
        Whether the output is (1, 1, channels) rather than (channels,).

    """

    keepdims: bool = False


def infer_shape(attrs: GlobalAveragePool, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (channels,) or (1, 1, channels)."""
    return globally_pooled_shape(input_shapes, keepdims=attrs.keepdims)


def forward(attrs: GlobalAveragePool, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the mean over height and width.

    Examples
    --------
    >>> forward(GlobalAveragePool(), [np.arange(4.0).reshape(1, 2, 2, 1)], {})
    array([[1.5]])

    """
    result: Array = inputs[0].mean((1, 2), keepdims=attrs.keepdims)
    return result


def exact(attrs: GlobalAveragePool, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the sum over height, then width, divided by float32(height * width)."""
    height, width = inputs[0].shape[1:3]
    mean = average_pool32(inputs[0], (height, width), (1, 1), (0, 0, 0, 0), count_include_pad=True)
    return mean if attrs.keepdims else mean[:, 0, 0]


def vjp(
    _attrs: GlobalAveragePool,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Every element of a plane gets an equal share."""
    batch, height, width, channels = inputs[0].shape
    share = cotangent.reshape(batch, 1, 1, channels) / cotangent.dtype.type(height * width)
    return (np.broadcast_to(share, inputs[0].shape),), {}


def error_bound(
    attrs: GlobalAveragePool,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.pooling.mean_bound`."""
    return mean_bound(
        lambda x: forward(attrs, [x], params), inputs[0], errors[0], math.prod(inputs[0].shape[1:3]), gamma
    )


OP = Op("GlobalAveragePool", GlobalAveragePool, infer_shape, forward, exact, vjp, error_bound, no_macs)
