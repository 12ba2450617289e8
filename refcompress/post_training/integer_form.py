"""A network rewritten in operators that have an integer form, with the same values in real numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode, encode
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, Shape
from refcompress.integer.operators import INTEGER_OPS
from refcompress.ops import infer_shapes, make_attrs
from refcompress.ops.conv import Conv
from refcompress.passes.fold_batch_norm import fold_batch_norm
from refcompress.passes.rewrite import fresh, with_nodes

Floats = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _Rewriting:
    """What is known of the network while its nodes are replaced, and what was added."""

    graph: Graph
    shapes: Mapping[str, Shape]
    taken: set[str]
    params: dict[str, Encoding] = field(default_factory=dict)

    def name(self, wanted: str) -> str:
        """Return a name that no node, activation or parameter has yet."""
        name = fresh(wanted, self.taken)
        self.taken.add(name)
        return name

    def param(self, wanted: str, array: Floats) -> str:
        """Add a parameter."""
        name = self.name(wanted)
        self.params[name] = encode(array.astype(np.float32))
        return name


def integer_form(graph: Graph) -> Graph:
    """Rewrite what has no integer form by what has one.

    Batch normalization is folded into the layer before it; where it cannot be, it becomes a depthwise convolution
    with 1 x 1 kernels, as does an Affine that differs by channel alone. Sums of many become sums of two, and a mean
    that counts padding gets its padding before it.

    Parameters
    ----------
    graph
        Any network.

    Returns
    -------
    Graph
        Outputs keep their names.

    Raises
    ------
    ModelError
        An operator has no integer form.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> inputs = tuple(TensorSpec(name, (2,)) for name in "abc")
    >>> node = Node("Add", "add", ("a", "b", "c"), "y", attrs=make_attrs("Add", {}))
    >>> [each.inputs for each in integer_form(Graph(inputs, ("y",), (node,), {})).nodes]
    [('a', 'b'), ('add/sum', 'c')]

    """
    graph = fold_batch_norm(graph)
    shapes = infer_shapes(graph)
    taken = {*shapes, *graph.params, *(node.name for node in graph.nodes)}
    rewriting = _Rewriting(graph, shapes, taken)
    nodes = [new for node in graph.nodes for new in _REWRITES.get(node.op, _keep)(rewriting, node)]
    for node in nodes:
        if node.op not in INTEGER_OPS:
            raise ModelError(
                f"node {node.name!r} ({node.op}): no integer form; those that have one are {', '.join(INTEGER_OPS)}"
            )
    return with_nodes(graph, nodes, rewriting.params)


def _keep(_rewriting: _Rewriting, node: Node) -> list[Node]:
    return [node]


def _sums_of_two(rewriting: _Rewriting, node: Node) -> list[Node]:
    nodes: list[Node] = []
    before = node.inputs[0]
    for source in node.inputs[1:-1]:
        name = rewriting.name(f"{node.name}/sum")
        nodes.append(Node("Add", name, (before, source), name, attrs=node.attrs))
        before = name
    return [*nodes, replace(node, inputs=(before, node.inputs[-1]))]


def _padding_before(rewriting: _Rewriting, node: Node) -> list[Node]:
    if not (node.attrs.count_include_pad and any(node.attrs.pads)):
        return [node]
    name = rewriting.name(f"{node.name}/padded")
    pad = Node("Pad", name, node.inputs, name, attrs=make_attrs("Pad", {"pads": node.attrs.pads}))
    return [pad, replace(node, inputs=(name,), attrs=replace(node.attrs, pads=(0, 0, 0, 0), count_include_pad=False))]


def _normalization(rewriting: _Rewriting, node: Node) -> list[Node]:
    numbers = {role: decode(rewriting.graph.params[name]).astype(np.float64) for role, name in node.params.items()}
    factor = numbers.get("scale", np.float64(1)) / np.sqrt(numbers["var"] + node.attrs.epsilon)
    return _by_channel(rewriting, node, factor, numbers.get("bias", np.float64(0)) - numbers["mean"] * factor)


def _affine(rewriting: _Rewriting, node: Node) -> list[Node]:
    numbers = {role: decode(rewriting.graph.params[name]).astype(np.float64) for role, name in node.params.items()}
    if any(math.prod(array.shape[:-1]) != 1 for array in numbers.values()):
        raise ModelError(f"node {node.name!r} (Affine): its constants differ by more than the channel; no integer form")
    channels = rewriting.shapes[node.inputs[0]][-1]
    scale, bias = (
        np.broadcast_to(numbers.get(role, np.float64(default)).reshape(-1), channels)
        for role, default in (("scale", 1), ("bias", 0))
    )
    return _by_channel(rewriting, node, scale, bias)


def _by_channel(rewriting: _Rewriting, node: Node, factor: Floats, offset: Floats) -> list[Node]:
    """Return a depthwise convolution with 1 x 1 kernels, between two reshapes where the input is no plane."""
    shape = rewriting.shapes[node.inputs[0]]
    channels = shape[-1]
    params = {
        "weight": rewriting.param(f"{node.name}/weight", factor.reshape(1, 1, 1, channels)),
        "bias": rewriting.param(f"{node.name}/offset", offset),
    }
    attrs = Conv(group=channels)
    if len(shape) == 3:
        return [replace(node, op="Conv", params=params, attrs=attrs)]
    plane, made = rewriting.name(f"{node.name}/plane"), rewriting.name(f"{node.name}/scaled")
    as_plane = make_attrs("Reshape", {"shape": (1, math.prod(shape[:-1]), channels)})
    return [
        Node("Reshape", plane, node.inputs, plane, attrs=as_plane),
        Node("Conv", made, (plane,), made, params, attrs),
        Node("Reshape", node.name, (made,), node.output, attrs=make_attrs("Reshape", {"shape": shape})),
    ]


_REWRITES: Mapping[str, Callable[[_Rewriting, Node], list[Node]]] = {
    "Add": _sums_of_two,
    "Affine": _affine,
    "AveragePool": _padding_before,
    "BatchNormalization": _normalization,
}
