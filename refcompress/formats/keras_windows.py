"""Keras's layers that slide a window over images: convolutions, pooling, and padding."""

from __future__ import annotations

from refcompress.errors import ModelError
from refcompress.formats.keras_activations import fused
from refcompress.formats.keras_call import Array, Call
from refcompress.formats.keras_config import channels_last, flag, integer, pair, refuse
from refcompress.ops.windows import same_pads

Pair = tuple[int, int]


def conv2d(call: Call) -> str:
    """Layer Conv2D: groups of input channels see filters of their own."""
    _, _, channels = _image(call)
    kernel, filters = pair(call.layer, "kernel_size"), integer(call.layer, "filters")
    groups = integer(call.layer, "groups", 1)
    if channels % groups or filters % groups:
        raise refuse(call.layer, "groups", f"a divisor of both {channels} channels and {filters} filters")
    weight = call.param("kernel", ["kernel"], (*kernel, channels // groups, filters))
    return fused(call, _conv(call, kernel, weight, filters, groups))


def depthwise_conv2d(call: Call) -> str:
    """Layer DepthwiseConv2D: a convolution with one group for each input channel."""
    return fused(call, _depthwise(call))


def separable_conv2d(call: Call) -> str:
    """Layer SeparableConv2D: a depthwise convolution, then one of 1 × 1 with the bias."""
    filters = integer(call.layer, "filters")
    inner = _depthwise(call.then(call.inputs[0], "depthwise"))
    call = call.then(inner, "pointwise")
    shape = (1, 1, call.shape[2], filters)
    weight = call.param("kernel", ["pointwise_kernel"], shape)
    attrs = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    return fused(call, call.emit("Conv", attrs, {"weight": weight, **_bias(call, filters)}))


def max_pooling2d(call: Call) -> str:
    """Layer MaxPooling2D."""
    kernel, strides, pads = _pool(call)
    return call.emit("MaxPool", {"kernel_shape": kernel, "strides": strides, "pads": pads})


def average_pooling2d(call: Call) -> str:
    """Layer AveragePooling2D; with SAME padding, the mean is over the pixels of the image only."""
    kernel, strides, pads = _pool(call)
    attrs = {"kernel_shape": kernel, "strides": strides, "pads": pads, "count_include_pad": False}
    return call.emit("AveragePool", attrs)


def global_average_pooling2d(call: Call) -> str:
    """Layer GlobalAveragePooling2D."""
    _image(call)
    return call.emit("GlobalAveragePool", {"keepdims": flag(call.layer, "keepdims", default=False)})


def global_max_pooling2d(call: Call) -> str:
    """Layer GlobalMaxPooling2D."""
    _image(call)
    return call.emit("GlobalMaxPool", {"keepdims": flag(call.layer, "keepdims", default=False)})


def zero_padding2d(call: Call) -> str:
    """Layer ZeroPadding2D: one number, (height, width), or ((top, bottom), (left, right))."""
    _image(call)
    value = call.layer.config.get("padding")
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, list) for item in value):
        (top, bottom), (left, right) = (_two(call, item) for item in value)
    else:
        top, left = bottom, right = pair(call.layer, "padding", least=0)
    return call.emit("Pad", {"pads": (top, left, bottom, right)})


def _two(call: Call, value: list[object]) -> Pair:
    first, *rest = value or [None]
    if len(rest) == 1 and isinstance(first, int) and isinstance(rest[0], int) and first >= 0 and rest[0] >= 0:
        return first, rest[0]
    raise refuse(
        call.layer,
        "padding",
        "integers of at least 0: one, (height, width) or ((top, bottom), (left, right))",
    )


def _image(call: Call) -> tuple[int, int, int]:
    channels_last(call.layer)
    if len(call.shape) != 3:
        raise ModelError(
            f"{call.layer}: its input has the shape {call.shape}; allowed is (height, width, channels); "
            "the architecture does not fit together, save the model again"
        )
    height, width, channels = call.shape
    return height, width, channels


def _conv(call: Call, kernel: Pair, weight: str, channels: int, groups: int) -> str:
    strides, dilations = pair(call.layer, "strides", 1), pair(call.layer, "dilation_rate", 1)
    pads = _pads(call, kernel, strides, dilations)
    attrs = {"strides": strides, "pads": pads, "dilations": dilations, "group": groups}
    # the two halves of a SeparableConv2D share one bias, which the second adds
    bias = {} if call.part else _bias(call, channels)
    return call.emit("Conv", attrs, {"weight": weight, **bias})


def _depthwise(call: Call) -> str:
    _, _, channels = _image(call)
    kernel, multiplier = pair(call.layer, "kernel_size"), integer(call.layer, "depth_multiplier", 1)
    if integer(call.layer, "groups", 1) != 1:  # inherited from Conv2D by early versions, and of no use
        raise refuse(call.layer, "groups", "1 for a depthwise convolution")

    def to_groups(array: Array) -> Array:
        return array.reshape(*kernel, 1, channels * multiplier)

    weight = call.param("kernel", ["depthwise_kernel", "kernel"], (*kernel, channels, multiplier), to_groups)
    return _conv(call, kernel, weight, channels * multiplier, channels)


def _bias(call: Call, size: int) -> dict[str, str]:
    return {"bias": call.param("bias", ["bias"], (size,))} if flag(call.layer, "use_bias", default=True) else {}


def _pool(call: Call) -> tuple[Pair, Pair, tuple[int, int, int, int]]:
    _image(call)
    kernel = pair(call.layer, "pool_size", 2)
    strides = kernel if call.layer.config.get("strides") is None else pair(call.layer, "strides")
    return kernel, strides, _pads(call, kernel, strides, (1, 1))


def _pads(call: Call, kernel: Pair, strides: Pair, dilations: Pair) -> tuple[int, int, int, int]:
    padding = call.layer.config.get("padding", "valid")
    if padding == "valid":
        return 0, 0, 0, 0
    if padding != "same":
        raise refuse(call.layer, "padding", "'valid' or 'same'")
    height, width = call.shape[:2]
    top, bottom = same_pads(height, kernel[0], strides[0], dilations[0])
    left, right = same_pads(width, kernel[1], strides[1], dilations[1])
    return top, left, bottom, right
