"""GlobalMaxPool: the maximum of each channel over its plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_pools import max_pool32
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import monotone_bound, no_macs
from refcompress.ops.pooling import globally_pooled_shape


@dataclass(frozen=True, slots=True)
class GlobalMaxPool:
    """Attributes of GlobalMaxPool.

    Attributes
    ----------
    keepdims
        Whether the output is (1, 1, channels) rather than (channels,).

    """

    keepdims: bool = False


def infer_shape(attrs: GlobalMaxPool, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (channels,) or (1, 1, channels)."""
    return globally_pooled_shape(input_shapes, keepdims=attrs.keepdims)


def forward(attrs: GlobalMaxPool, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the maximum over height and width.

    Examples
    --------
    >>> forward(GlobalMaxPool(), [np.arange(4.0).reshape(1, 2, 2, 1)], {})
    array([[3.]])

    """
    return _pooled(attrs, inputs[0])


def exact(attrs: GlobalMaxPool, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the first element, then ``m = x > m ? x : m`` over height, then width."""
    height, width = inputs[0].shape[1:3]
    most = max_pool32(inputs[0], (height, width), (1, 1), (0, 0, 0, 0))
    return most if attrs.keepdims else most[:, 0, 0]


def vjp(
    _attrs: GlobalMaxPool,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Give the cotangent to the first maximum of each plane, in the order of height and width."""
    batch, height, width, channels = inputs[0].shape
    places = inputs[0].reshape(batch, height * width, channels).argmax(1)[:, None]
    out = np.zeros((batch, height * width, channels), cotangent.dtype)
    np.put_along_axis(out, places, cotangent.reshape(batch, 1, channels), 1)
    return (out.reshape(inputs[0].shape),), {}


def error_bound(
    attrs: GlobalMaxPool,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding; the maximum increases with each element, so its extremes lie at two corners."""
    return monotone_bound(lambda x: _pooled(attrs, x), inputs[0], errors[0], output)


def _pooled(attrs: GlobalMaxPool, x: Array) -> Array:
    result: Array = x.max((1, 2), keepdims=attrs.keepdims)
    return result


OP = Op("GlobalMaxPool", GlobalMaxPool, infer_shape, forward, exact, vjp, error_bound, no_macs)
