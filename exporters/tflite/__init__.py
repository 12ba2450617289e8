"""A ``.tflite`` file of an integer network, for every runtime of TensorFlow Lite; or smaller, for TFLM's DECODE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporters.identifiers import check_prefix
from exporters.tflite import decode
from exporters.tflite.operators import File, add_step
from exporters.tflite.schema import CUSTOM, FileOperator, FileTensor, write
from refcompress.errors import ModelError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork
from refcompress.ops import infer_shapes

DECODE = "TFLM_DECODE"


def export(graph: Graph | IntegerNetwork, *, prefix: str) -> dict[str, bytes]:
    """Write an integer network as a ``.tflite`` file.

    Parameters
    ----------
    graph
        An integer network; weights of fewer bits, shared or sparse ones are written as the int8 they stand for.
    prefix
        Names the file.

    Returns
    -------
    dict of str to bytes
        ``PREFIX.tflite``; the same network gives the same bytes.

    Raises
    ------
    OptionError
        The prefix cannot be one.
    ModelError
        A float network, or a step that TFLite has no operator for.
    MissingToolError
        The extra ``tflite`` is not installed.

    """
    file = _file(graph, prefix)
    return {f"{prefix}.tflite": _written(file)}


def export_decoded(graph: Graph | IntegerNetwork, *, prefix: str) -> dict[str, bytes]:
    """Write an integer network as a ``.tflite`` file whose weights TensorFlow Lite Micro's DECODE expands.

    Each weight that this makes smaller becomes a table with indices, a bitmap with what is not zero, or Huffman
    codes, whichever takes the fewest bytes. TFLM decodes it into its arena before each use.

    Parameters
    ----------
    graph, prefix
        As for :func:`export`, which also lists the errors.

    Returns
    -------
    dict of str to bytes
        ``PREFIX.tflite``, for runtimes that have the operator ``TFLM_DECODE``.

    """
    file = _file(graph, prefix)
    operators: list[FileOperator] = []
    for operator in file.operators:
        weights = [index for index in operator.inputs if index in file.weights]
        renamed = {index: made for index in weights if (made := _decoded(file, index, operators)) is not None}
        operators.append(replace(operator, inputs=tuple(renamed.get(index, index) for index in operator.inputs)))
    file.operators = operators
    return {f"{prefix}.tflite": _written(file)}


def _file(graph: Graph | IntegerNetwork, prefix: str) -> File:
    check_prefix(prefix)
    if not isinstance(graph, IntegerNetwork):
        raise ModelError("a float32 network; .tflite files are written of integer networks, so quantize it first")
    file = File(graph, infer_shapes(graph.graph))
    for spec in graph.graph.inputs:
        file.activation(spec.name)
    for step in graph.steps:
        add_step(file, step)
    return file


def _written(file: File) -> bytes:
    graph = file.network.graph
    inputs = [file.index[spec.name] for spec in graph.inputs]
    return write(file.tensors, file.operators, inputs, [file.index[name] for name in graph.outputs])


def _decoded(file: File, index: int, operators: list[FileOperator]) -> int | None:
    """Encode a weight and add the operator that decodes it; return the tensor that makes, None if it does not pay."""
    tensor = file.tensors[index]
    if tensor.values is None:
        raise TypeError(f"{tensor.name} is no constant")
    encoded = decode.smallest(tensor.values)
    if encoded is None:
        return None
    made = len(file.tensors)
    file.tensors.append(replace(tensor, values=None))
    file.tensors[index] = _bytes(f"{tensor.name}/encoded", encoded.data)
    file.tensors.append(_bytes(f"{tensor.name}/ancillary", encoded.ancillary))
    operators.append(FileOperator(CUSTOM, (index, made + 1), (made,), custom=DECODE))
    return made


def _bytes(name: str, data: bytes) -> FileTensor:
    values = np.frombuffer(data, np.uint8)
    return FileTensor(name, values.shape, values=values, type="uint8")
