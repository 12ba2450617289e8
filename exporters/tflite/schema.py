"""Writing ``.tflite`` files: flatbuffers by the schema's own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.formats.tflite.tables import import_tflite

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}
CUSTOM = 32  # the code of operators that have a name instead of a number
LARGEST_OLD_CODE = 127
ALIGN_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """A tensor to be written; those with values are constants.

    Attributes
    ----------
    name, shape
        The batch axis included.
    scales, zero_points, axis
        Its quantization: one scale, or one for each index of an axis.
    values
        Of a constant.
    type
        A key of :data:`TYPES`.

    """

    name: str
    shape: tuple[int, ...]
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    values: NDArray[Any] | None = None
    type: str = "int8"


@dataclass(frozen=True, slots=True, eq=False)
class FileOperator:
    """An operator to be written.

    Attributes
    ----------
    code
        Its number in the schema.
    inputs, outputs
        Indices of tensors; -1 is one left out.
    options, fields
        Class of its options and their values, by the names that the schema's generated functions have.
    version
        Of the operator.
    custom
        Name of an operator of the code :data:`CUSTOM`.

    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    custom: str = ""


def write(
    tensors: Sequence[FileTensor],
    operators: Sequence[FileOperator],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] | None = None,
    version: int = 3,
) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    tensors, operators
        In the order in which operators run.
    inputs, outputs
        Indices of the network's tensors; without outputs given, those of the last operator are.
    version
        Of the schema.

    Raises
    ------
    MissingToolError
        The packages ``tflite`` and ``flatbuffers`` are not installed.

    """
    return _Writer(import_tflite()).model(tensors, operators, inputs, outputs, version)


class _Writer:
    """A flatbuffer on its way; every method returns the offset of what it wrote."""

    def __init__(self, schema: ModuleType) -> None:
        import flatbuffers

        self._schema = schema
        self._builder: Any = flatbuffers.Builder(1024)

    def model(
        self,
        tensors: Sequence[FileTensor],
        operators: Sequence[FileOperator],
        inputs: Sequence[int],
        outputs: Sequence[int] | None,
        version: int,
    ) -> bytes:
        """Write everything."""
        buffers = [self._buffer(None), *(self._buffer(tensor.values) for tensor in tensors)]
        written = [self._tensor(tensor, index + 1) for index, tensor in enumerate(tensors)]
        codes = sorted({(operator.code, operator.version, operator.custom) for operator in operators})
        written_operators = [self._operator(operator, codes) for operator in operators]
        written_codes = [self._code(*code) for code in codes]
        ends = operators[-1].outputs if outputs is None else outputs
        graph = self._table(
            "SubGraph",
            Tensors=self._offsets(written),
            Inputs=self._vector(inputs, "Int32"),
            Outputs=self._vector(ends, "Int32"),
            Operators=self._offsets(written_operators),
        )
        model = self._table(
            "Model",
            Version=version,
            OperatorCodes=self._offsets(written_codes),
            Subgraphs=self._offsets([graph]),
            Buffers=self._offsets(buffers),
        )
        self._builder.Finish(model, b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, name: str, **fields: Any) -> int:
        getattr(self._schema, f"{name}Start")(self._builder)
        for key, value in fields.items():
            getattr(self._schema, f"{name}Add{key}")(self._builder, value)
        end: int = getattr(self._schema, f"{name}End")(self._builder)
        return end

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        end: int = self._builder.EndVector()
        return end

    def _vector(self, values: Sequence[Any], kind: str) -> int:
        size = {"Int32": 4, "Int64": 8, "Float32": 4}[kind]
        self._builder.StartVector(size, len(values), size)
        prepend: Callable[[Any], None] = getattr(self._builder, f"Prepend{kind}")
        for value in reversed(values):
            prepend(value)
        end: int = self._builder.EndVector()
        return end

    def _buffer(self, values: NDArray[Any] | None) -> int:
        if values is None:
            return self._table("Buffer")
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._builder.StartVector(1, len(data), ALIGN_BYTES)  # constants are read in place
        self._builder.head -= len(data)
        self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data.tobytes()
        return self._table("Buffer", Data=self._builder.EndVector())

    def _tensor(self, tensor: FileTensor, buffer: int) -> int:
        fields: dict[str, Any] = {"Name": self._builder.CreateString(tensor.name), "Buffer": buffer}
        fields |= {"Shape": self._vector(tensor.shape, "Int32"), "Type": TYPES[tensor.type]}
        if len(tensor.scales):
            scales = self._vector([float(scale) for scale in tensor.scales], "Float32")
            zero_points = self._vector([int(value) for value in tensor.zero_points], "Int64")
            fields["Quantization"] = self._table(
                "QuantizationParameters", Scale=scales, ZeroPoint=zero_points, QuantizedDimension=tensor.axis
            )
        return self._table("Tensor", **fields)

    def _code(self, code: int, version: int, custom: str) -> int:
        fields: dict[str, Any] = {"CustomCode": self._builder.CreateString(custom)} if custom else {}
        old = min(code, LARGEST_OLD_CODE)
        return self._table("OperatorCode", DeprecatedBuiltinCode=old, Version=version, BuiltinCode=code, **fields)

    def _operator(self, operator: FileOperator, codes: Sequence[tuple[int, int, str]]) -> int:
        fields: dict[str, Any] = {
            "OpcodeIndex": codes.index((operator.code, operator.version, operator.custom)),
            "Inputs": self._vector(operator.inputs, "Int32"),
            "Outputs": self._vector(operator.outputs, "Int32"),
        }
        if operator.options:
            fields["BuiltinOptionsType"] = getattr(self._schema.BuiltinOptions, operator.options)
            fields["BuiltinOptions"] = self._table(operator.options, **operator.fields)
        return self._table("Operator", **fields)
