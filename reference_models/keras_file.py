"""Our networks as legacy Keras HDF5 models, as many programs read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from refcompress.encodings import decode
from refcompress.errors import ModelError
from refcompress.formats.hdf5.write import Group, pack
from refcompress.graph import Graph, Node

_ACTIVATIONS = {"Relu": "relu", "Softmax": "softmax"}
_CLASSES = {"Conv": "Conv2D", "Gemm": "Dense", "MaxPool": "MaxPooling2D", "Flatten": "Flatten", "Dropout": "Dropout"}
_VERSIONS: Mapping[str, str | list[str]] = {"keras_version": "2.15.0", "backend": "tensorflow"}


def keras_file(graph: Graph, name: str) -> bytes:
    """Return a chain of layers as the bytes of a Keras 2 Sequential model, weights and all.

    Parameters
    ----------
    graph
        One input; Conv with equal pads or none, MaxPool without, Flatten, Dropout, Gemm, and Relu and Softmax right
        after a Conv or a Gemm, which take them as their activation.
    name
        Of the model.

    Raises
    ------
    ModelError
        A node has no counterpart in such a model.

    """
    layers: list[tuple[str, dict[str, Any]]] = [_input(graph)]
    last = graph.inputs[0].name
    for node in graph.nodes:
        if node.inputs != (last,):
            raise ModelError(f"the node {node.name!r} does not read the one before it: no Sequential model")
        last = node.output
        if node.op in _ACTIVATIONS and layers[-1][1].get("activation") == "linear":
            layers[-1][1]["activation"] = _ACTIVATIONS[node.op]
        else:
            layers.append(_layer(graph, node))
    listed = [
        {"class_name": kind, "config": {**options, "dtype": "float32", "trainable": True}} for kind, options in layers
    ]
    config = {"class_name": "Sequential", "config": {"name": name, "layers": listed}}
    groups = {str(options["name"]): _weights(graph, str(options["name"])) for _, options in layers[1:]}
    weights = Group(groups, {"layer_names": list(groups), **_VERSIONS})
    return pack(Group({"model_weights": weights}, {"model_config": json.dumps(config), **_VERSIONS}))


def _input(graph: Graph) -> tuple[str, dict[str, Any]]:
    spec = graph.inputs[0]
    shape = [None, *spec.shape]
    return "InputLayer", {"name": spec.name, "batch_input_shape": shape, "sparse": False, "ragged": False}


def _layer(graph: Graph, node: Node) -> tuple[str, dict[str, Any]]:
    if node.op not in _CLASSES:
        raise ModelError(f"the node {node.name!r} is a {node.op}, for which this writer has no Keras layer")
    attrs: dict[str, Any] = {"name": node.name}
    if node.op == "Conv":
        kh, kw, _, filters = graph.params[node.params["weight"]].shape
        attrs |= {"filters": filters, "kernel_size": [kh, kw], "strides": list(node.attrs.strides)}
        attrs |= {"padding": _padding(node, (kh, kw)), "dilation_rate": list(node.attrs.dilations)}
        attrs |= {"groups": node.attrs.group, "data_format": "channels_last"}
    elif node.op == "Gemm":
        attrs["units"] = graph.params[node.params["weight"]].shape[1]
    elif node.op == "MaxPool":
        attrs |= {"pool_size": list(node.attrs.kernel_shape), "strides": list(node.attrs.strides)}
        attrs |= {"padding": _padding(node, (1, 1)), "data_format": "channels_last"}
    elif node.op == "Flatten":
        attrs["data_format"] = "channels_last"
    else:
        attrs["rate"] = node.attrs.ratio
    if node.params:
        attrs |= {"activation": "linear", "use_bias": "bias" in node.params}
    return _CLASSES[node.op], attrs


def _padding(node: Node, kernel: tuple[int, int]) -> str:
    """Keras's word for the pads: none, or as many as keep the size of the input."""
    if not any(node.attrs.pads):
        return "valid"
    top, left = ((size - 1) // 2 for size in kernel)
    if node.attrs.pads != (top, left, top, left) or node.attrs.strides != (1, 1) or not all(k % 2 for k in kernel):
        raise ModelError(f"the node {node.name!r} has the pads {node.attrs.pads}, which Keras has no word for")
    return "same"


def _weights(graph: Graph, name: str) -> Group:
    node = next(each for each in graph.nodes if each.name == name)
    keras = {"weight": "kernel:0", "bias": "bias:0"}
    arrays = {f"{name}/{keras[role]}": decode(graph.params[parameter]) for role, parameter in node.params.items()}
    return Group(arrays, {"weight_names": list(arrays)})
