"""Keras's poolings of sequences and of images, and those over all places."""

from __future__ import annotations

from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import channels_first, flag
from refcompress.formats.keras.layers.windows import enter, leave, pads, window


def max_pooling1d(call: Call) -> str:
    """Layer MaxPooling1D."""
    return _pool(call, 1, "MaxPool")


def max_pooling2d(call: Call) -> str:
    """Layer MaxPooling2D."""
    return _pool(call, 2, "MaxPool")


def average_pooling1d(call: Call) -> str:
    """Layer AveragePooling1D."""
    return _pool(call, 1, "AveragePool")


def average_pooling2d(call: Call) -> str:
    """Layer AveragePooling2D; with SAME padding, the mean is over the pixels of the image only."""
    return _pool(call, 2, "AveragePool")


def global_average_pooling1d(call: Call) -> str:
    """Layer GlobalAveragePooling1D; masked steps do not count."""
    mask = call.mask
    if mask is None:
        return _global(call, 1, "GlobalAveragePool")
    keepdims = flag(call.layer, "keepdims", default=False)
    steps = 2 if channels_first(call.layer) else 1
    column = call.then(mask, part="mask")
    count = call.builder.shapes[mask][0]
    weights = column.reshape((1, count) if steps == 2 else (count, 1))
    attrs = {"axes": (steps,), "keepdims": keepdims}
    kept = call.then(call.inputs[0], weights, part="kept").emit("Mul")
    total = call.then(kept, part="sum").emit("ReduceSum", attrs)
    counted = call.then(weights, part="count").emit("ReduceSum", attrs)
    return call.then(total, counted).emit("Div")


def global_max_pooling1d(call: Call) -> str:
    """Layer GlobalMaxPooling1D."""
    return _global(call, 1, "GlobalMaxPool")


def global_average_pooling2d(call: Call) -> str:
    """Layer GlobalAveragePooling2D."""
    return _global(call, 2, "GlobalAveragePool")


def global_max_pooling2d(call: Call) -> str:
    """Layer GlobalMaxPooling2D."""
    return _global(call, 2, "GlobalMaxPool")


def _pool(call: Call, rank: int, op: str) -> str:
    image = enter(call, rank)
    kernel = window(call, "pool_size", rank, 2)
    strides = kernel if call.layer.config.get("strides") is None else window(call, "strides", rank)
    attrs: dict[str, object] = {"kernel_shape": kernel, "strides": strides, "pads": pads(image, kernel, strides)}
    if op == "AveragePool":
        attrs["count_include_pad"] = False
    return leave(call, image.emit(op, attrs), rank)


def _global(call: Call, rank: int, op: str) -> str:
    keepdims = flag(call.layer, "keepdims", default=False)
    made = enter(call, rank).emit(op, {"keepdims": keepdims})
    return leave(call, made, rank) if keepdims else made
