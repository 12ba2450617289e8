"""ConvTranspose: the adjoint of a convolution, kernels (kh, kw, cin, cout / group)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import dense_convolution, weights
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape, batch_sum, check_bias, sum_error
from refcompress.ops.dense_convolution import Geometry
from refcompress.ops.weights import SparseRows
from refcompress.ops.windows import Pair, check_pads, check_pair, crop_plane, pad_plane

EXACT_PLANE = 1 << 14  # sums that a stored weight is added to in one go: 64 KiB, so that they stay in the cache

Stored = Array | SparseRows  # a kernel as it is stored: (kh, kw, cin, cout / group), or its rows


@dataclass(frozen=True, slots=True)
class ConvTranspose:
    """Attributes of a transposed convolution.

    Each input pixel x[y, i] adds x[y, i] * weight[k, i, o] at ``y * stride + k * dilation`` of a plane, which is then
    made larger by ``output_padding`` and cropped by ``pads``.

    Attributes
    ----------
    strides
        (height, width).
    pads
        Lines and columns that are cropped: (top, left, bottom, right).
    output_padding
        Lines and columns of zeros put at the bottom and at the right before that, (height, width).
    dilations
        Distance of neighbouring taps, (height, width).
    group
        Groups of channels that do not see each other: input channel ``i`` adds to the output channels
        ``i // (cin / group) * (cout / group)`` and following.

    Raises
    ------
    ModelError
        An attribute is out of range.

    Examples
    --------
    >>> ConvTranspose(strides=(2, 2), pads=(1, 1, 1, 1), output_padding=(1, 1)).group
    1

    """

    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1

    def __post_init__(self) -> None:
        check_pair(self.strides, "strides")
        check_pads(self.pads)
        check_pair(self.output_padding, "output_padding", least=0)
        check_pair(self.dilations, "dilations")
        if self.group < 1:
            raise ModelError(f"group {self.group}; it must be at least 1")


def _infer_shape(attrs: ConvTranspose, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    shape, weight = inputs[0], params["weight"]
    if len(weight) != 4 or min(weight) < 1:
        raise ModelError(f"a weight of shape {weight}; it must be (kh, kw, cin, cout / group)")
    if len(shape) != 3:
        raise ModelError(f"an input of shape {shape}; it must have the three axes (height, width, channels)")
    if shape[2] != weight[2] or shape[2] % attrs.group:
        raise ModelError(
            f"an input of {shape[2]} channels and a weight of shape {weight} with group {attrs.group}; the weight's "
            "third axis must equal the channels, and group divide them"
        )
    plane = _plane(attrs, shape, weight)
    if min(plane) < 1:
        raise ModelError(f"pads {attrs.pads} crop all of the output; it would be {plane} high and wide")
    cout = weight[3] * attrs.group
    check_bias(params, cout)
    return (*plane, cout)


def _full_plane(attrs: ConvTranspose, shape: Shape, weight: Shape) -> Pair:
    """Height and width of the plane that pixels are added to, for an input (height, width, channels)."""
    height, width = ((shape[i] - 1) * attrs.strides[i] + (weight[i] - 1) * attrs.dilations[i] + 1 for i in range(2))
    return height, width


def _plane(attrs: ConvTranspose, shape: Shape, weight: Shape) -> Pair:
    height, width = _full_plane(attrs, shape, weight)
    top, left, bottom, right = attrs.pads
    return height + attrs.output_padding[0] - top - bottom, width + attrs.output_padding[1] - left - right


def _stored(params: Params, dtype: type[np.floating] | np.dtype) -> Stored:
    rows = weights.weight(params["weight"], dtype)
    return rows if isinstance(rows, SparseRows) else weights.array(params["weight"], dtype)


def _convolution(attrs: ConvTranspose, kernel: Array) -> tuple[Array, Geometry]:
    """Return the dense rows and the geometry of the convolution whose adjoint this is, on the full plane."""
    rows = kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)
    return rows, Geometry(kernel.shape[:2], attrs.strides, (0, 0, 0, 0), attrs.dilations, attrs.group)


def _multiply(attrs: ConvTranspose, x: Array, stored: Stored, shape: Shape) -> Array:
    """Return the output without bias, for a weight of that shape."""
    if isinstance(stored, SparseRows):
        bias = weights.read_only(np.zeros(shape[3] * attrs.group, x.dtype))
        return _scatter(attrs, x, stored, shape, bias)
    plane = _full_plane(attrs, x.shape[1:], shape)
    rows, geometry = _convolution(attrs, stored)
    full_shape = (len(x), *plane, shape[3] * attrs.group)
    full = dense_convolution.input_vjp(np.ascontiguousarray(x), rows, geometry, full_shape)
    return np.ascontiguousarray(crop_plane(pad_plane(full, (0, 0, *attrs.output_padding)), attrs.pads))


def _scatter(attrs: ConvTranspose, x: Array, rows: SparseRows, shape: Shape, bias: Array) -> Array:
    """Add each stored weight times its channel's plane, in the stated order."""
    from refcompress.kernels import transposed

    out = np.empty((len(x), *_plane(attrs, x.shape[1:], shape), len(bias)), x.dtype)
    images = max(1, EXACT_PLANE // (out.shape[1] * out.shape[2]))
    for n in range(0, len(x), images):
        part = out[n : n + images].transpose(3, 1, 2, 0)
        batch = part.shape[3]
        planes = np.empty((*part.shape[:2], part.shape[2] * batch), x.dtype)
        # images interleaved: a line is long even in small planes
        source = x[n : n + images].transpose(3, 1, 2, 0).reshape(x.shape[3], x.shape[1], -1)
        geometry = (shape[1], attrs.group, attrs.strides, attrs.pads[:2], attrs.dilations, batch)
        transposed.scatter(weights.read_only(source), rows.data, rows.indices, rows.indptr, bias, *geometry, planes)
        part[...] = planes.reshape(part.shape)
    return out


def _forward(attrs: ConvTranspose, inputs: Sequence[Array], params: Params) -> Array:
    x = inputs[0]
    out = _multiply(attrs, x, _stored(params, x.dtype), params["weight"].shape)
    bias = weights.optional_array(params.get("bias"), x.dtype)
    if bias is not None:
        out += bias
    return out


def _exact(attrs: ConvTranspose, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Start at the bias, or 0.0f; add the products of the row's stored entries in increasing column order.

    A row is one of the cout / group output units of a group, its column (ky, kx, input channel); of the columns those
    count whose channel is of the output's group and whose tap meets a pixel there. A product is rounded, then the sum.
    """
    shape = params["weight"].shape
    rows = weights.all_stored(weights.weight(params["weight"], np.float32))
    bias = weights.bias_or_zeros(params.get("bias"), shape[3] * attrs.group)
    return _scatter(attrs, inputs[0], rows, shape, bias)


def _on_full_plane(attrs: ConvTranspose, cotangent: Array, x: Array, shape: Shape) -> Array:
    """Return the cotangent of the plane before padding and cropping."""
    height, width = _full_plane(attrs, x.shape[1:], shape)
    return np.ascontiguousarray(pad_plane(cotangent, attrs.pads)[:, :height, :width])


def _param_vjp(
    attrs: ConvTranspose, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> dict[str, Array]:
    kh, kw, cin, units = shape = params["weight"].shape
    x = np.ascontiguousarray(inputs[0])
    full = _on_full_plane(attrs, cotangent, x, shape)
    geometry = Geometry((kh, kw), attrs.strides, (0, 0, 0, 0), attrs.dilations, attrs.group)
    weight = dense_convolution.weight_vjp(full, x, geometry, (kh, kw, units, cin))
    gradients = {"weight": np.ascontiguousarray(weight.transpose(0, 1, 3, 2))}
    return gradients | {"bias": batch_sum(cotangent)} if "bias" in params else gradients


def _vjp(attrs: ConvTranspose, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
    """Convolve the cotangent with the kernel: that is the input's."""
    x = np.empty(inputs[0].shape, cotangent.dtype)
    rows, geometry = _convolution(attrs, weights.array(params["weight"], cotangent.dtype))
    full = _on_full_plane(attrs, cotangent, x, params["weight"].shape)
    dense_convolution.convolve(full, rows, geometry, x)
    return (x,), _param_vjp(attrs, inputs, params, output, cotangent)


def _error_bound(
    attrs: ConvTranspose,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.base.sum_error`, with the most products that any output sums."""
    shape = params["weight"].shape
    stored = _stored(params, np.float64)
    if isinstance(stored, SparseRows):
        magnitude: Stored = replace(stored, data=weights.read_only(np.abs(stored.data)))
        present: Stored = replace(stored, data=weights.read_only(np.ones_like(stored.data)))
    else:
        magnitude, present = np.abs(stored), (stored != 0).astype(np.float64)
    counts = _multiply(attrs, np.ones((1, *inputs[0].shape[1:])), present, shape)
    bias = weights.optional_array(params.get("bias"), np.float64)
    n = round(float(counts.max()))
    return sum_error(lambda x: _multiply(attrs, x, magnitude, shape), inputs[0], errors[0], bias, n, gamma)


def _macs(_attrs: ConvTranspose, inputs: Sequence[Shape], _output: Shape, params: Params) -> int:
    return weights.stored_count(params["weight"]) * inputs[0][0] * inputs[0][1]


OP = Op(
    name="ConvTranspose",
    attrs=ConvTranspose,
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
