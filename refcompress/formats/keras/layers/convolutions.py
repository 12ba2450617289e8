"""Keras's convolutions: plain, depthwise, separable and transposed, of sequences and of images."""

from __future__ import annotations

from refcompress.formats.keras.call import Array, Call
from refcompress.formats.keras.config import choice, flag, integer, refuse
from refcompress.formats.keras.layers.activations import fused
from refcompress.formats.keras.layers.windows import Pair, enter, leave, pads, window


def conv1d(call: Call) -> str:
    """Layer Conv1D."""
    return _convolution(call, 1)


def conv2d(call: Call) -> str:
    """Layer Conv2D: groups of input channels see filters of their own."""
    return _convolution(call, 2)


def depthwise_conv1d(call: Call) -> str:
    """Layer DepthwiseConv1D."""
    return _whole_depthwise(call, 1)


def depthwise_conv2d(call: Call) -> str:
    """Layer DepthwiseConv2D: a convolution with one group for each input channel."""
    return _whole_depthwise(call, 2)


def separable_conv1d(call: Call) -> str:
    """Layer SeparableConv1D."""
    return _separable(call, 1)


def separable_conv2d(call: Call) -> str:
    """Layer SeparableConv2D: a depthwise convolution, then one of 1 × 1 with the bias."""
    return _separable(call, 2)


def conv1d_transpose(call: Call) -> str:
    """Layer Conv1DTranspose."""
    return _transposed(call, 1)


def conv2d_transpose(call: Call) -> str:
    """Layer Conv2DTranspose: the gradient of a convolution, as large as its padding says."""
    return _transposed(call, 2)


def _convolution(call: Call, rank: int) -> str:
    filters, groups = integer(call.layer, "filters"), integer(call.layer, "groups", 1)
    image = enter(call, rank)
    channels = image.shape[2]
    if channels % groups or filters % groups:
        raise refuse(call.layer, "groups", f"a divisor of both {channels} channels and {filters} filters")
    kernel = window(call, "kernel_size", rank)
    shape = (*kernel, channels // groups, filters)
    weight = image.param("kernel", ["kernel"], _stored(shape, rank), lambda array: array.reshape(shape))
    params = {"weight": weight, **_bias(image, filters)}
    return leave(call, fused(image, _conv(image, rank, kernel, groups, params)), rank)


def _whole_depthwise(call: Call, rank: int) -> str:
    image = enter(call, rank)
    return leave(call, fused(image, _depthwise(image, rank, bias=True)), rank)


def _separable(call: Call, rank: int) -> str:
    filters = integer(call.layer, "filters")
    image = enter(call, rank)
    inner = _depthwise(image.then(*image.inputs, part="depthwise"), rank, bias=False)
    point = image.then(inner, part="pointwise")
    shape = (1, 1, point.shape[2], filters)
    weight = point.param("kernel", ["pointwise_kernel"], _stored(shape, rank), lambda array: array.reshape(shape))
    attrs = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    made = point.emit("Conv", attrs, {"weight": weight, **_bias(point, filters)})
    return leave(call, fused(image, made), rank)


def _conv(call: Call, rank: int, kernel: Pair, groups: int, params: dict[str, str]) -> str:
    strides, dilations = window(call, "strides", rank, 1), window(call, "dilation_rate", rank, 1)
    attrs = {"strides": strides, "dilations": dilations, "group": groups}
    return call.emit("Conv", {**attrs, "pads": pads(call, kernel, strides, dilations)}, params)


def _depthwise(call: Call, rank: int, *, bias: bool) -> str:
    channels, multiplier = call.shape[2], integer(call.layer, "depth_multiplier", 1)
    if integer(call.layer, "groups", 1) != 1:  # inherited from Conv2D by early versions, and of no use
        raise refuse(call.layer, "groups", "1 for a depthwise convolution")
    kernel = window(call, "kernel_size", rank)

    def to_groups(array: Array) -> Array:
        return array.reshape(*kernel, 1, channels * multiplier)

    shape = _stored((*kernel, channels, multiplier), rank)
    weight = call.param("kernel", ["depthwise_kernel", "kernel"], shape, to_groups)
    # the two halves of a separable convolution share one bias, which the second adds
    params = {"weight": weight, **(_bias(call, channels * multiplier) if bias else {})}
    return _conv(call, rank, kernel, channels, params)


def _transposed(call: Call, rank: int) -> str:
    filters = integer(call.layer, "filters")
    if integer(call.layer, "groups", 1) != 1:
        raise refuse(call.layer, "groups", "1 for a transposed convolution")
    image = enter(call, rank)
    channels = image.shape[2]
    kernel = window(call, "kernel_size", rank)
    strides, dilations = window(call, "strides", rank, 1), window(call, "dilation_rate", rank, 1)
    axes = [_cropped(image, axis, kernel, strides, dilations, rank) for axis in (0, 1)]

    def to_ours(array: Array) -> Array:
        return array.reshape(*kernel, filters, channels).transpose(0, 1, 3, 2)

    weight = image.param("kernel", ["kernel"], _stored((*kernel, filters, channels), rank), to_ours)
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "group": 1,
        "pads": (axes[0][0], axes[1][0], axes[0][1], axes[1][1]),
        "output_padding": (axes[0][2], axes[1][2]),
    }
    made = image.emit("ConvTranspose", attrs, {"weight": weight, **_bias(image, filters)})
    return leave(call, fused(image, made), rank)


def _cropped(call: Call, axis: int, kernel: Pair, strides: Pair, dilations: Pair, rank: int) -> tuple[int, int, int]:
    """Return what is cut off before and after an axis of a transposed convolution, or else added after it.

    The output is as long as an input of which a convolution of the same options makes the layer's own input.
    """
    if rank == 1 and axis == 0:
        return 0, 0, 0
    same = choice(call.layer, "padding", ("valid", "same"), "valid") == "same"
    size, stride, reach = call.shape[axis], strides[axis], dilations[axis] * (kernel[axis] - 1) + 1
    whole = (size - 1) * stride + reach
    if call.layer.config.get("output_padding") is not None:
        extra = window(call, "output_padding", rank, least=0)[axis]
        if extra >= stride:
            raise refuse(call.layer, "output_padding", "less than the stride")
        length = (size - 1) * stride + (reach % 2 if same else reach) + extra
    else:
        length = size * stride if same else max(whole, size * stride)
    before = max(whole - length, 0) // 2
    after = whole - length - before
    return before, max(after, 0), max(-after, 0)


def _bias(call: Call, size: int) -> dict[str, str]:
    return {"bias": call.param("bias", ["bias"], (size,))} if flag(call.layer, "use_bias", default=True) else {}


def _stored(shape: tuple[int, int, int, int], rank: int) -> tuple[int, ...]:
    """Return a kernel's shape in the file: that of a sequence has no height."""
    return shape if rank == 2 else shape[1:]
