"""Conv: two-dimensional convolution (cross-correlation), kernels (kh, kw, cin / group, cout)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import dense_convolution, sparse_convolution, weights
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape, batch_sum, check_bias, sum_error
from refcompress.ops.dense_convolution import Geometry
from refcompress.ops.weights import SparseRows, Weight
from refcompress.ops.windows import Pair, check_pads, check_pair, output_plane

EXACT_PLANE = 1 << 14  # sums that a stored weight is added to in one go: 64 KiB, so that they stay in the cache
EXACT_CHANNELS = 32  # output channels of a group from which on loops over channels beat loops over lines


@dataclass(frozen=True, slots=True)
class Conv:
    """Attributes of a convolution.

    Attributes
    ----------
    strides
        (height, width).
    pads
        Zeros around the input: (top, left, bottom, right).
    dilations
        Distance of neighbouring taps, (height, width).
    group
        Groups of channels that do not see each other; as many as input channels make a depthwise convolution.
        Output channel ``oc`` belongs to group ``oc // (cout / group)``.

    Raises
    ------
    ModelError
        An attribute is out of range.

    Examples
    --------
    >>> Conv(strides=(2, 2), pads=(0, 0, 1, 1)).group
    1

    """

    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1

    def __post_init__(self) -> None:
        check_pair(self.strides, "strides")
        check_pads(self.pads)
        check_pair(self.dilations, "dilations")
        if self.group < 1:
            raise ModelError(f"group {self.group}; it must be at least 1")


def _infer_shape(attrs: Conv, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    shape, weight = inputs[0], params["weight"]
    if len(weight) != 4 or min(weight) < 1:
        raise ModelError(f"a weight of shape {weight}; it must be (kh, kw, cin / group, cout)")
    plane = _plane(attrs, shape, weight)
    channels, cout = shape[2], weight[3]
    if channels != weight[2] * attrs.group:
        raise ModelError(
            f"an input of {channels} channels and a weight of shape {weight} with group {attrs.group}, "
            f"which takes {weight[2] * attrs.group} channels"
        )
    if cout % attrs.group:
        raise ModelError(f"{cout} output channels do not divide into {attrs.group} groups")
    check_bias(params, cout)
    return (*plane, cout)


def _plane(attrs: Conv, shape: Shape, weight: Shape) -> Pair:
    return output_plane(shape, (weight[0], weight[1]), attrs.strides, attrs.pads, attrs.dilations)


def _convolve(attrs: Conv, x: Array, rows: Weight, shape: Shape) -> Array:
    """Convolve without bias; ``shape`` is the weight's."""
    plane = _plane(attrs, x.shape[1:], shape)
    out = np.empty((x.shape[0], *plane, shape[3]), x.dtype)
    geometry = _geometry(attrs, shape)
    if isinstance(rows, SparseRows):
        sparse_convolution.convolve(x, rows, geometry, out)
    else:
        dense_convolution.convolve(x, rows, geometry, out)
    return out


def _forward(attrs: Conv, inputs: Sequence[Array], params: Params) -> Array:
    x, encoding = inputs[0], params["weight"]
    out = _convolve(attrs, x, weights.weight(encoding, x.dtype), encoding.shape)
    bias = weights.optional_array(params.get("bias"), x.dtype)
    if bias is not None:
        # whole lines: additions of a few channels at a time would cost more than they add
        lines = out.reshape(math.prod(out.shape[:2]), out.shape[2] * out.shape[3])
        lines += np.tile(bias, out.shape[2])
    return out


def _exact(attrs: Conv, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    from refcompress.kernels import exact

    x, encoding = inputs[0], params["weight"]
    shape = encoding.shape
    out = np.empty((x.shape[0], *_plane(attrs, x.shape[1:], shape), shape[3]), np.float32)
    bias = weights.bias_or_zeros(params.get("bias"), shape[3])
    rows = weights.weight(encoding, np.float32)
    where = (attrs.strides, attrs.pads[:2], attrs.dilations)
    if not isinstance(rows, SparseRows) and shape[3] // attrs.group >= EXACT_CHANNELS:
        exact.conv_dense(weights.read_only(x), weights.array(encoding, np.float32), bias, *where, out)
        return out
    rows = weights.all_stored(rows)
    kernel, images = (shape[0], shape[1], shape[2]), max(1, EXACT_PLANE // (out.shape[1] * out.shape[2]))
    for n in range(0, len(x), images):
        part = out[n : n + images].transpose(3, 1, 2, 0)
        batch = part.shape[3]
        planes = np.empty((*part.shape[:2], part.shape[2] * batch), np.float32)
        source = _interleaved(x[n : n + images])
        exact.conv_sparse(source, rows.data, rows.indices, rows.indptr, bias, kernel, *where, batch, planes)
        part[...] = planes.reshape(part.shape)
    return out


def _interleaved(x: Array) -> Array:
    """Return (cin, height, width * batch)."""
    batch, height, width, channels = x.shape
    return weights.read_only(x.transpose(3, 1, 2, 0).reshape(channels, height, width * batch))


def _geometry(attrs: Conv, shape: Shape) -> Geometry:
    return Geometry((shape[0], shape[1]), attrs.strides, attrs.pads, attrs.dilations, attrs.group)


def _param_vjp(
    attrs: Conv, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> dict[str, Array]:
    shape = params["weight"].shape
    weight = dense_convolution.weight_vjp(inputs[0], np.ascontiguousarray(cotangent), _geometry(attrs, shape), shape)
    return {"weight": weight, "bias": batch_sum(cotangent)} if "bias" in params else {"weight": weight}


def _vjp(attrs: Conv, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
    encoding = params["weight"]
    rows = weights.dense_rows(encoding, cotangent.dtype)
    geometry = _geometry(attrs, encoding.shape)
    x = dense_convolution.input_vjp(np.ascontiguousarray(cotangent), rows, geometry, inputs[0].shape)
    return (x,), _param_vjp(attrs, inputs, params, output, cotangent)


def _error_bound(
    attrs: Conv,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    encoding = params["weight"]
    rows = weights.magnitude(weights.weight(encoding, np.float64))
    bias = weights.optional_array(params.get("bias"), np.float64)
    n = weights.longest_sum(rows)
    return sum_error(lambda x: _convolve(attrs, x, rows, encoding.shape), inputs[0], errors[0], bias, n, gamma)


def _macs(_attrs: Conv, _inputs: Sequence[Shape], output: Shape, params: Params) -> int:
    return weights.stored_count(params["weight"]) * output[0] * output[1]


OP = Op(
    name="Conv",
    attrs=Conv,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=_macs,
    roles=("weight", "bias"),
    optional_roles=("bias",),
    param_vjp=_param_vjp,
)
