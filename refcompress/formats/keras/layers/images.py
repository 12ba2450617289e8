"""Keras's preprocessing layers: other sizes and other scales of images and features."""

from __future__ import annotations

import math

import numpy as np

from refcompress.formats.keras.call import Array, Call
from refcompress.formats.keras.config import Shape, axes, choice, flag, integer, numbers, refuse
from refcompress.formats.keras.layers.shapes import crop, resized
from refcompress.formats.keras.layers.windows import Pair, enter, leave

LEAST_DEVIATION = 1e-7  # Keras divides by no less


def rescaling(call: Call) -> str:
    """Layer Rescaling: numbers for all places, or for each channel."""
    params = {}
    for role, option in (("scale", "scale"), ("bias", "offset")):
        values = numbers(call.layer, option)
        if values is not None and values != [(1.0 if role == "scale" else 0.0)]:
            if len(values) not in {1, call.shape[-1]}:
                raise refuse(call.layer, option, f"one number, or one for each of {call.shape[-1]} channels")
            params[role] = call.constant(role, values)
    return call.emit("Affine", params=params) if params else call.inputs[0]


def normalization(call: Call) -> str:
    """Layer Normalization: less the mean, divided by the deviation; both from the file, of some axes or of none."""
    rank = len(call.shape) + 1
    given = call.layer.config.get("axis", -1)
    kept = () if given is None or given == [] else axes(call.layer, "axis", rank)
    shape = tuple(call.shape[axis - 1] for axis in kept)
    mean, variance = numbers(call.layer, "mean"), numbers(call.layer, "variance")
    full = tuple(size if axis in kept else 1 for axis, size in enumerate(call.shape, 1))
    if mean is None or variance is None:
        return _normalized(call, _stored(call, "mean", shape, full), _stored(call, "variance", shape, full))
    for option, values in (("mean", mean), ("variance", variance)):
        if len(values) not in {1, math.prod(shape)}:
            raise refuse(call.layer, option, f"one number, or one for each of {shape}")

    def spread(values: list[float]) -> Array:
        return np.array(values, np.float32).reshape(full if len(values) == math.prod(shape) else 1)

    return _normalized(call, spread(mean), spread(variance))


def _stored(call: Call, role: str, shape: Shape, full: Shape) -> Array:
    # not a parameter of any node, but what the factors are made of; the third of the weights counts samples
    adapted = call.then(*call.inputs, part="adapted")
    name = adapted.param(role, [role], shape, lambda array: array.reshape(full))
    return call.value(name)


def _normalized(call: Call, mean: Array, variance: Array) -> str:
    deviation = np.maximum(np.sqrt(variance.astype(np.float64)), LEAST_DEVIATION)
    if flag(call.layer, "invert", default=False):
        scale, bias = deviation, mean.astype(np.float64)
    else:
        scale, bias = 1 / deviation, -mean / deviation
    return call.emit("Affine", params={"scale": call.constant("scale", scale), "bias": call.constant("bias", bias)})


def resizing(call: Call) -> str:
    """Layer Resizing, with its interpolations that look at two pixels at most."""
    for option in ("antialias", "pad_to_aspect_ratio"):
        if flag(call.layer, option, default=False):
            raise refuse(call.layer, option, "false")
    method = choice(call.layer, "interpolation", ("bilinear", "nearest"), "bilinear")
    size = integer(call.layer, "height"), integer(call.layer, "width")
    image = enter(call, 2)
    if flag(call.layer, "crop_to_aspect_ratio", default=False):
        return leave(call, _smart(image, size, method), 2)
    return leave(call, resized(image, size, method), 2)


def center_crop(call: Call) -> str:
    """Layer CenterCrop; an image too small is enlarged."""
    size = integer(call.layer, "height"), integer(call.layer, "width")
    image = enter(call, 2)
    height, width = image.shape[:2]
    if height >= size[0] and width >= size[1]:
        return leave(call, crop(image, ((height - size[0]) // 2, (width - size[1]) // 2), size), 2)
    return leave(call, _smart(image, size, "bilinear"), 2)


def _smart(call: Call, size: Pair, method: str) -> str:
    """Resize the largest window of the right proportions in the middle of an image."""
    height, width = call.shape[:2]
    window = min(height, int(width * size[0] / size[1])), min(width, int(height * size[1] / size[0]))
    start = int((height - window[0]) / 2), int((width - window[1]) / 2)
    made = crop(call.then(*call.inputs, part="crop"), start, window)
    return resized(call.then(made), size, method)
