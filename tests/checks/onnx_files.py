"""ONNX models made for tests, and what ONNX Runtime computes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from refcompress.formats.onnx.imported import Imported

Array = NDArray[Any]

node = helper.make_node


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Any:
    """Build a model of float32 inputs; a text among their sizes is an open one."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(proto: Any, folder: Path) -> Path:
    """Write a model to a file."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def frozen(proto: Any, keep: int, arrays: Sequence[Array]) -> Any:
    """Return a model whose inputs are initializers, all but one."""
    copy = onnx.ModelProto.FromString(proto.SerializeToString())
    for i in reversed(range(len(arrays))):
        if i != keep:
            copy.graph.initializer.append(numpy_helper.from_array(np.asarray(arrays[i]), copy.graph.input[i].name))
            del copy.graph.input[i]
    return copy


def with_random_weights(proto: Any, rng: np.random.Generator) -> Any:
    """Replace weights that a model fills with one number by random ones that keep activations of a size.

    Weights are so large that the mean square stays what it is; what normalizations divide by is positive.
    """
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    variances = {node.input[4] for node in proto.graph.node if node.op_type == "BatchNormalization"}
    filled = [node for node in proto.graph.node if node.op_type == "ConstantOfShape"]
    for made in filled:
        shape, name = tuple(int(n) for n in shapes[made.input[0]]), made.output[0]
        array = rng.uniform(0.5, 1.5, shape) if name in variances else rng.normal(size=shape)
        if len(shape) > 1:
            array *= np.sqrt(2 / np.prod(shape[1:]))
        elif name not in variances:
            array = 1 + 0.1 * array
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        proto.graph.node.remove(made)
    return proto


def samples_first(array: Array, batch: int) -> Array:
    """Return an array of the model as the graph has it."""
    return np.moveaxis(array, batch, 0) if batch >= 0 else array[None]


def computed(
    imported: Imported, proto: Any, names: Sequence[str], rng: np.random.Generator, samples: int = 3
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Run a model in ONNX Runtime, unoptimized, on random inputs.

    Returns
    -------
    given
        Inputs by name, as the graph takes them.
    made
        Tensors by name, as ONNX has them.

    """
    import onnxruntime

    opened = onnx.ModelProto.FromString(proto.SerializeToString())
    there = {value.name for value in opened.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given, feeds = {}, {}
    for (name, batch), spec, slot in zip(imported.inputs, imported.graph.inputs, session.get_inputs(), strict=True):
        fixed = slot.shape[batch]
        count = fixed if isinstance(fixed, int) else samples
        given[name] = rng.normal(size=(count, *spec.shape)).astype(np.float32)
        feeds[name] = np.ascontiguousarray(np.moveaxis(given[name], 0, batch))
    return given, dict(zip(names, session.run(list(names), feeds), strict=True))


def compared(imported: Imported, proto: Any, rng: np.random.Generator, samples: int = 3) -> dict[str, Array]:
    """Return inputs and what ONNX Runtime computes of them as ``verify.compare`` takes them."""
    given, made = computed(imported, proto, [name for name, _ in imported.outputs], rng, samples)
    outputs = [samples_first(made[name], batch) for name, batch in imported.outputs]
    inputs = {f"x{i}": array for i, array in enumerate(given.values())}
    return inputs | {f"y{i}": array for i, array in enumerate(outputs)}
