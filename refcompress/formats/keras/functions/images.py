"""Functions in the place of layers that take images: poolings, sizes, blocks."""

from __future__ import annotations

from typing import Any

from refcompress.formats.keras.call import Tensor
from refcompress.formats.keras.config import shown
from refcompress.formats.keras.functions.arithmetic import Build
from refcompress.formats.keras.functions.operands import Function
from refcompress.formats.keras.layers.shapes import resized
from refcompress.ops.windows import same_pads


def blocks(op: str) -> Build:
    """Return what builds depth_to_space or space_to_depth."""

    def build(function: Function) -> str:
        function.check("block_size", "data_format")
        _channels_last(function)
        size = (function.integers("block_size") or [0])[0]
        return function.on().emit(op, {"blocksize": size, "mode": "DCR"})

    return build


def pool(op: str) -> Build:
    """Return what builds a pooling of images."""

    def build(function: Function) -> str:
        function.check("pool_size", "ksize", "strides", "padding", "data_format", "input")
        _channels_last(function)
        name = function.tensor()
        shape = function.call.builder.shapes[name]
        kernel = _plane(function, "pool_size", "ksize")
        given = function.option("strides") is not None
        strides = _plane(function, "strides") if given else kernel
        padding = str(function.option("padding", default="valid")).lower()
        pads = (0, 0, 0, 0)
        if padding == "same" and len(shape) == 3:
            (top, bottom), (left, right) = (same_pads(shape[i], kernel[i], strides[i]) for i in (0, 1))
            pads = (top, left, bottom, right)
        elif padding != "valid":
            raise function.refuse(f"has the padding {padding[:20]!r}; allowed is valid or same")
        attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        if op == "AveragePool":
            attrs["count_include_pad"] = False
        return function.on(name).emit(op, attrs)

    return build


def _plane(function: Function, *names: str) -> tuple[int, int]:
    given = function.integers(*names) or []
    given = given * 2 if len(given) == 1 else given[1:3] if len(given) == 4 else given
    if len(given) != 2 or min(given) < 1:
        raise function.refuse(f"is called with {names[0]} = {shown(given)}; allowed are one or two integers")
    return given[0], given[1]


def _channels_last(function: Function) -> None:
    if function.option("data_format", default="NHWC") not in {"NHWC", "channels_last"}:
        raise function.refuse("has the channels first; allowed is channels_last")


def resize(function: Function) -> str:
    """Resize images, pixels at their centres, by neighbours or linearly."""
    known = {"size", "interpolation", "method", "data_format", "fill_mode", "fill_value"}
    function.check(*known)
    _channels_last(function)
    method = str(function.option("interpolation", "method", default="bilinear"))
    if method not in {"bilinear", "nearest"}:
        raise function.refuse(f"has the method {method[:20]!r}; allowed is bilinear or nearest")
    return resized(function.on(), _plane(function, "size"), method)


def bias_add(function: Function) -> str:
    """Add a constant for each channel."""
    _channels_last(function)
    value = function.operand(1)
    if isinstance(value, Tensor):
        return function.on(function.tensor(), value.name).emit("Add")
    call = function.on()
    return call.emit("Affine", params={"bias": call.constant("bias", value)})
