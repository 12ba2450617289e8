"""Which channels can only be cut together, and which of them an output depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.graph import Graph, Node, Shape
from refcompress.passes.constant_channels import regrouped, width

Indices = NDArray[np.intp]
Ids = Mapping[tuple[str, str], Indices]  # by what it is and its name

# the output has the channels of each input
_SAME_CHANNELS = {
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Dropout",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "Pad",
    "Relu",
    "Sigmoid",
    "Tanh",
}


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Channels of a network by class: those of one class stay together or go together.

    Attributes
    ----------
    activations
        Name of an activation to the class of each index of its last axis.
    inputs, outputs
        Name of a parameter to the class of each index of its axis before the last (weights only), and of its last
        one: what it reads and what it makes.
    fixed
        Whether the channels of a class must stay, for each class.

    """

    activations: Mapping[str, Indices]
    inputs: Mapping[str, Indices]
    outputs: Mapping[str, Indices]
    fixed: NDArray[np.bool_]


def coupled_channels(graph: Graph, shapes: Mapping[str, Shape]) -> Channels:
    """Couple the channels that operators and shared parameters make go together.

    Inputs and outputs of the network are fixed, and all that a Softmax, a convolution of groups (unless depthwise), an
    Add that repeats one channel for all, or an operator unknown here touches.

    Parameters
    ----------
    graph
        A network.
    shapes
        What :func:`refcompress.ops.infer_shapes` returns for it.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "h", {"weight": "w"}), Node("Flatten", "flat", ("h",), "y"))
    >>> graph = Graph((TensorSpec("x", (2, 1)),), ("y",), nodes, {"w": encode([[1.0, 2.0]])})
    >>> channels = coupled_channels(graph, {"x": (2, 1), "h": (2, 2), "y": (4,)})
    >>> channels.activations["y"] - channels.activations["h"][0]
    array([0, 1, 0, 1])
    >>> channels.fixed[channels.activations["h"]]  # an output of the network is made of them
    array([ True,  True])

    """
    from scipy import sparse

    ids = _number(graph, shapes)
    pairs = [(np.empty(0, np.intp), np.empty(0, np.intp))]
    scalars = (name for name, shape in shapes.items() if not shape)
    fixed = [ids["activation", name] for name in (*(spec.name for spec in graph.inputs), *graph.outputs, *scalars)]
    for node in graph.nodes:
        more = _joined(node, ids, shapes)
        if more is None:
            fixed += [ids["activation", name] for name in (*node.inputs, node.output)]
            fixed += [ids[what, name] for name in node.params.values() for what in ("input", "output")]
            continue
        pairs += more
        pairs += [(ids["activation", node.output], ids["output", name]) for name in node.params.values()]
        if is_depthwise(node, shapes):  # its one input channel stands for all of them
            fixed.append(ids["input", node.params["weight"]])
    count = sum(each.size for each in ids.values())
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    # a matrix, since csgraph of SciPy 1.11 takes no sparse array
    joints = sparse.coo_matrix((np.ones(first.size, np.bool_), (first, second)), (count, count))
    classes, labels = sparse.csgraph.connected_components(joints, directed=False)
    class_of = labels.astype(np.intp)
    is_fixed = np.zeros(classes, np.bool_)
    for each in fixed:
        is_fixed[class_of[each]] = True
    activations, inputs, outputs = (
        {name: class_of[each] for (kind, name), each in ids.items() if kind == what}
        for what in ("activation", "input", "output")
    )
    return Channels(activations, inputs, outputs, is_fixed)


def needed_channels(
    graph: Graph, shapes: Mapping[str, Shape], reads: Mapping[str, NDArray[np.bool_]]
) -> dict[str, NDArray[np.bool_]]:
    """Tell on which channels of each activation an output of the network depends.

    Parameters
    ----------
    graph
        A network.
    shapes
        What :func:`refcompress.ops.infer_shapes` returns for it.
    reads
        Name of each node that :func:`is_product` holds for to whether an output channel depends on an input channel,
        (in, out).

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (Node("Relu", "relu", ("x",), "h"), Node("Gemm", "fc", ("h",), "y", {"weight": "w"}))
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {"w": encode([[0.0], [1.0]])})
    >>> needed_channels(graph, {"x": (2,), "h": (2,), "y": (1,)}, {"fc": np.array([[False], [True]])})["x"]
    array([False,  True])

    """
    ids = _number(graph, shapes)
    needed = np.zeros(sum(each.size for each in ids.values()), np.bool_)
    for name in graph.outputs:
        needed[ids["activation", name]] = True
    for node in reversed(graph.nodes):
        inputs, output = [ids["activation", name] for name in node.inputs], ids["activation", node.output]
        pairs = _joined(node, ids, shapes)
        if is_product(node):
            needed[inputs[0][reads[node.name][:, needed[output]].any(1)]] = True
        elif pairs is not None:
            for before, after in pairs:
                needed[before[needed[after]]] = True
        elif needed[output].any():
            needed[np.concatenate(inputs)] = True
    return {name: needed[ids["activation", name]] for name in shapes}


def is_product(node: Node) -> bool:
    """Whether each output channel of a node is a weighted sum of all its input channels."""
    return node.op == "Gemm" or (node.op == "Conv" and node.attrs.group == 1)


def is_depthwise(node: Node, shapes: Mapping[str, Shape]) -> bool:
    """Whether a node is a convolution in which each input channel has output channels of its own."""
    return node.op == "Conv" and node.attrs.group == shapes[node.inputs[0]][-1] > 1


def _number(graph: Graph, shapes: Mapping[str, Shape]) -> dict[tuple[str, str], Indices]:
    """Give a number to every channel of activations and of parameters in use."""
    sizes = {("activation", name): width(shape) for name, shape in shapes.items()}
    for _, _, name in graph.weights():
        shape = graph.params[name].shape
        sizes["output", name] = width(shape)
        sizes["input", name] = shape[-2] if len(shape) > 1 else 0
    ends = np.cumsum([*sizes.values()])
    return {key: np.arange(end - size, end) for (key, size), end in zip(sizes.items(), ends.tolist(), strict=True)}


def _joined(node: Node, ids: Ids, shapes: Mapping[str, Shape]) -> list[tuple[Indices, Indices]] | None:
    """Pairs of channels of a node's inputs that go together with its output's or its weight's; None: all fixed."""
    inputs = [ids["activation", name] for name in node.inputs]
    output = ids["activation", node.output]
    if is_product(node):
        return [(inputs[0], ids["input", node.params["weight"]])]
    if is_depthwise(node, shapes):
        return [(np.repeat(inputs[0], output.size // inputs[0].size), output)]
    if node.op in {"Flatten", "Reshape"}:
        before, after = regrouped(inputs[0].size, output.size)
        return [(inputs[0][before], output[after])]
    if node.op == "Concat" and node.attrs.axis == len(shapes[node.output]):
        return [(np.concatenate(inputs), output)]
    if any(each.size != output.size for each in inputs):  # an Add that repeats one channel
        return None
    if node.op in _SAME_CHANNELS or node.op == "Concat":
        return [(each, output) for each in inputs]
    return None
