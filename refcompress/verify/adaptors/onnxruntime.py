"""ONNX Runtime: every node's output, made an output of the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, FormatError
from refcompress.graph import Graph
from refcompress.verify.adaptors import matching
from refcompress.verify.adaptors.matching import Call

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Model:
    """An ONNX model and how it is run.

    Attributes
    ----------
    proto
        ``onnx.ModelProto``.
    options
        ``onnxruntime.SessionOptions``, or None: threads, optimizations.

    """

    proto: Any
    options: Any = None


def load(path: str | os.PathLike[str]) -> Model:
    """Load an ``.onnx`` file.

    Raises
    ------
    FormatError
        It is none.

    """
    onnx = matching.library("onnx", "onnx")
    try:
        return Model(onnx.load(os.fspath(path)))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - protobuf raises classes of its own
        raise FormatError(f"{os.fspath(path)} is no ONNX model: {str(error).splitlines()[0]}", 0) from None


def outputs(model: Model, inputs: Mapping[str, Array], graph: Graph) -> tuple[Array, ...]:
    """Run the model as it is, with the runtime's optimizations."""
    names = [value.name for value in model.proto.graph.output]
    arrays = _session_run(model, model.proto, inputs, graph, names)
    return matching.in_order(arrays, graph, matching.our_activations(graph, matching.plain(inputs)))


def capture(model: Model, inputs: Mapping[str, Array], graph: Graph) -> dict[str, Array]:
    """Run a model with every tensor of floating-point numbers among its outputs.

    Tensors and nodes that have the names of the graph's are matched by them, others in their order by operator and
    shape.

    Parameters
    ----------
    model
        What :func:`load` returns, or ``Model(proto, session options)``.
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
        No node of the model is one of the network, or the runtime refuses the inputs.

    """
    given = matching.plain(inputs)
    references = matching.our_activations(graph, given)
    proto, names = _open(model.proto)
    arrays = dict(zip(names, _session_run(model, proto, given, graph, names), strict=True))
    calls = [
        Call((node.output[0], node.name), kinds, np.asarray(arrays[node.output[0]], np.float32))
        for node, kinds in _kinds(model.proto)
        if node.output and arrays.get(node.output[0]) is not None and arrays[node.output[0]].dtype.kind == "f"
    ]
    found = matching.aligned(calls, graph, references)
    if not found:
        raise DataError("no node of the ONNX model is a node of the network; is it the same model?")
    ends = [arrays[value.name] for value in model.proto.graph.output]
    placed = matching.in_order(ends, graph, references)
    return {**given, **found, **dict(zip(graph.outputs, placed, strict=True))}


def _open(proto: Any) -> tuple[Any, list[str]]:
    """Return a copy of a model whose outputs are all tensors that its nodes make, and their names."""
    onnx = matching.library("onnx", "onnx")
    opened = type(proto)()
    opened.CopyFrom(proto)
    there = {value.name for value in proto.graph.output}
    made = [name for node in proto.graph.node for name in node.output[:1] if name]
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in there)
    return opened, list(dict.fromkeys([*(value.name for value in proto.graph.output), *made]))


def _session_run(
    model: Model, proto: Any, inputs: Mapping[str, Array], graph: Graph, names: Sequence[str]
) -> list[Array]:
    runtime = matching.library("onnxruntime", "onnxruntime")
    try:
        session = runtime.InferenceSession(
            proto.SerializeToString(), sess_options=model.options, providers=["CPUExecutionProvider"]
        )
        feeds = _feeds(session, matching.plain(inputs), graph)
        return _computed(session, list(names), feeds)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - the runtime raises classes of its own
        raise DataError(f"ONNX Runtime does not run the model: {str(error).splitlines()[0]}") from None


def _computed(session: Any, names: list[str], feeds: Mapping[str, Array]) -> list[Array]:
    """Run all samples at once, or one by one if the model fixes its batch to 1 or has no batch axis."""
    slots, samples = session.get_inputs(), min(map(len, feeds.values()))
    bare = all(len(slot.shape) == feeds[slot.name].ndim - 1 for slot in slots)
    if not samples or not (bare or any(slot.shape[:1] == [1] for slot in slots)):
        return [np.asarray(array) for array in session.run(names, feeds)]
    runs = [
        session.run(names, {name: array[i] if bare else array[i : i + 1] for name, array in feeds.items()})
        for i in range(samples)
    ]
    # without a batch axis each run gives a sample; with one of 1, a tensor that has lost it is a sample, too
    return [
        np.stack(parts) if bare or parts[0].shape[:1] != (1,) else np.concatenate(parts)
        for parts in zip(*runs, strict=True)
    ]


def _feeds(session: Any, inputs: Mapping[str, Array], graph: Graph) -> dict[str, Array]:
    """Put the inputs under the model's names, by name or else in order, in its layout and type."""
    slots = session.get_inputs()
    if len(slots) != len(graph.inputs):
        raise DataError(f"the ONNX model has {len(slots)} inputs; the network has {len(graph.inputs)}")
    by_name = {slot.name for slot in slots} == set(inputs)
    feeds = {}
    for slot, spec in zip(slots, graph.inputs, strict=True):
        array = inputs[slot.name if by_name else spec.name]
        sizes = slot.shape if len(slot.shape) == array.ndim else [None, *slot.shape]
        if not matching.fits(array, sizes) and array.ndim > 2:
            array = matching.channels_first(array)
        kind = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(double)": np.float64}.get(slot.type)
        feeds[slot.name] = array.astype(kind or np.float32)
    return feeds


def _kinds(proto: Any) -> list[tuple[Any, tuple[str, ...]]]:
    """Nodes with our operators that they may be; a matrix product with a bias behind it is one Gemm."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    makers = {node.output[0]: node for node in proto.graph.node if node.output}
    kinds = {id(node): _own_kinds(node.op_type) for node in proto.graph.node}
    for node in proto.graph.node:
        before = [makers[name] for name in node.input if name in makers]
        adds_constant = node.op_type == "Add" and any(name in constants for name in node.input)
        if adds_constant and len(before) == 1 and before[0].op_type in {"MatMul", "Conv", "Gemm"}:
            kinds[id(node)], kinds[id(before[0])] = kinds[id(before[0])], ()
    return [(node, kinds[id(node)]) for node in proto.graph.node]


def _own_kinds(op_type: str) -> tuple[str, ...]:
    return {
        "MatMul": ("Gemm", "MatMul"),
        "Flatten": ("Flatten", "Reshape"),
        "Reshape": ("Reshape", "Flatten"),
        "ReduceMean": ("ReduceMean", "GlobalAveragePool"),
        "AveragePool": ("AveragePool", "GlobalAveragePool"),
        "Identity": ("Dropout",),
    }.get(op_type, (op_type,))
