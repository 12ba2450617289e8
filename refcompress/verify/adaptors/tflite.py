"""TFLite: the tensors between the operations of a floating-point model, by the names that converters leave on them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, FormatError, ModelError
from refcompress.graph import Graph, Node
from refcompress.verify.adaptors import matching

Array = NDArray[Any]

SIGNATURE = b"TFL3"  # behind the offset of the root


def load(path: str | os.PathLike[str]) -> bytes:
    """Read a ``.tflite`` file.

    Raises
    ------
    FormatError
        It is none.

    """
    content = Path(path).read_bytes()
    if content[4:8] != SIGNATURE:
        raise FormatError(f"{os.fspath(path)} is no TFLite model", 4)
    return content


def outputs(model: bytes, inputs: Mapping[str, Array], graph: Graph) -> tuple[Array, ...]:
    """Run the interpreter with its optimized kernels."""
    ends, _ = _run(model, inputs, graph, every_tensor=False)
    return matching.in_order(ends, graph, matching.our_activations(graph, matching.plain(inputs)))


def capture(model: bytes, inputs: Mapping[str, Array], graph: Graph) -> dict[str, Array]:
    """Run a model and read the tensors between its operations.

    Converters name a tensor after the layers that it comes from, ``model/act/Relu;model/conv/BiasAdd``: it is what
    the last of the graph's nodes among them makes, with all others fused into it. Tensors whose names say nothing
    are left out; then what lies between is compared as one.

    Parameters
    ----------
    model
        What :func:`load` returns; its inputs and outputs are float32.
    inputs
        The network's inputs by name, in our layout.
    graph
        The network that the model is compared with.

    Returns
    -------
    dict
        Activation of the graph to array, the inputs and outputs included.

    Raises
    ------
    DataError
        The interpreter refuses the inputs.
    ModelError
        The model computes with integers.

    """
    given = matching.plain(inputs)
    references = matching.our_activations(graph, given)
    ends, tensors = _run(model, given, graph, every_tensor=True)
    found = dict(given)
    for name, array in tensors.items():
        node = _last_named(graph, name)
        ours = None if node is None else matching.in_our_layout(array, references[node.output].shape[1:])
        if node is not None and ours is not None:
            found[node.output] = ours
    return {**found, **dict(zip(graph.outputs, matching.in_order(ends, graph, references), strict=True))}


def _last_named(graph: Graph, tensor: str) -> Node | None:
    """Return the last node, in topological order, that a tensor is named after."""
    pieces = [f"/{piece.split(':')[0]}/" for piece in tensor.split(";")]
    named = [node for node in graph.nodes if any(f"/{node.name}/" in piece for piece in pieces)]
    return named[-1] if named else None


def _run(
    model: bytes, inputs: Mapping[str, Array], graph: Graph, *, every_tensor: bool
) -> tuple[list[Array], dict[str, Array]]:
    """Return the outputs, and what the operations made by the names of the tensors."""
    litert = matching.library("ai_edge_litert.interpreter", "ai-edge-litert")
    interpreter = litert.Interpreter(model_content=model, experimental_preserve_all_tensors=every_tensor)
    slots = interpreter.get_input_details()
    _check_float(slots + interpreter.get_output_details())
    try:
        for slot, array in zip(slots, _in_slots(slots, inputs, graph), strict=True):
            interpreter.resize_tensor_input(slot["index"], array.shape)
            slot["array"] = array.astype(slot["dtype"])
        interpreter.allocate_tensors()
        for slot in slots:
            interpreter.set_tensor(slot["index"], slot["array"])
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise DataError(f"TFLite does not run the model: {str(error).splitlines()[0]}") from None
    ends = [np.array(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]
    return ends, _between(interpreter) if every_tensor else {}


def _between(interpreter: Any) -> dict[str, Array]:
    """Read every tensor of floating-point numbers that an operation makes."""
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    found = {}
    # the interpreter lists its operations under a private name only
    for operation in interpreter._get_ops_details():  # noqa: SLF001
        for index in operation["outputs"]:
            if index in details and details[index]["dtype"] is np.float32:
                found[details[index]["name"]] = np.array(interpreter.get_tensor(index))
    return found


def _check_float(slots: list[dict[str, Any]]) -> None:
    for slot in slots:
        if np.dtype(slot["dtype"]).kind != "f" and slot["quantization"][0]:
            raise ModelError(
                f"the TFLite model's tensor {slot['name']!r} holds quantized {np.dtype(slot['dtype'])}; integer models "
                "are compared with themselves only: give the .tflite file as MODEL"
            )


def _in_slots(slots: list[dict[str, Any]], inputs: Mapping[str, Array], graph: Graph) -> list[Array]:
    """Return the inputs in the order of the model's, matched by names that contain ours, else as they stand."""
    if len(slots) != len(graph.inputs):
        raise DataError(f"the TFLite model has {len(slots)} inputs; the network has {len(graph.inputs)}")
    plain = matching.plain(inputs)
    named = [[spec.name for spec in graph.inputs if spec.name in slot["name"]] for slot in slots]
    if all(len(names) == 1 for names in named) and len({names[0] for names in named}) == len(slots):
        return [plain[names[0]] for names in named]
    return [plain[spec.name] for spec in graph.inputs]
