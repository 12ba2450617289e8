"""What the operators of a ``.tflite`` file become: nodes, parameters and quantizations under construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Dense, Encoding, Linear
from refcompress.encodings import encode as encode_float
from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.tflite.tables import Operator, Tables, Tensor
from refcompress.graph import Node
from refcompress.integer.network import real_bias
from refcompress.integer.quantization import Quantization
from refcompress.integer.step import weight_scales
from refcompress.ops import make_attrs

FLOAT32, INT32, UINT8, INT64, INT8 = 0, 2, 3, 4, 9  # numbers of the schema's TensorType
TYPE_BYTES = {INT32: 4, INT64: 8, INT8: 1}
DTYPES = {INT32: "<i4", INT64: "<i8", INT8: "i1"}
WEIGHT_BITS = 8

CONVERT = (
    "convert the network with full-integer quantization: converter.optimizations = [tf.lite.Optimize.DEFAULT], a "
    "representative_dataset, and target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)


@dataclass(slots=True, eq=False)
class Builder:
    """A network under construction.

    Attributes
    ----------
    tables
        What the file says.
    constant_bytes
        How many bytes of constants may still be read.
    nodes, params, quantizations, biases
        What was made so far.
    names
        Tensor to the activation that it is.
    weights
        (tensor, layout) to the parameter that holds it.

    """

    tables: Tables
    constant_bytes: int
    nodes: list[Node] = field(default_factory=list)
    params: dict[str, Encoding] = field(default_factory=dict)
    quantizations: dict[str, Quantization] = field(default_factory=dict)
    biases: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    weights: dict[tuple[int, str], str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def tensor(self, index: int) -> Tensor:
        """Return a tensor of the file."""
        if not 0 <= index < len(self.tables.tensors):
            raise FormatError(f"tensor {index} of {len(self.tables.tensors)}", 0)
        return self.tables.tensors[index]

    def new_name(self, wanted: str) -> str:
        """Return a name that no activation has yet."""
        base = wanted if wanted.isprintable() and wanted else "tensor"
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}:{count}"
        self.taken.add(name)
        return name

    def add_activation(self, index: int, quantized_as: int | None = None) -> str:
        """Name a tensor that the network reads or an operator makes, and note its quantization."""
        tensor = self.tensor(index)
        if index in self.names or tensor.data is not None:
            raise FormatError(f"tensor {tensor.name!r} is made twice, or is a constant", 0)
        name = self.names[index] = self.new_name(tensor.name)
        self.quantizations[name] = quantization_of(self.tensor(index if quantized_as is None else quantized_as))
        return name

    def constant(self, index: int, kind: int) -> NDArray[Any]:
        """Return the values of a constant of integers, a copy in its shape."""
        tensor = self.tensor(index)
        if tensor.data is None or not tensor.plain or tensor.type != kind:
            raise ModelError(
                f"the tensor {tensor.name!r} is no plain constant of the expected type (TensorType {kind}, found "
                f"{tensor.type}); {CONVERT}"
            )
        if min(tensor.shape, default=1) < 0 or math.prod(tensor.shape) * TYPE_BYTES[kind] != len(tensor.data):
            raise FormatError(f"the tensor {tensor.name!r} of shape {tensor.shape} has {len(tensor.data)} bytes", 0)
        self.constant_bytes -= len(tensor.data)
        if self.constant_bytes < 0:
            raise FormatError("tensors share the bytes of constants over and over; no converter does that", 0)
        values: NDArray[Any] = np.frombuffer(tensor.data.tobytes(), DTYPES[kind])
        return values.reshape(tensor.shape)


def quantization_of(tensor: Tensor) -> Quantization:
    """Return the quantization of an activation.

    Raises
    ------
    ModelError
        It is not int8 with one scale and one zero point.

    """
    if tensor.type != INT8 or len(tensor.scales) != 1 or len(tensor.zero_points) != 1 or not tensor.plain:
        raise ModelError(
            f"the tensor {tensor.name!r} is not an int8 activation with one scale (TensorType {tensor.type}, "
            f"{len(tensor.scales)} scales); {CONVERT}"
        )
    try:
        return Quantization(float(tensor.scales[0]), int(tensor.zero_points[0]))
    except OptionError as error:
        raise ModelError(f"the tensor {tensor.name!r}: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One operator on its way into the network."""

    builder: Builder
    operator: Operator
    where: str
    flattened: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> ModelError:
        """Return the error for something that has no integer form here."""
        return ModelError(f"{self.where}: {reason}")

    def need(self, least: int, most: int) -> None:
        """Refuse another number of inputs, or of outputs than one."""
        given = self.operator.inputs
        if not least <= len(given) <= most or len(self.operator.outputs) != 1:
            raise FormatError(f"{self.where}: {len(given)} inputs and {len(self.operator.outputs)} outputs", 0)

    def source(self, position: int = 0) -> str:
        """Return the activation that stands at a position of the inputs."""
        index = self.operator.inputs[position]
        name = self.builder.names.get(index)
        if name is None:
            tensor = self.builder.tensor(index)
            kind = "a constant" if tensor.data is not None else "made by no operator before it"
            raise self.refuse(f"its input {tensor.name!r} is {kind}; it must be an activation")
        return name

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """Return the shape of an input, the batch axis left out."""
        return sample_shape(self.builder.tensor(self.operator.inputs[position]))

    def result(self) -> Quantization:
        """Return the quantization of what the operator makes."""
        return quantization_of(self.builder.tensor(self.operator.outputs[0]))

    def flatten_input(self) -> None:
        """Put a Flatten before input 0; what is added next reads it."""
        builder, source = self.builder, self.source()
        name = builder.new_name(f"{source}/flat")
        builder.nodes.append(Node("Flatten", name, (source,), name, attrs=self.attrs("Flatten", {})))
        builder.quantizations[name] = builder.quantizations[source]
        self.flattened.append(name)

    def option(self, name: str) -> int:
        """Return an option that is a whole number."""
        if name not in self.operator.options:
            raise FormatError(f"{self.where}: options of the class {self.operator.options_name!r}", 0)
        return int(self.operator.options[name])

    def add(self, op: str, attrs: dict[str, Any], *, params: dict[str, str] | None = None, inputs: int = 1) -> None:
        """Add the node, and another for a fused activation function."""
        builder, function = self.builder, None
        sources = tuple(self.flattened) or tuple(self.source(position) for position in range(inputs))
        if "activation" in self.operator.options:
            function = _function(self, self.option("activation"))
        output = builder.add_activation(self.operator.outputs[0])
        made = output if function is None else builder.new_name(f"{output}/linear")
        builder.nodes.append(Node(op, output, sources, made, params or {}, self.attrs(op, attrs)))
        if function is not None:
            name, bounds = function
            node_name = f"{output}/{name.lower()}"
            builder.nodes.append(Node(name, node_name, (made,), output, attrs=self.attrs(name, bounds)))

    def attrs(self, op: str, fields: dict[str, Any]) -> Any:
        """Build attributes, errors told with the operator they are of."""
        try:
            return make_attrs(op, fields)
        except ModelError as error:
            raise self.refuse(str(error)) from error

    def add_weight(self, rows: NDArray[np.int8], shape: tuple[int, ...], layout: str, axis: int) -> str:
        """Add the weight at input 1: int8 rows (one for each output unit) of an array of ``shape``."""
        builder, index = self.builder, self.operator.inputs[1]
        tensor, known = builder.tensor(index), builder.weights.get((index, layout))
        if known is not None:
            return known
        scales, zero_points = tensor.scales.astype(np.float32), tensor.zero_points
        if len(scales) not in {1, len(rows)} or len(zero_points) != len(scales):
            raise self.refuse(f"its weights have {len(scales)} scales; they must have 1, or {len(rows)}: {CONVERT}")
        if len(scales) > 1 and tensor.axis != axis:
            raise FormatError(f"{self.where}: scales along axis {tensor.axis}; they belong to axis {axis}", 0)
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise FormatError(f"{self.where}: a scale of its weights is not a positive number", 0)
        offset_allowed = layout == "gemm" and len(scales) == 1 and -128 <= int(zero_points[0]) < 128
        if (zero_points != 0).any() and not offset_allowed:
            raise self.refuse("its weights have a zero point other than 0; TFLite's specification has symmetric ones")
        integers = (rows.reshape(-1).astype(np.int16) + 128).astype(np.uint16)
        offsets = (zero_points + 128).astype(np.uint16)
        name = self.new_param("weight")
        builder.params[name] = Dense(shape, Linear(Bits(integers, WEIGHT_BITS), WEIGHT_BITS, scales, offsets))
        builder.weights[index, layout] = name
        return name

    def add_bias(self, weight: str) -> dict[str, str]:
        """Return the node's parameters: the weight, and the bias at input 2 if there is one."""
        builder, given = self.builder, self.operator.inputs
        if len(given) < 3 or given[2] == -1:
            return {"weight": weight}
        integers = builder.constant(given[2], INT32).reshape(-1)
        encoding = builder.params[weight]
        if len(integers) != encoding.shape[-1]:
            raise FormatError(f"{self.where}: a bias of {len(integers)} for {encoding.shape[-1]} output units", 0)
        name = self.new_param("bias")
        scale = builder.quantizations[self.source()].scale
        builder.params[name] = encode_float(real_bias(integers, scale, weight_scales(encoding)))
        builder.biases[name] = integers.astype(np.int32)
        return {"weight": weight, "bias": name}

    def new_param(self, role: str) -> str:
        """Return a name for a parameter, after the tensor that the operator makes."""
        base = f"{self.builder.tensor(self.operator.outputs[0]).name}/{role}"
        name, count = base, 1
        while name in self.builder.params:
            count += 1
            name = f"{base}:{count}"
        return name


def sample_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of an activation without its batch axis.

    Raises
    ------
    ModelError
        It has no batch axis of 1.

    """
    if len(tensor.shape) < 2 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        raise ModelError(
            f"the tensor {tensor.name!r} has the shape {tensor.shape}; activations have a batch axis of 1 and at least "
            "one axis more"
        )
    return tensor.shape[1:]


def _function(call: Call, number: int) -> tuple[str, dict[str, Any]] | None:
    """Return the operator and attributes of a fused activation function."""
    functions: dict[int, tuple[str, dict[str, Any]] | None] = {
        0: None,
        1: ("Relu", {}),
        2: ("Clip", {"min": -1.0, "max": 1.0}),
        3: ("Clip", {"min": 0.0, "max": 6.0}),
    }
    if number not in functions:
        raise call.refuse(f"a fused activation function {number}; supported are NONE, RELU, RELU_N1_TO_1 and RELU6")
    return functions[number]
