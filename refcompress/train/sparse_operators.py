"""Operators for training with few surviving weights: their cost is that of the survivors, not of the zeros.

Activations keep the batch innermost in memory; for everybody else they have their usual shape, batch axis first, as
views. Operators that treat each element by itself keep that order, others bring it about at the cost of a copy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.rows import from_rows, to_rows
from refcompress.graph import Graph
from refcompress.ops import find_op, weights
from refcompress.ops.base import Array, Cotangents, Op, Params
from refcompress.ops.conv import Conv
from refcompress.ops.windows import output_plane

Support = Mapping[str, NDArray[np.bool_]]

FEW = 0.25  # density of a convolution; above, dense products are faster ...
SOME = 0.6  # ... but not by as much as bringing activations from one order into the other takes


def sparse_operators(graph: Graph, support: Support) -> dict[str, Op]:
    """Return operators for the nodes that are faster so, for :func:`refcompress.gradients.gradients`.

    These are convolutions with few weights, and the pools and flattenings of a network that has any. (Products of
    matrices are not: BLAS is fast enough on all the zeros.) The gradients of such a weight are those of its surviving
    entries, and zero at all others.

    Parameters
    ----------
    graph
        The network.
    support
        Name of a weight to a boolean array of its shape: where it can be other than zero.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> node = Node("Conv", "conv", ("x",), "y", {"weight": "w"}, Conv())
    >>> graph = Graph((TensorSpec("x", (9, 9, 2)),), ("y",), (node,), {"w": encode(np.zeros((3, 3, 2, 4)))})
    >>> list(sparse_operators(graph, {"w": np.arange(72).reshape(3, 3, 2, 4) == 7}))
    ['conv']

    """
    masks = {
        node.name: support[node.params["weight"]]
        for node in graph.nodes
        if node.op == "Conv" and node.attrs.group == 1 and node.params["weight"] in support
    }
    density = {name: np.count_nonzero(mask) / max(1, mask.size) for name, mask in masks.items()}
    most = SOME if any(share <= FEW for share in density.values()) else FEW
    found = {name: _convolution(_Taps.of(mask)) for name, mask in masks.items() if density[name] <= most}
    if found:
        followers = {"MaxPool": _max_pool, "Flatten": _flatten}
        found |= {node.name: followers[node.op]() for node in graph.nodes if node.op in followers}
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Taps:
    """The surviving entries of a weight in row order, as :mod:`refcompress.kernels.batch_last` takes them."""

    where: NDArray[np.int64]
    taps: NDArray[np.int64]
    units: NDArray[np.int64]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> _Taps:
        rows = to_rows(mask)
        where = np.flatnonzero(rows)
        unit, column = np.divmod(where, rows.shape[1])
        _, width, channels, _ = mask.shape
        taps = np.stack([column // (width * channels), column // channels % width, column % channels], axis=1)
        units = np.searchsorted(unit, np.arange(len(rows) + 1))
        return cls(where, taps, units, mask.shape)

    def values(self, weight: Array) -> Array:
        return to_rows(weight).reshape(-1)[self.where]

    def weight(self, values: Array) -> Array:
        rows = np.zeros(math.prod(self.shape), values.dtype)
        rows[self.where] = values
        return from_rows(rows, self.shape)


def _batch_last(x: Array) -> Array:
    """(batch, height, width, channels) as (height, width, channels, batch) in memory."""
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _batch_first(x: Array) -> Array:
    return x.transpose(3, 0, 1, 2)


def _convolution(taps: _Taps) -> Op:
    from refcompress.kernels import batch_last as kernels

    def forward(attrs: Conv, inputs: Sequence[Array], params: Params) -> Array:
        x = _batch_last(inputs[0])
        plane = output_plane(
            inputs[0].shape[1:], (taps.shape[0], taps.shape[1]), attrs.strides, attrs.pads, attrs.dilations
        )
        out = np.empty((*plane, taps.shape[3], x.shape[3]), x.dtype)
        bias = _bias(params, taps.shape[3], x.dtype)
        values = taps.values(weights.array(params["weight"], x.dtype))
        kernels.convolve(x, taps.taps, taps.units, values, bias, *_where(attrs), out)
        return _batch_first(out)

    def param_vjp(attrs: Conv, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array) -> Any:
        x, flowing = _batch_last(inputs[0]), _batch_last(cotangent)
        values = np.empty(len(taps.where), x.dtype)
        kernels.weight_vjp(x, flowing, taps.taps, taps.units, *_where(attrs), values)
        grads = {"weight": taps.weight(values)}
        return {**grads, "bias": flowing.sum(axis=(0, 1, 3))} if "bias" in params else grads

    def vjp(attrs: Conv, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
        flowing = _batch_last(cotangent)
        samples, *shape = inputs[0].shape
        back = np.zeros((*shape, samples), flowing.dtype)
        values = taps.values(weights.array(params["weight"], flowing.dtype))
        kernels.input_vjp(flowing, taps.taps, taps.units, values, *_where(attrs), back)
        return (_batch_first(back),), param_vjp(attrs, inputs, params, output, cotangent)

    return replace(find_op("Conv"), forward=forward, vjp=vjp, param_vjp=param_vjp)


def _where(attrs: Conv) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return attrs.strides, attrs.pads[:2], attrs.dilations


def _bias(params: Params, units: int, dtype: np.dtype[Any]) -> Array:
    return weights.array(params["bias"], dtype) if "bias" in params else np.zeros(units, dtype)


def _max_pool() -> Op:
    """Pool all samples as channels of one image: the operator itself, in the order that is there."""
    op = find_op("MaxPool")

    def forward(attrs: Any, inputs: Sequence[Array], params: Params) -> Array:
        return _many(op.forward(attrs, [_one(inputs[0])], params), len(inputs[0]))

    def vjp(attrs: Any, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
        (back,), grads = op.vjp(attrs, [_one(inputs[0])], params, _one(output), _one(cotangent))
        return (_many(back, len(inputs[0])),), grads

    return replace(op, forward=forward, vjp=vjp)


def _one(x: Array) -> Array:
    """(batch, height, width, channels) as one image of channels times batch channels."""
    samples, height, width, channels = x.shape
    return _batch_last(x).reshape(1, height, width, channels * samples)


def _many(image: Array, samples: int) -> Array:
    """Invert :func:`_one`."""
    _, height, width, channels = image.shape
    return _batch_first(image.reshape(height, width, channels // samples, samples))


def _flatten() -> Op:
    def forward(attrs: Any, inputs: Sequence[Array], params: Params) -> Array:
        if inputs[0].ndim != 4:
            return find_op("Flatten").forward(attrs, inputs, params)
        return _batch_last(inputs[0]).reshape(-1, len(inputs[0])).T

    def vjp(attrs: Any, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
        if inputs[0].ndim != 4:
            return find_op("Flatten").vjp(attrs, inputs, params, output, cotangent)
        samples, *shape = inputs[0].shape
        return (_batch_first(np.ascontiguousarray(cotangent.T).reshape(*shape, samples)),), {}

    return replace(find_op("Flatten"), forward=forward, vjp=vjp)
