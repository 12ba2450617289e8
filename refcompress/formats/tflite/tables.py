"""Reading the tables of a ``.tflite`` file into plain values, whatever its bytes say.

The accessors of the package ``tflite`` follow offsets wherever they lead: out of the file they raise, inside of it many
entries may lead to the same bytes. So how much is read is bounded by the size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, MissingToolError

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
MAX_ENTRIES = 1 << 16  # tensors, operators or buffers; networks for microcontrollers have hundreds
MAX_AXES = 8
CONSTANTS_PER_FILE = 16  # how often the bytes of a file may be read as constants, however many tensors share them
MALFORMED = (struct.error, IndexError, ValueError, OverflowError, TypeError)  # what the accessors raise

_WINDOW = (("padding", "Padding"), ("stride_h", "StrideH"), ("stride_w", "StrideW"))
_DILATIONS = (("dilation_h", "DilationHFactor"), ("dilation_w", "DilationWFactor"))
_FILTER = (("filter_h", "FilterHeight"), ("filter_w", "FilterWidth"))
_FUSED = (("activation", "FusedActivationFunction"),)

# Accessor class of an operator's options (its name in BuiltinOptions too) to what is read of them.
OPTIONS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "AddOptions": _FUSED,
        "ConcatenationOptions": (("axis", "Axis"), *_FUSED),
        "Conv2DOptions": (*_WINDOW, *_DILATIONS, *_FUSED),
        "DepthwiseConv2DOptions": (*_WINDOW, *_DILATIONS, ("multiplier", "DepthMultiplier"), *_FUSED),
        "FullyConnectedOptions": (("format", "WeightsFormat"), ("keep_axes", "KeepNumDims"), *_FUSED),
        "Pool2DOptions": (*_WINDOW, *_FILTER, *_FUSED),
        "ReducerOptions": (("keep_axes", "KeepDims"),),
        "SoftmaxOptions": (("beta", "Beta"),),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor as the file describes it.

    Attributes
    ----------
    name, shape
        As they stand there; nothing is checked but the number of axes.
    type
        Number of the schema's TensorType.
    scales, zero_points, axis
        Its quantization; empty arrays if it has none.
    data
        The bytes of a constant; None for an activation.
    plain
        Whether its bytes are its values: neither sparse nor a variable.

    """

    name: str
    shape: tuple[int, ...]
    type: int
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: NDArray[np.uint8] | None
    plain: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator as the file describes it.

    Attributes
    ----------
    code, version
        Number of the schema's BuiltinOperator, and which version of its semantics.
    inputs, outputs
        Indices of tensors; -1 for an optional input left out.
    options_name, options
        Class of its options and what was read of them; empty for classes that are not in OPTIONS.

    """

    code: int
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_name: str
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The only subgraph of a file."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


class Budget:
    """How many entries and bytes of names may still be read."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, count: int) -> None:
        """Spend some of it."""
        self.left -= count
        if self.left < 0:
            raise FormatError("tensors and operators share names or indices over and over; no converter does that", 0)


def import_tflite() -> Any:
    """Import the package with the accessors.

    Raises
    ------
    MissingToolError
        It is not installed.

    """
    try:
        import tflite
    except ImportError as error:
        raise MissingToolError(
            "reading .tflite files takes the package tflite: pip install 'refcompress[tflite]'"
        ) from error
    return tflite


def read_tables(data: bytes) -> Tables:
    """Read the tables of a file.

    Raises
    ------
    FormatError
        The bytes are malformed, or it is another version of the format.

    """
    tflite = import_tflite()
    if data[4:8] != IDENTIFIER:
        raise FormatError(f"bytes 4 to 8 are {data[4:8]!r}; in a .tflite file they are {IDENTIFIER!r}", 4)
    try:
        return _read(tflite, data)
    except MALFORMED as error:
        raise FormatError(f"an offset or a length of a table leads astray ({error}); copy the file again", 0) from error


def _read(tflite: Any, data: bytes) -> Tables:
    model = tflite.Model.GetRootAsModel(data, 0)
    if model.Version() != SCHEMA_VERSION:
        raise FormatError(f"version {model.Version()} of the schema; supported is {SCHEMA_VERSION}", 0)
    if model.SubgraphsLength() != 1:
        raise FormatError(f"{model.SubgraphsLength()} subgraphs; networks without control flow have one", 0)
    graph, budget = model.Subgraphs(0), Budget(4 * len(data))
    counts = {"tensors": graph.TensorsLength(), "operators": graph.OperatorsLength(), "buffers": model.BuffersLength()}
    for what, count in counts.items():
        if count > MAX_ENTRIES:
            raise FormatError(f"{count} {what}; at most {MAX_ENTRIES} are allowed", 0)
    codes = _codes(model)
    option_names = {number: name for name, number in vars(tflite.BuiltinOptions).items() if not name.startswith("_")}
    return Tables(
        _indices(graph.InputsAsNumpy(), budget),
        _indices(graph.OutputsAsNumpy(), budget),
        tuple(_tensor(model, graph.Tensors(i), budget) for i in range(counts["tensors"])),
        tuple(_operator(tflite, graph.Operators(i), codes, option_names, budget) for i in range(counts["operators"])),
    )


def _codes(model: Any) -> list[tuple[int, int]]:
    """Return (operator, version) of each operator code; new operators stand in the wider field only."""
    count = model.OperatorCodesLength()
    if count > MAX_ENTRIES:
        raise FormatError(f"{count} operator codes; at most {MAX_ENTRIES} are allowed", 0)
    codes = [model.OperatorCodes(i) for i in range(count)]
    return [(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), code.Version()) for code in codes]


def _indices(vector: Any, budget: Budget) -> tuple[int, ...]:
    if isinstance(vector, int):  # the accessors return 0 for a vector that is absent
        return ()
    budget.take(len(vector))
    return tuple(int(index) for index in vector)


def _tensor(model: Any, tensor: Any, budget: Budget) -> Tensor:
    name = tensor.Name() or b""
    budget.take(len(name))
    shape = tensor.ShapeAsNumpy()
    if not isinstance(shape, int) and len(shape) > MAX_AXES:
        raise FormatError(f"a tensor of {len(shape)} axes; at most {MAX_AXES} are allowed", 0)
    quantization = tensor.Quantization()
    plain = tensor.Sparsity() is None and not tensor.IsVariable()
    axis = quantization.QuantizedDimension() if quantization else 0
    if quantization and quantization.DetailsType() != 0:
        plain = False  # a quantization that this schema does not spell out
    return Tensor(
        name.decode("utf-8", "replace"),
        _indices(shape, budget),
        tensor.Type(),
        _vector(quantization.ScaleAsNumpy() if quantization else 0, np.float32),
        _vector(quantization.ZeroPointAsNumpy() if quantization else 0, np.int64),
        axis,
        _data(model, tensor.Buffer()),
        plain,
    )


def _vector(vector: Any, dtype: Any) -> NDArray[Any]:
    return np.empty(0, dtype) if isinstance(vector, int) else vector


def _data(model: Any, index: int) -> NDArray[np.uint8] | None:
    """Return the bytes of a buffer, a view; buffer 0 and empty ones are those of activations."""
    if index >= model.BuffersLength():
        raise FormatError(f"a tensor lies in buffer {index} of {model.BuffersLength()}", 0)
    buffer = model.Buffers(index)
    if getattr(buffer, "Offset", int)() > 1:
        raise FormatError("buffers behind the tables (files of 2 GiB and more); they must stand inside", 0)
    vector = buffer.DataAsNumpy()
    return None if isinstance(vector, int) or len(vector) == 0 else vector


def _operator(
    tflite: Any, operator: Any, codes: list[tuple[int, int]], option_names: Mapping[int, str], budget: Budget
) -> Operator:
    index = operator.OpcodeIndex()
    if index >= len(codes):
        raise FormatError(f"an operator refers to code {index} of {len(codes)}", 0)
    name, options = option_names.get(operator.BuiltinOptionsType(), ""), {}
    if name in OPTIONS:
        table, union = getattr(tflite, name)(), operator.BuiltinOptions()
        if union is None:
            raise FormatError(f"an operator with {name} that are absent", 0)
        table.Init(union.Bytes, union.Pos)
        options = {key: getattr(table, accessor)() for key, accessor in OPTIONS[name]}
    code, version = codes[index]
    inputs, outputs = (_indices(vector, budget) for vector in (operator.InputsAsNumpy(), operator.OutputsAsNumpy()))
    return Operator(code, version, inputs, outputs, name, MappingProxyType(options))
