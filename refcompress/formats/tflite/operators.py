"""The operators of ``.tflite`` files that are read, one function each: the table OPERATORS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from refcompress.errors import FormatError
from refcompress.formats.tflite.builder import INT8, INT32, INT64, Call, sample_shape
from refcompress.ops.windows import Pads, same_pads

PADDING_SAME, PADDING_VALID = 0, 1


@dataclass(frozen=True, slots=True)
class Row:
    """How one operator is read.

    Attributes
    ----------
    name
        In the schema.
    newest
        The last version whose int8 form is known.
    read
        Adds its nodes.

    """

    name: str
    newest: int
    read: Callable[[Call], None]


def _pads(call: Call, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> dict[str, tuple[int, ...]]:
    """Return strides and explicit pads of a window over the planes of input 0."""
    shape, strides = call.shape(), (call.option("stride_h"), call.option("stride_w"))
    if len(shape) != 3:
        raise call.refuse(f"an input of shape {shape}; it must be (height, width, channels)")
    if min(*strides, *dilations, *kernel) < 1:
        raise FormatError(f"{call.where}: strides {strides}, dilations {dilations}, a window of {kernel}", 0)
    pads: Pads = (0, 0, 0, 0)
    if call.option("padding") == PADDING_SAME:
        sizes = zip(shape[:2], kernel, strides, dilations, strict=True)
        (top, bottom), (left, right) = (same_pads(*axis) for axis in sizes)
        pads = (top, left, bottom, right)
    elif call.option("padding") != PADDING_VALID:
        raise FormatError(f"{call.where}: padding {call.option('padding')}; it must be SAME or VALID", 0)
    return {"strides": strides, "pads": pads}


def _conv(call: Call) -> None:
    call.need(2, 3)
    kernel = call.builder.constant(call.operator.inputs[1], INT8)
    if kernel.ndim != 4 or min(kernel.shape) < 1:
        raise FormatError(f"{call.where}: a kernel of shape {kernel.shape}", 0)
    cout, kh, kw, cin = kernel.shape
    dilations = (call.option("dilation_h"), call.option("dilation_w"))
    window = _pads(call, (kh, kw), dilations)
    if call.shape()[2] % cin:
        raise FormatError(f"{call.where}: {call.shape()[2]} channels and a kernel of {cin}", 0)
    weight = call.add_weight(kernel.reshape(cout, -1), (kh, kw, cin, cout), "conv", 0)
    attrs = {**window, "dilations": dilations, "group": call.shape()[2] // cin}
    call.add("Conv", attrs, params=call.add_bias(weight))


def _depthwise_conv(call: Call) -> None:
    call.need(2, 3)
    kernel = call.builder.constant(call.operator.inputs[1], INT8)
    if kernel.ndim != 4 or kernel.shape[0] != 1 or min(kernel.shape) < 1:
        raise FormatError(f"{call.where}: a depthwise kernel of shape {kernel.shape}", 0)
    _, kh, kw, cout = kernel.shape
    dilations = (call.option("dilation_h"), call.option("dilation_w"))
    window = _pads(call, (kh, kw), dilations)
    channels = call.shape()[2]
    if cout != channels * call.option("multiplier"):
        raise FormatError(f"{call.where}: {cout} kernels for {channels} channels", 0)
    rows = np.ascontiguousarray(kernel.reshape(kh * kw, cout).T)
    weight = call.add_weight(rows, (kh, kw, 1, cout), "depthwise", 3)
    attrs = {**window, "dilations": dilations, "group": channels}
    call.add("Conv", attrs, params=call.add_bias(weight))


def _fully_connected(call: Call) -> None:
    call.need(2, 3)
    matrix = call.builder.constant(call.operator.inputs[1], INT8)
    if matrix.ndim != 2 or min(matrix.shape) < 1 or call.option("format") != 0:
        raise call.refuse(f"weights of shape {matrix.shape} in format {call.option('format')}; plain matrices are read")
    flat = len(call.shape()) > 1 and not call.option("keep_axes")
    if flat and int(np.prod(call.shape())) != matrix.shape[1]:
        raise call.refuse(f"an input of shape {call.shape()} for {matrix.shape[1]} columns; the batch axis must stay")
    weight = call.add_weight(matrix, matrix.shape[::-1], "gemm", 0)
    params = call.add_bias(weight)
    if flat:
        call.flatten_input()
    call.add("Gemm", {}, params=params)


def _pool(op: str) -> Callable[[Call], None]:
    def read(call: Call) -> None:
        call.need(1, 1)
        kernel = (call.option("filter_h"), call.option("filter_w"))
        extra = {"count_include_pad": False} if op == "AveragePool" else {}
        call.add(op, {"kernel_shape": kernel, **_pads(call, kernel), **extra})

    return read


def _add(call: Call) -> None:
    call.need(2, 2)
    if call.shape(0) != call.shape(1):
        raise call.refuse(f"inputs of shapes {call.shape(0)} and {call.shape(1)}; sums of equal shapes are read")
    call.add("Add", {}, inputs=2)


def _concatenation(call: Call) -> None:
    call.need(1, 1 << 10)
    axis, axes = call.option("axis"), len(call.shape()) + 1
    if len(call.operator.inputs) == 1:
        call.add("Dropout", {"ratio": 0.0})
        return
    call.add("Concat", {"axis": axis + axes if axis < 0 else axis}, inputs=len(call.operator.inputs))


def _softmax(call: Call) -> None:
    call.need(1, 1)
    beta = call.operator.options.get("beta")
    if beta != 1:
        raise call.refuse(f"beta {beta}; it must be 1")
    call.add("Softmax", {})


def _reshape(call: Call) -> None:
    call.need(1, 2)
    shape = sample_shape(call.builder.tensor(call.operator.outputs[0]))
    call.add("Reshape", {"shape": shape})


def _pad(call: Call) -> None:
    call.need(2, 2)
    index = call.operator.inputs[1]
    kind = INT64 if call.builder.tensor(index).type == INT64 else INT32
    pads = call.builder.constant(index, kind)
    if pads.shape != (4, 2) or pads[0].any() or pads[3].any():
        raise call.refuse(f"padding {pads.tolist()}; planes are padded, neither batches nor channels")
    if pads.min() < 0 or pads.max() > np.iinfo(np.int32).max:
        raise FormatError(f"{call.where}: padding {pads.tolist()}", 0)
    call.add("Pad", {"pads": tuple(int(pads[axis, side]) for side in (0, 1) for axis in (1, 2))})


def _mean(call: Call) -> None:
    call.need(2, 2)
    axes = call.builder.constant(call.operator.inputs[1], INT32).reshape(-1)
    if len(call.shape()) != 3 or {int(axis) % 4 for axis in axes} != {1, 2}:
        raise call.refuse(f"the mean of an input {call.shape()} over the axes {axes.tolist()}; planes are averaged")
    call.add("GlobalAveragePool", {"keepdims": bool(call.option("keep_axes"))})


def _requantize(call: Call) -> None:
    call.need(1, 1)
    result = call.result()
    low, high = ((bound - result.zero_point) * result.scale for bound in (result.low, result.high))
    call.add("Clip", {"min": low, "max": high})


def _relu(call: Call) -> None:
    call.need(1, 1)
    call.add("Relu", {})


def _clip(low: float, high: float) -> Callable[[Call], None]:
    def read(call: Call) -> None:
        call.need(1, 1)
        source, result = call.builder.quantizations[call.source()], call.result()
        if source != result:
            raise call.refuse(f"from {source} to {result}; runtimes differ on whether it rescales: they must be equal")
        call.add("Clip", {"min": low, "max": high})

    return read


def _unary(op: str) -> Callable[[Call], None]:
    def read(call: Call) -> None:
        call.need(1, 1)
        call.add(op, {})

    return read


# Number of the schema's BuiltinOperator to how it is read.
OPERATORS: Mapping[int, Row] = MappingProxyType(
    {
        0: Row("ADD", 5, _add),
        1: Row("AVERAGE_POOL_2D", 3, _pool("AveragePool")),
        2: Row("CONCATENATION", 4, _concatenation),
        3: Row("CONV_2D", 8, _conv),
        4: Row("DEPTHWISE_CONV_2D", 7, _depthwise_conv),
        9: Row("FULLY_CONNECTED", 14, _fully_connected),
        14: Row("LOGISTIC", 3, _unary("Sigmoid")),
        17: Row("MAX_POOL_2D", 3, _pool("MaxPool")),
        19: Row("RELU", 3, _relu),
        20: Row("RELU_N1_TO_1", 3, _clip(-1, 1)),
        21: Row("RELU6", 3, _clip(0, 6)),
        22: Row("RESHAPE", 2, _reshape),
        25: Row("SOFTMAX", 3, _softmax),
        28: Row("TANH", 3, _unary("Tanh")),
        34: Row("PAD", 4, _pad),
        40: Row("MEAN", 3, _mean),
        43: Row("SQUEEZE", 2, _reshape),
        114: Row("QUANTIZE", 4, _requantize),
    }
)
QUANTIZE, DEQUANTIZE = 114, 6
