"""Which channels of a network's activations are the same number for every sample and at every position."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import find_op
from refcompress.ops.batch_normalization import factor_and_offset

Floats = NDArray[np.float64]
Params = Mapping[str, Encoding]  # by role

# what gives NaN for NaN, channel by channel (Softmax for all of them): forward itself is the rule
_FORWARD = {"Add", "Clip", "Relu", "Sigmoid", "Softmax", "Tanh"}
_KEPT = {"Dropout", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}


def constant_channels(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, Floats]:
    """Find the channels (indices of the last axis) of every activation that are constant, and their values.

    A constant is what zero weights, biases and constants make, whatever the network's inputs are, as long as they and
    all activations are finite. A convolution with padding sees a constant other than zero change at the borders.

    Parameters
    ----------
    graph
        A network.
    shapes
        What :func:`refcompress.ops.infer_shapes` returns for it.

    Returns
    -------
    dict
        Name of the activation to its values in float64, one for each channel: NaN where it is not constant, or not
        known to be, or not finite.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w", "bias": "b"}),)
    >>> params = {"w": encode([[0.0, 2.0]]), "b": encode([3.0, 4.0])}
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, params)
    >>> constant_channels(graph, {"x": (1,), "y": (2,)})["y"]
    array([ 3., nan])

    """
    known = {spec.name: np.full(width(spec.shape), np.nan) for spec in graph.inputs}
    for node in graph.nodes:
        params = {role: graph.params[name] for role, name in node.params.items()}
        with np.errstate(all="ignore"):  # what is not finite is no constant
            values = _values(node, [known[name] for name in node.inputs], params, shapes)
            known[node.output] = np.where(np.isfinite(values), values, np.nan)
    return known


def width(shape: Shape) -> int:
    """Return the number of channels: the length of the last axis, 1 without axes.

    Examples
    --------
    >>> width((28, 28, 3))
    3

    """
    return shape[-1] if shape else 1


def seen_alike(node: Node, values: Floats) -> NDArray[np.bool_]:
    """Tell which inputs of a Gemm or Conv are the same constant in each of its windows.

    Parameters
    ----------
    node
        A Gemm or Conv.
    values
        Those of its input, NaN where it is not constant.

    Examples
    --------
    >>> from refcompress.ops.conv import Conv
    >>> padded = Node("Conv", "conv", ("x",), "y", {"weight": "w"}, Conv(pads=(1, 1, 1, 1)))
    >>> seen_alike(padded, np.array([0.0, 2.0, np.nan]))
    array([ True, False, False])

    """
    padded = node.op == "Conv" and any(node.attrs.pads)
    return values == 0 if padded else ~np.isnan(values)


def regrouped(have: int, want: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair the channels before and after a reshape that hold the same elements.

    Parameters
    ----------
    have, want
        Lengths of the last axis before and after.

    Returns
    -------
    before, after
        Element e stands in channel ``e % have`` and then in channel ``e % want``; the pairs repeat after the least
        common multiple.

    Examples
    --------
    >>> regrouped(2, 4)
    (array([0, 1, 0, 1]), array([0, 1, 2, 3]))

    """
    elements = np.arange(math.lcm(have, want))
    return elements % have, elements % want


def _values(node: Node, inputs: Sequence[Floats], params: Params, shapes: Mapping[str, Shape]) -> Floats:
    """Values of a node's output; NaN for any operator that has no rule here."""
    if node.op in _FORWARD:
        return np.asarray(find_op(node.op).forward(node.attrs, [x[None] for x in inputs], {})[0])
    if node.op in _KEPT:
        return inputs[0]
    size = width(shapes[node.output])
    rule = _RULES.get(node.op)
    return np.full(size, np.nan) if rule is None else rule(node, inputs, params, shapes)


def _products(node: Node, inputs: Sequence[Floats], params: Params, _shapes: Mapping[str, Shape]) -> Floats:
    """Gemm and Conv: constant if every weight that is not zero reads a constant."""
    kernel = decode(params["weight"])
    kernel = kernel.reshape(-1, *kernel.shape[-2:])
    units = kernel.shape[-1]
    known = seen_alike(node, inputs[0])
    values = np.where(known, inputs[0], 0.0)
    groups = node.attrs.group if node.op == "Conv" else 1
    parts = []
    for x, own in zip(np.split(np.arange(known.size), groups), np.split(np.arange(units), groups), strict=True):
        part = kernel[:, :, own[0] : own[-1] + 1]
        varies = (part[:, ~known[x]] != 0).any((0, 1))
        adds = values[x] != 0
        sums = values[x][adds] @ part[:, adds].sum(0, dtype=np.float64)
        parts.append(np.where(varies, np.nan, sums))
    bias = decode(params["bias"]) if "bias" in params else 0.0
    return np.concatenate(parts) + bias


def _batch_normalization(node: Node, inputs: Sequence[Floats], params: Params, _shapes: Mapping[str, Shape]) -> Floats:
    factor, offset = factor_and_offset(node.attrs, params)
    return np.where(factor == 0, offset, inputs[0] * factor + offset)


def _zeros_around(node: Node, inputs: Sequence[Floats], _params: Params, _shapes: Mapping[str, Shape]) -> Floats:
    """Pad and AveragePool: padding that counts leaves only zeros alike."""
    counts = any(node.attrs.pads) and (node.op == "Pad" or node.attrs.count_include_pad)
    return np.where(inputs[0] == 0, inputs[0], np.nan) if counts else inputs[0]


def _concat(node: Node, inputs: Sequence[Floats], _params: Params, shapes: Mapping[str, Shape]) -> Floats:
    if node.attrs.axis == len(shapes[node.output]):
        return np.concatenate(inputs)
    return _if_equal(np.stack(inputs))


def _reshaped(node: Node, inputs: Sequence[Floats], _params: Params, shapes: Mapping[str, Shape]) -> Floats:
    size = width(shapes[node.output])
    before, _ = regrouped(inputs[0].size, size)
    return _if_equal(inputs[0][before].reshape(-1, size))


def _if_equal(rows: Floats) -> Floats:
    """Values that all rows share, NaN elsewhere."""
    return np.where((rows == rows[0]).all(0), rows[0], np.nan)


_RULES: Mapping[str, Callable[[Node, Sequence[Floats], Params, Mapping[str, Shape]], Floats]] = {
    "AveragePool": _zeros_around,
    "BatchNormalization": _batch_normalization,
    "Concat": _concat,
    "Conv": _products,
    "Flatten": _reshaped,
    "Gemm": _products,
    "Pad": _zeros_around,
    "Reshape": _reshaped,
}
