"""From the steps of an integer network to the operators of the schema, one function each: the table OPERATORS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from exporters.tflite.schema import FileOperator, FileTensor
from refcompress.encodings import integers
from refcompress.errors import ModelError
from refcompress.graph import Node, Shape
from refcompress.integer import IntegerNetwork, Quantization
from refcompress.integer.step import Step
from refcompress.ops.windows import same_pads

# Numbers of the schema's BuiltinOperator, and of its ActivationFunctionType by the bounds of a Clip.
ADD, AVERAGE_POOL, CONCATENATION, CONV, DEPTHWISE_CONV, FULLY_CONNECTED, LOGISTIC = 0, 1, 2, 3, 4, 9, 14
MAX_POOL, RELU, RELU_N1_TO_1, RELU6, RESHAPE, SOFTMAX, TANH, PAD, MEAN, QUANTIZE = (
    17,
    19,
    20,
    21,
    22,
    25,
    28,
    34,
    40,
    114,
)
NONE, FUSED_RELU = 0, 1
FUSED_CLIPS = {(-1.0, 1.0): 2, (0.0, 6.0): 3}
SAME, VALID = 0, 1


@dataclass(slots=True)
class File:
    """The tensors and operators written so far.

    Attributes
    ----------
    network
        What is written.
    shapes
        Of its activations, without the batch axis.
    tensors, operators
        Of the file.
    index
        Activation to its tensor.
    weights
        Indices of the tensors that hold weights, whose bytes may be coded.

    """

    network: IntegerNetwork
    shapes: Mapping[str, Shape]
    tensors: list[FileTensor] = field(default_factory=list)
    operators: list[FileOperator] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)

    def activation(self, name: str, shape: Shape | None = None, quantization: Quantization | None = None) -> int:
        """Add a tensor that something makes; return its index."""
        known = quantization or self.network.quantizations[name]
        whole = (1, *(self.shapes[name] if shape is None else shape))
        self.index[name] = self._add(FileTensor(name, whole, (known.scale,), (known.zero_point,)))
        return self.index[name]

    def constant(self, name: str, values: Any, scales: Sequence[float] = (), axis: int = 0) -> int:
        """Add a constant, symmetric if it has scales; return its index."""
        array = np.asarray(values)
        return self._add(FileTensor(name, array.shape, scales, [0] * len(scales), axis, array, array.dtype.name))

    def _add(self, tensor: FileTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code: int, inputs: Sequence[int], output: str, options: str = "", **fields: Any) -> None:
        """Add an operator that makes an activation of the network."""
        version = fields.pop("version", 1)
        outputs = (self.activation(output),)
        self.operators.append(FileOperator(code, tuple(inputs), outputs, options, fields, version))


def _sources(file: File, step: Step) -> list[int]:
    return [file.index[name] for name in step.node.inputs]


def _fused(file: File, step: Step) -> int:
    """Return the number of the activation function that makes the clamp of a step."""
    if step.output == step.node.output:
        return NONE
    function = next(node for node in file.network.graph.nodes if node.output == step.output)
    return _function(function, (NONE, FUSED_RELU, FUSED_CLIPS))


def _function(node: Node, numbers: tuple[int, int, Mapping[tuple[float, float], int]]) -> int:
    _none, relu, clips = numbers
    if node.op == "Relu":
        return relu
    bounds = (float(node.attrs.min), float(node.attrs.max))
    if bounds not in clips:
        raise ModelError(f"a Clip from {bounds[0]} to {bounds[1]}; TFLite clips to 0 and more, 0 to 6, or -1 to 1")
    return clips[bounds]


def _check_widths(step: Step) -> None:
    for quantization in (*step.inputs, step.result):
        if quantization.bits != 8:
            raise ModelError(f"activations of {quantization.bits} bits; a .tflite file holds int8")


def _weight(file: File, step: Step, order: tuple[int, ...], axis: int) -> tuple[int, int]:
    """Add a weight, its axes in the order of the schema, and its bias; return their indices."""
    encoding = step.params["weight"]
    rows = integers.rows_of(encoding)
    if rows.min(initial=0) < -128 or rows.max(initial=0) > 127:
        raise ModelError("weights that do not fit into int8 without a zero point; TFLite's are symmetric")
    units, inner = encoding.shape[-1], encoding.shape[:-1]
    kernel = np.moveaxis(rows.reshape(units, *inner), 0, -1).transpose(order).astype(np.int8)
    scales = integers.scales_of(encoding)
    weight = file.constant(
        f"{step.node.name}/weight", kernel, [float(s) for s in scales], axis if len(scales) > 1 else 0
    )
    file.weights.append(weight)
    if step.bias is None:
        return weight, -1
    steps = np.float32(step.inputs[0].scale) * np.broadcast_to(scales, units)
    many = [float(s) for s in (steps if len(scales) > 1 else steps[:1])]
    return weight, file.constant(f"{step.node.name}/bias", step.bias, many)


def _window(
    file: File, step: Step, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)
) -> tuple[int, dict[str, Any]]:
    """Return the tensor a window moves over, padded before it where TFLite has no such padding, and its options."""
    attrs, shape = step.attrs, file.shapes[step.node.inputs[0]]
    axes = zip(shape[:2], kernel, attrs.strides, dilations, strict=True)
    (top, bottom), (left, right) = (same_pads(*axis) for axis in axes)
    fields = {"StrideH": attrs.strides[0], "StrideW": attrs.strides[1], "Padding": VALID}
    source = file.index[step.node.inputs[0]]
    if attrs.pads == (top, left, bottom, right) and any(attrs.pads):
        return source, fields | {"Padding": SAME}
    if not any(attrs.pads):
        return source, fields
    if step.node.op != "Conv":
        raise ModelError(f"pads {attrs.pads}, which are not those of SAME; pad explicitly before it")
    return _padded(file, step.node.name, source, shape, attrs.pads, step.inputs[0]), fields


def _padded(file: File, name: str, source: int, shape: Shape, pads: Sequence[int], known: Quantization) -> int:
    top, left, bottom, right = pads
    wide = (shape[0] + top + bottom, shape[1] + left + right, shape[2])
    amounts = file.constant(f"{name}/pads", np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    made = file.activation(f"{name}/padded", wide, known)
    file.operators.append(FileOperator(PAD, (source, amounts), (made,), "PadOptions", version=2))
    return made


def _conv(file: File, step: Step) -> None:
    attrs, (kh, kw, inner, units) = step.attrs, step.params["weight"].shape
    depthwise = inner == 1 and attrs.group > 1
    order, axis = ((2, 0, 1, 3), 3) if depthwise else ((3, 0, 1, 2), 0)
    source, fields = _window(file, step, (kh, kw), attrs.dilations)
    weight, bias = _weight(file, step, order, axis)
    fields |= {"DilationHFactor": attrs.dilations[0], "DilationWFactor": attrs.dilations[1]}
    fields["FusedActivationFunction"] = _fused(file, step)
    if depthwise:
        fields["DepthMultiplier"] = units // attrs.group
    code, options = (DEPTHWISE_CONV, "DepthwiseConv2DOptions") if depthwise else (CONV, "Conv2DOptions")
    file.operator(code, (source, weight, bias), step.output, options, **fields, version=3)


def _gemm(file: File, step: Step) -> None:
    weight, bias = _weight(file, step, (1, 0), 0)
    fields = {"FusedActivationFunction": _fused(file, step), "KeepNumDims": len(file.shapes[step.output]) > 1}
    inputs = (*_sources(file, step), weight, bias)
    file.operator(FULLY_CONNECTED, inputs, step.output, "FullyConnectedOptions", **fields, version=5)


def _pool(code: int) -> Callable[[File, Step], None]:
    def write(file: File, step: Step) -> None:
        kernel = step.attrs.kernel_shape
        source, fields = _window(file, step, kernel)
        fields |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1], "FusedActivationFunction": _fused(file, step)}
        file.operator(code, (source,), step.output, "Pool2DOptions", **fields, version=2)

    return write


def _add(file: File, step: Step) -> None:
    if len(step.node.inputs) != 2:
        raise ModelError(f"a sum of {len(step.node.inputs)} inputs; TFLite adds two")
    function = _fused(file, step)
    file.operator(ADD, _sources(file, step), step.output, "AddOptions", FusedActivationFunction=function, version=2)


def _concat(file: File, step: Step) -> None:
    fields = {"Axis": step.attrs.axis, "FusedActivationFunction": _fused(file, step)}
    file.operator(CONCATENATION, _sources(file, step), step.output, "ConcatenationOptions", **fields, version=2)


def _softmax(file: File, step: Step) -> None:
    file.operator(SOFTMAX, _sources(file, step), step.output, "SoftmaxOptions", Beta=1.0, version=2)


def _reshape(file: File, step: Step) -> None:
    shape = file.constant(f"{step.node.name}/shape", np.array([1, *file.shapes[step.output]], np.int32))
    file.operator(RESHAPE, (*_sources(file, step), shape), step.output)


def _pad(file: File, step: Step) -> None:
    top, left, bottom, right = step.attrs.pads
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    amounts = file.constant(f"{step.node.name}/pads", pads)
    file.operator(PAD, (*_sources(file, step), amounts), step.output, "PadOptions", version=2)


def _mean(file: File, step: Step) -> None:
    axes = file.constant(f"{step.node.name}/axes", np.array([1, 2], np.int32))
    keep = bool(step.attrs.keepdims)
    file.operator(MEAN, (*_sources(file, step), axes), step.output, "ReducerOptions", KeepDims=keep, version=2)


def _relu(file: File, step: Step) -> None:
    file.operator(RELU, _sources(file, step), step.output, version=2)


def _clip(file: File, step: Step) -> None:
    if (step.low, step.high) == (step.result.low, step.result.high):
        file.operator(QUANTIZE, _sources(file, step), step.output, version=2)
        return
    if step.inputs[0] != step.result:
        raise ModelError(
            f"it clips and rescales at once, from {step.inputs[0]} to {step.result}; TFLite does one of them"
        )
    number = _function(step.node, (NONE, RELU, {(-1.0, 1.0): RELU_N1_TO_1, (0.0, 6.0): RELU6}))
    file.operator(number, _sources(file, step), step.output, version=2)


def _unary(code: int) -> Callable[[File, Step], None]:
    def write(file: File, step: Step) -> None:
        file.operator(code, _sources(file, step), step.output)

    return write


def add_step(file: File, step: Step) -> None:
    """Add the operators of a step.

    Raises
    ------
    ModelError
        TFLite has none for it; the message names the node.

    """
    if step.node.op not in OPERATORS:
        raise ModelError(
            f"node {step.node.name!r}: TFLite has no operator for {step.node.op}; it has {', '.join(OPERATORS)}"
        )
    try:
        _check_widths(step)
        OPERATORS[step.node.op](file, step)
    except ModelError as error:
        raise ModelError(f"node {step.node.name!r} ({step.node.op}): {error}") from error


OPERATORS: Mapping[str, Callable[[File, Step], None]] = MappingProxyType(
    {
        "Add": _add,
        "AveragePool": _pool(AVERAGE_POOL),
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Dropout": _reshape,
        "Flatten": _reshape,
        "Gemm": _gemm,
        "GlobalAveragePool": _mean,
        "MaxPool": _pool(MAX_POOL),
        "Pad": _pad,
        "Relu": _relu,
        "Reshape": _reshape,
        "Sigmoid": _unary(LOGISTIC),
        "Softmax": _softmax,
        "Tanh": _unary(TANH),
    }
)
