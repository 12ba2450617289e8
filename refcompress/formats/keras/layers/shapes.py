"""Keras's layers that move elements and compute nothing: shapes, axes, borders, repetition."""

from __future__ import annotations

import math
from typing import Any

from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import MAX_SIZE, channels_first, choice, integer, is_int, refuse, sizes
from refcompress.formats.keras.layers.windows import Pair, enter, leave, window

PADDINGS = "integers of at least 0: one, (height, width) or ((top, bottom), (left, right))"


def flatten(call: Call) -> str:
    """Layer Flatten: the channels move fastest, wherever they stand."""
    made = call.inputs[0]
    if channels_first(call.layer) and len(call.shape) > 1:
        made = call.transpose((0, *range(2, len(call.shape) + 1), 1))
    return call.then(made).emit("Flatten")


def reshape(call: Call) -> str:
    """Layer Reshape; one size may be -1, whatever is left."""
    return call.emit("Reshape", {"shape": target(call, "target_shape", call.layer.config.get("target_shape"))})


def target(call: Call, option: str, value: Any) -> tuple[int, ...]:
    """Work out a shape of which one size may be -1."""
    given = value if isinstance(value, list) else []
    if not all(is_int(size) and size >= -1 for size in given) or not given or given.count(-1) > 1:
        raise refuse(call.layer, option, "a list of sizes, of which one may be -1")
    total, known = math.prod(call.shape), math.prod(size for size in given if size != -1)
    if known < 1 or total % known or (-1 not in given and total != known):
        raise refuse(call.layer, option, f"a shape of the {total} numbers of its input {call.shape}")
    return tuple(total // known if size == -1 else size for size in given)


def permute(call: Call) -> str:
    """Layer Permute; its axes count from 1, after the batch."""
    dims = call.layer.config.get("dims")
    if not isinstance(dims, list) or not all(map(is_int, dims)) or sorted(dims) != [*range(1, len(call.shape) + 1)]:
        raise refuse(call.layer, "dims", f"the axes 1 to {len(call.shape)} in some order")
    return call.emit("Transpose", {"perm": (0, *dims)})


def repeat_vector(call: Call) -> str:
    """Layer RepeatVector."""
    count = integer(call.layer, "n")
    made = call.reshape((1, *call.shape))
    return call.then(made).emit("Expand", {"shape": (count, *call.shape)})


def zero_padding1d(call: Call) -> str:
    """Layer ZeroPadding1D: one number, or (before, after)."""
    image = enter(call, 1)
    left, right = _ends(call, "padding")
    return leave(call, image.emit("Pad", {"pads": (0, left, 0, right)}), 1)


def zero_padding2d(call: Call) -> str:
    """Layer ZeroPadding2D: one number, (height, width), or ((top, bottom), (left, right))."""
    image = enter(call, 2)
    (top, bottom), (left, right) = _borders(call, "padding")
    return leave(call, image.emit("Pad", {"pads": (top, left, bottom, right)}), 2)


def cropping1d(call: Call) -> str:
    """Layer Cropping1D: one number, or (before, after)."""
    image = enter(call, 1)
    return leave(call, _crop(image, "cropping", (0, 0), _ends(call, "cropping")), 1)


def cropping2d(call: Call) -> str:
    """Layer Cropping2D: one number, (height, width), or ((top, bottom), (left, right))."""
    image = enter(call, 2)
    return leave(call, _crop(image, "cropping", *_borders(call, "cropping")), 2)


def _crop(call: Call, option: str, rows: Pair, columns: Pair) -> str:
    height, width = (call.shape[0] - sum(rows), call.shape[1] - sum(columns))
    if height < 1 or width < 1:
        raise refuse(call.layer, option, f"less than its input {call.shape}")
    return crop(call, (rows[0], columns[0]), (height, width))


def crop(call: Call, start: Pair, size: Pair) -> str:
    """Cut a window out of an image (height, width, channels)."""
    if size == call.shape[:2]:
        return call.inputs[0]
    ends = (start[0] + size[0], start[1] + size[1])
    return call.emit("Slice", {"axes": (1, 2), "starts": start, "ends": ends, "steps": (1, 1)})


def up_sampling1d(call: Call) -> str:
    """Layer UpSampling1D: every step several times."""
    image = enter(call, 1)
    factors = window(call, "size", 1, 2)
    return leave(call, _enlarged(image, factors, "nearest"), 1)


def up_sampling2d(call: Call) -> str:
    """Layer UpSampling2D: pixels repeated, or what lies between them."""
    image = enter(call, 2)
    method = choice(call.layer, "interpolation", ("nearest", "bilinear"), "nearest")
    return leave(call, _enlarged(image, window(call, "size", 2, 2), method), 2)


def _enlarged(call: Call, factors: Pair, method: str) -> str:
    size = call.shape[0] * factors[0], call.shape[1] * factors[1]
    # Keras without TensorFlow 2 around it puts a pixel's place at its corner
    version = call.builder.keras_version
    old = version.startswith(("2.2.", "2.3.")) and not version.endswith("-tf")
    return resized(call, size, method, "asymmetric" if old and method == "bilinear" else "half_pixel")


def resized(call: Call, size: Pair, method: str, coordinates: str = "half_pixel") -> str:
    """Resize an image (height, width, channels), by default as TensorFlow 2 does: pixels lie at their centres."""
    mode = "linear" if method == "bilinear" else "nearest"
    return call.emit("Resize", {"size": size, "mode": mode, "coordinates": coordinates, "nearest": "round_prefer_ceil"})


def _ends(call: Call, option: str) -> Pair:
    value = call.layer.config.get(option, 1)
    if isinstance(value, list) and len(value) == 1:  # as Keras wrote a pair of pairs
        value = value[0]
    if is_int(value):
        value = [value, value]
    if not isinstance(value, list) or len(value) != 2 or not all(is_int(item) and item >= 0 for item in value):
        raise refuse(call.layer, option, "one or two integers of at least 0")
    return value[0], value[1]


def _borders(call: Call, option: str) -> tuple[Pair, Pair]:
    value = call.layer.config.get(option)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, list) for item in value):
        return _two(call, option, value[0]), _two(call, option, value[1])
    height, width = sizes(call.layer, option, 2, least=0)
    return (height, height), (width, width)


def _two(call: Call, option: str, value: list[Any]) -> Pair:
    if len(value) == 2 and all(is_int(item) and 0 <= item <= MAX_SIZE for item in value):
        return value[0], value[1]
    raise refuse(call.layer, option, PADDINGS)
