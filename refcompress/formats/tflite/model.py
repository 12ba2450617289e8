"""Importing full-integer ``.tflite`` files: int8 activations and weights, int32 biases."""

from __future__ import annotations

import os
from pathlib import Path

from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.tflite.builder import (
    CONVERT,
    FLOAT32,
    INT8,
    UINT8,
    Builder,
    Call,
    quantization_of,
    sample_shape,
)
from refcompress.formats.tflite.operators import DEQUANTIZE, OPERATORS, QUANTIZE
from refcompress.formats.tflite.tables import (
    CONSTANTS_PER_FILE,
    IDENTIFIER,
    Operator,
    Tensor,
    import_tflite,
    read_tables,
)
from refcompress.graph import Graph, TensorSpec
from refcompress.integer import IntegerNetwork
from refcompress.ops import infer_shapes

MAX_FILE_BYTES = (1 << 31) - 1  # offsets in flatbuffers are 32 bits wide


def looks_like(start: bytes) -> bool:
    """Whether a file that begins with these bytes (8 or more) is a ``.tflite`` file.

    Examples
    --------
    >>> looks_like(bytes([28, 0, 0, 0]) + b"TFL3")
    True

    """
    return start[4:8] == IDENTIFIER


def load(path: str | os.PathLike[str]) -> IntegerNetwork:
    """Import a full-integer ``.tflite`` file.

    Nodes are named after the tensors they make; a fused activation function is a node of its own. Inputs and outputs
    of the network are int8: a QUANTIZE behind an input of float32 or uint8, and a DEQUANTIZE or QUANTIZE before such an
    output, are left to the caller (:func:`refcompress.integer.quantize`; uint8 are the same integers plus 128).

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    IntegerNetwork
        Weights as ``Linear`` of 8 bits with the file's scales.

    Raises
    ------
    ModelError
        The network holds something that is not read; the message names the operator and what to do.
    FormatError
        The bytes are malformed.
    MissingToolError
        The package ``tflite`` is not installed.
    OptionError
        There is no such file, or it cannot be read.

    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of a .tflite file") from error
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes, to which offsets reach", 0)
    return read(data)


def read(data: bytes) -> IntegerNetwork:
    """Import the bytes of a full-integer ``.tflite`` file; see :func:`load`."""
    tables = read_tables(data)
    builder = Builder(tables, CONSTANTS_PER_FILE * len(data))
    operators = _without_boundary(builder)
    for index, operator in operators:
        _read_operator(builder, index, operator)
    graph = Graph(_inputs(builder), tuple(_outputs(builder)), tuple(builder.nodes), builder.params)
    _check_shapes(builder, graph)
    return IntegerNetwork(graph, builder.quantizations, builder.biases)


def _read_operator(builder: Builder, index: int, operator: Operator) -> None:
    row = OPERATORS.get(operator.code)
    if row is None:
        names = ", ".join(row.name for row in OPERATORS.values())
        raise ModelError(f"operator {index} is {_name(operator.code)}; those that are read are {names}")
    where = f"operator {index} ({row.name})"
    if not 1 <= operator.version <= row.newest:
        raise ModelError(f"{where} is of version {operator.version}; versions 1 to {row.newest} are read")
    try:
        row.read(Call(builder, operator, where))
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(where) else f"{where}: {text}") from error


def _name(code: int) -> str:
    numbers = vars(import_tflite().BuiltinOperator).items()
    names: dict[int, str] = {number: name for name, number in numbers if not name.startswith("_")}
    return names.get(code, f"number {code}, which this version of the schema does not know")


def _without_boundary(builder: Builder) -> list[tuple[int, Operator]]:
    """Name the network's inputs, and return its operators without the conversions at inputs and outputs."""
    tables = builder.tables
    kept, entered = [], dict.fromkeys(tables.inputs, -1)
    if not tables.inputs or not tables.outputs:
        raise FormatError(f"{len(tables.inputs)} inputs and {len(tables.outputs)} outputs; there must be some", 0)
    for index, operator in enumerate(tables.operators):
        if _is_entry(builder, operator):
            source, made = operator.inputs[0], operator.outputs[0]
            if entered[source] != -1:
                raise ModelError(
                    f"operator {index} (QUANTIZE) quantizes the input {source} a second time; once is read"
                )
            entered[source] = made
        else:
            kept.append((index, operator))
    for source, made in entered.items():
        name = builder.add_activation(source, None if made == -1 else made)
        if made != -1:
            builder.names[made] = name
            _check_conversion(builder.tensor(source), builder.tensor(made))
    return [(index, operator) for index, operator in kept if not _is_exit(builder, operator)]


def _is_entry(builder: Builder, operator: Operator) -> bool:
    """Whether an operator only makes int8 of an input of the network."""
    return (
        operator.code == QUANTIZE
        and len(operator.inputs) == len(operator.outputs) == 1
        and operator.inputs[0] in builder.tables.inputs
        and builder.tensor(operator.inputs[0]).type != INT8
    )


def _is_exit(builder: Builder, operator: Operator) -> bool:
    """Whether an operator only makes float32 or uint8 of what an output of the network is."""
    return (
        operator.code in {DEQUANTIZE, QUANTIZE}
        and len(operator.inputs) == len(operator.outputs) == 1
        and operator.outputs[0] in builder.tables.outputs
        and builder.tensor(operator.outputs[0]).type != INT8
    )


def _check_conversion(outside: Tensor, inside: Tensor) -> None:
    """Refuse a conversion at the boundary that would change the integers' meaning."""
    if outside.type == FLOAT32:
        return
    inner = quantization_of(inside)
    shifted = outside.type == UINT8 and len(outside.scales) == len(outside.zero_points) == 1
    if not shifted or (outside.scales[0], outside.zero_points[0]) != (inner.scale, inner.zero_point + 128):
        raise ModelError(
            f"the tensor {outside.name!r} at the boundary is neither float32 nor {inner} as uint8; {CONVERT}"
        )


def _inputs(builder: Builder) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(builder.names[index], sample_shape(builder.tensor(index)))
        for index in dict.fromkeys(builder.tables.inputs)
    )


def _outputs(builder: Builder) -> list[str]:
    sources: dict[int, int] = {}
    for operator in builder.tables.operators:
        if _is_exit(builder, operator):
            _check_conversion(builder.tensor(operator.outputs[0]), builder.tensor(operator.inputs[0]))
            sources[operator.outputs[0]] = operator.inputs[0]
    names = []
    for index in builder.tables.outputs:
        name = builder.names.get(sources.get(index, index))
        if name is None:
            raise ModelError(f"the output {builder.tensor(index).name!r} is made by no operator that is read")
        names.append(name)
    return names


def _check_shapes(builder: Builder, graph: Graph) -> None:
    """Refuse a file whose tensors have other shapes than its operators make."""
    shapes = infer_shapes(graph)
    for index, name in builder.names.items():
        stated = sample_shape(builder.tensor(index))
        if shapes[name] != stated:
            raise FormatError(f"the tensor {name!r} is {stated} in the file; its operator makes {shapes[name]}", 0)
