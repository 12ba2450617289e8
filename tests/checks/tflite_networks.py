"""Random single-operator ``.tflite`` files: what each operator is tried on, here and in other runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from checks.tflite_files import FileOperator, FileTensor, activation, constant, write

ADD, AVERAGE_POOL, CONCATENATION, CONV, DEPTHWISE, GEMM, LOGISTIC = 0, 1, 2, 3, 4, 9, 14
MAX_POOL, RELU, RELU6, RESHAPE, SOFTMAX, TANH, PAD, MEAN, QUANTIZE = 17, 19, 21, 22, 25, 28, 34, 40, 114

Generator = np.random.Generator


def _scale(rng: Generator, least: float = 0.003, most: float = 0.3) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(least), np.log(most)))))


def _zero_point(rng: Generator) -> int:
    return int(rng.choice([-128, 127, int(rng.integers(-128, 128))]))


def _source(rng: Generator, shape: tuple[int, ...], **scales: float) -> FileTensor:
    return activation("x", (1, *shape), _scale(rng, **scales), _zero_point(rng))


def _weights(
    rng: Generator, shape: tuple[int, ...], axis: int, x: FileTensor, *, per_channel: bool = True
) -> tuple[FileTensor, FileTensor, float]:
    """Return kernel, bias, and a scale of which outputs use most of the range."""
    units, columns = shape[axis], int(np.prod(shape)) // shape[axis]
    scales = [_scale(rng, 0.001, 0.05) for _ in range(units if per_channel else 1)]
    kernel = constant("w", rng.integers(-127, 128, shape).astype(np.int8), scales, axis if per_channel else 0)
    steps = [x.scales[0] * scale for scale in (scales if per_channel else scales * units)]
    bias = constant("b", rng.integers(-(2**14), 2**14, units).astype(np.int32), steps)
    return kernel, bias, float(np.float32(np.mean(steps) * 73 * np.sqrt(columns) * 100 / 128))


def conv(rng: Generator) -> bytes:
    """Return a convolution of random geometry."""
    kh, kw, cin, cout = (int(n) for n in rng.integers(1, 5, 4))
    x = _source(rng, (int(rng.integers(6, 12)), int(rng.integers(6, 12)), cin))
    kernel, bias, scale = _weights(rng, (cout, kh, kw, cin), 0, x)
    return _windowed(rng, CONV, "Conv2DOptions", x, (kh, kw), cout, [kernel, bias], scale)


def depthwise(rng: Generator) -> bytes:
    """Return a depthwise convolution of random geometry."""
    kh, kw, cin, times = (int(n) for n in rng.integers(1, 5, 4))
    x = _source(rng, (int(rng.integers(6, 12)), int(rng.integers(6, 12)), cin))
    kernel, bias, scale = _weights(rng, (1, kh, kw, cin * times), 3, x)
    extra = {"DepthMultiplier": times}
    return _windowed(
        rng, DEPTHWISE, "DepthwiseConv2DOptions", x, (kh, kw), cin * times, [kernel, bias], scale, extra=extra
    )


def pool(code: int) -> Callable[[Generator], bytes]:
    """Return a maker of random pools."""

    def make(rng: Generator) -> bytes:
        kh, kw, channels = (int(n) for n in rng.integers(1, 5, 3))
        x = _source(rng, (int(rng.integers(6, 12)), int(rng.integers(6, 12)), channels))
        extra = {"FilterHeight": kh, "FilterWidth": kw}
        return _windowed(rng, code, "Pool2DOptions", x, (kh, kw), channels, [], None, extra=extra)

    return make


def _windowed(
    rng: Generator,
    code: int,
    options: str,
    x: FileTensor,
    kernel: tuple[int, int],
    channels: int,
    constants: list[FileTensor],
    scale: float | None,
    *,
    extra: dict[str, Any] | None = None,
) -> bytes:
    strides, same = [int(n) for n in rng.integers(1, 4, 2)], bool(rng.integers(2))
    dilations = [1, 1]
    if code == CONV and rng.integers(2):
        strides, dilations = [1, 1], [int(n) for n in rng.integers(1, 3, 2)]
    plane = []
    for size, taps, stride, dilation in zip(x.shape[1:3], kernel, strides, dilations, strict=True):
        plane.append(-(-size // stride) if same else (size - dilation * (taps - 1) - 1) // stride + 1)
    if min(plane) < 1:
        same, plane = True, [-(-size // stride) for size, stride in zip(x.shape[1:3], strides, strict=True)]
    result = (x.scales[0], x.zero_points[0]) if scale is None else (scale, _zero_point(rng))
    y = activation("y", (1, *plane, channels), *result)
    fields = {"Padding": 0 if same else 1, "StrideH": strides[0], "StrideW": strides[1], **(extra or {})}
    fields["FusedActivationFunction"] = int(rng.integers(4))
    if code not in {AVERAGE_POOL, MAX_POOL}:
        fields |= {"DilationHFactor": dilations[0], "DilationWFactor": dilations[1]}
    inputs = (0, *range(2, 2 + len(constants)))
    return write([x, y, *constants], [FileOperator(code, inputs, (1,), options, fields, version=3 if constants else 2)])


def gemm(rng: Generator) -> bytes:
    """Return a matrix product, with one scale or one for each unit."""
    columns, units = int(rng.integers(1, 200)), int(rng.integers(1, 20))
    x, per_channel = _source(rng, (columns,)), bool(rng.integers(2))
    kernel, bias, scale = _weights(rng, (units, columns), 0, x, per_channel=per_channel)
    y = activation("y", (1, units), scale, _zero_point(rng))
    inputs = (0, 2, 3) if rng.integers(4) else (0, 2, -1)
    fields = {"FusedActivationFunction": int(rng.integers(4))}
    operator = FileOperator(GEMM, inputs, (1,), "FullyConnectedOptions", fields, version=4)
    return write([x, y, kernel, bias], [operator])


def add(rng: Generator) -> bytes:
    """Return a sum of two inputs of different scales."""
    a, b = (activation(name, (1, 50), _scale(rng), _zero_point(rng)) for name in "ab")
    scale = float(np.float32((a.scales[0] + b.scales[0]) * rng.uniform(0.5, 1.2)))
    y = activation("y", (1, 50), scale, _zero_point(rng))
    fields = {"FusedActivationFunction": int(rng.integers(4))}
    return write([a, y, b], [FileOperator(ADD, (0, 2), (1,), "AddOptions", fields, version=2)], inputs=(0, 2))


def softmax(rng: Generator) -> bytes:
    """Return a softmax over scales from flat to one-hot."""
    shape = (1, int(rng.integers(1, 40)))
    x = activation("x", shape, _scale(rng, 0.0005, 2.0), _zero_point(rng))
    y = activation("y", shape, 1 / 256, -128)
    return write([x, y], [FileOperator(SOFTMAX, (0,), (1,), "SoftmaxOptions", {"Beta": 1.0}, version=2)])


def mean(rng: Generator) -> bytes:
    """Return the mean of planes."""
    x = _source(rng, tuple(int(n) for n in rng.integers(1, 13, 3)))
    keep, axes = bool(rng.integers(2)), np.array([1, 2], np.int32)
    channels = x.shape[3]
    scale = float(np.float32(x.scales[0] * rng.uniform(0.1, 1.0)))
    y = activation("y", (1, 1, 1, channels) if keep else (1, channels), scale, _zero_point(rng))
    operator = FileOperator(MEAN, (0, 2), (1,), "ReducerOptions", {"KeepDims": keep}, version=2)
    return write([x, y, constant("axes", axes)], [operator])


def function(code: int, scale: float, zero_point: int) -> Callable[[Generator], bytes]:
    """Return a maker of Sigmoid or Tanh."""

    def make(rng: Generator) -> bytes:
        x = activation("x", (1, 256), _scale(rng, 0.001, 0.5), _zero_point(rng))
        y = activation("y", (1, 256), scale, zero_point)
        return write([x, y], [FileOperator(code, (0,), (1,))])

    return make


def rescale(code: int, version: int) -> Callable[[Generator], bytes]:
    """Return a maker of QUANTIZE or RELU from one scale to another."""

    def make(rng: Generator) -> bytes:
        x = activation("x", (1, 256), _scale(rng), _zero_point(rng))
        scale = float(np.float32(x.scales[0] * rng.uniform(0.3, 3)))
        y = activation("y", (1, 256), scale, _zero_point(rng))
        return write([x, y], [FileOperator(code, (0,), (1,), version=version)])

    return make


def relu6(rng: Generator) -> bytes:
    """Return a ReLU6 of its own."""
    quantization = (_scale(rng), _zero_point(rng))
    tensors = [activation(name, (1, 256), *quantization) for name in "xy"]
    return write(tensors, [FileOperator(RELU6, (0,), (1,), version=2)])


def pad(rng: Generator) -> bytes:
    """Return padding of planes."""
    quantization, shape = (_scale(rng), _zero_point(rng)), rng.integers(1, 5, 3)
    pads = np.zeros((4, 2), np.int32)
    pads[1:3] = rng.integers(0, 3, (2, 2))
    wider = (1, *(int(n) for n in shape + pads[1:].sum(1)))
    tensors = [activation("x", (1, *(int(n) for n in shape)), *quantization), activation("y", wider, *quantization)]
    return write([*tensors, constant("pads", pads)], [FileOperator(PAD, (0, 2), (1,), "PadOptions", version=2)])


def concatenation(rng: Generator) -> bytes:
    """Return a concatenation of channels."""
    quantization = (_scale(rng), _zero_point(rng))
    a, b = (activation(name, (1, 3, 4, int(rng.integers(1, 5))), *quantization) for name in "ab")
    y = activation("y", (1, 3, 4, a.shape[3] + b.shape[3]), *quantization)
    operator = FileOperator(CONCATENATION, (0, 2), (1,), "ConcatenationOptions", {"Axis": 3}, version=2)
    return write([a, y, b], [operator], inputs=(0, 2))


def reshape(rng: Generator) -> bytes:
    """Return a reshape from planes to a line."""
    quantization, shape = (_scale(rng), _zero_point(rng)), [int(n) for n in rng.integers(1, 5, 3)]
    size = int(np.prod(shape))
    x, y = activation("x", (1, *shape), *quantization), activation("y", (1, size), *quantization)
    return write([x, y, constant("to", np.array([1, size], np.int32))], [FileOperator(RESHAPE, (0, 2), (1,))])


MAKERS: dict[str, Callable[[Generator], bytes]] = {
    "add": add,
    "average_pool": pool(AVERAGE_POOL),
    "concatenation": concatenation,
    "conv": conv,
    "depthwise": depthwise,
    "gemm": gemm,
    "logistic": function(LOGISTIC, 1 / 256, -128),
    "max_pool": pool(MAX_POOL),
    "mean": mean,
    "pad": pad,
    "quantize": rescale(QUANTIZE, 2),
    "relu": rescale(RELU, 2),
    "relu6": relu6,
    "reshape": reshape,
    "softmax": softmax,
    "tanh": function(TANH, 1 / 128, 0),
}
