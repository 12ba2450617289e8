"""Writing small ``.tflite`` files, right ones and wrong ones, without a converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

tflite = pytest.importorskip("tflite", reason="needs the extra tflite")
flatbuffers = pytest.importorskip("flatbuffers", reason="needs the extra tflite")

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


@dataclass(frozen=True)
class FileTensor:
    """A tensor to be written; those with values are constants."""

    name: str
    shape: tuple[int, ...]
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    values: NDArray[Any] | None = None
    type: str = "int8"


@dataclass(frozen=True)
class FileOperator:
    """An operator to be written; options by the names of the schema, as the generated functions have them."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


def activation(name: str, shape: Sequence[int], scale: float, zero_point: int) -> FileTensor:
    """Return an int8 activation."""
    return FileTensor(name, tuple(shape), (scale,), (zero_point,))


def constant(name: str, values: NDArray[Any], scales: Sequence[float] = (), axis: int = 0) -> FileTensor:
    """Return a constant, symmetric if it has scales."""
    return FileTensor(name, values.shape, scales, [0] * len(scales), axis, values, values.dtype.name)


def write(
    tensors: Sequence[FileTensor],
    operators: Sequence[FileOperator],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] | None = None,
    version: int = 3,
) -> bytes:
    """Return the bytes of a file; without outputs given, that of the last operator is the network's."""
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, None), *(_buffer(builder, tensor.values) for tensor in tensors)]
    written = [_tensor(builder, tensor, index + 1) for index, tensor in enumerate(tensors)]
    codes = sorted({(operator.code, operator.version) for operator in operators})
    written_operators = [_operator(builder, operator, codes) for operator in operators]
    written_codes = [_code(builder, *code) for code in codes]
    ends = operators[-1].outputs if outputs is None else outputs
    graph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, written),
        Inputs=_vector(builder, inputs, "Int32"),
        Outputs=_vector(builder, ends, "Int32"),
        Operators=_offsets(builder, written_operators),
    )
    model = _table(
        builder,
        "Model",
        Version=version,
        OperatorCodes=_offsets(builder, written_codes),
        Subgraphs=_offsets(builder, [graph]),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def _table(builder: Any, name: str, **fields: Any) -> int:
    getattr(tflite, f"{name}Start")(builder)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(builder, value)
    end: int = getattr(tflite, f"{name}End")(builder)
    return end


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    end: int = builder.EndVector()
    return end


def _vector(builder: Any, values: Sequence[Any], kind: str) -> int:
    size = {"Int32": 4, "Int64": 8, "Float32": 4}[kind]
    builder.StartVector(size, len(values), size)
    prepend: Callable[[Any], None] = getattr(builder, f"Prepend{kind}")
    for value in reversed(values):
        prepend(value)
    end: int = builder.EndVector()
    return end


def _buffer(builder: Any, values: NDArray[Any] | None) -> int:
    if values is None:
        return _table(builder, "Buffer")
    data = builder.CreateNumpyVector(np.frombuffer(values.tobytes(), np.uint8))
    return _table(builder, "Buffer", Data=data)


def _tensor(builder: Any, tensor: FileTensor, buffer: int) -> int:
    name = builder.CreateString(tensor.name)
    quantization = None
    if len(tensor.scales):
        scales = _vector(builder, [float(scale) for scale in tensor.scales], "Float32")
        zero_points = _vector(builder, [int(value) for value in tensor.zero_points], "Int64")
        quantization = _table(
            builder, "QuantizationParameters", Scale=scales, ZeroPoint=zero_points, QuantizedDimension=tensor.axis
        )
    fields: dict[str, Any] = {
        "Shape": _vector(builder, tensor.shape, "Int32"),
        "Type": TYPES[tensor.type],
        "Buffer": buffer,
        "Name": name,
    }
    return _table(builder, "Tensor", **fields, **({} if quantization is None else {"Quantization": quantization}))


def _code(builder: Any, code: int, version: int) -> int:
    return _table(builder, "OperatorCode", DeprecatedBuiltinCode=min(code, 127), Version=version, BuiltinCode=code)


def _operator(builder: Any, operator: FileOperator, codes: list[tuple[int, int]]) -> int:
    fields: dict[str, Any] = {
        "OpcodeIndex": codes.index((operator.code, operator.version)),
        "Inputs": _vector(builder, operator.inputs, "Int32"),
        "Outputs": _vector(builder, operator.outputs, "Int32"),
    }
    if operator.options:
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.options)
        fields["BuiltinOptions"] = _table(builder, operator.options, **operator.fields)
    return _table(builder, "Operator", **fields)
