"""Keras's layers that make one activation of several, with their masks."""

from __future__ import annotations

import math

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import axes, flag, is_int, number, refuse
from refcompress.formats.keras.layers.normalization import unit_vectors

DOT_EPSILONS = (1e-12, 1e-14)  # the least square that Dot divides by, in Keras 2 and 3


def add(call: Call) -> str:
    """Layer Add; inputs with fewer axes get some of length 1 after the batch, here and in the others."""
    return _merge(call, "Add")


def multiply(call: Call) -> str:
    """Layer Multiply."""
    return _merge(call, "Mul")


def maximum(call: Call) -> str:
    """Layer Maximum."""
    return _merge(call, "Max")


def minimum(call: Call) -> str:
    """Layer Minimum."""
    return _merge(call, "Min")


def average(call: Call) -> str:
    """Layer Average: the sum, divided."""
    total = call.then(*call.inputs, part="sum").emit("Add")
    made = call.then(total).affine(1 / len(call.inputs))
    return _masked(call, made)


def subtract(call: Call) -> str:
    """Layer Subtract, of two inputs."""
    _two(call)
    return _merge(call, "Sub")


def _merge(call: Call, op: str) -> str:
    return _masked(call, call.emit(op))


def _two(call: Call) -> None:
    if len(call.inputs) != 2:
        raise ModelError(f"{call.layer}: it is called on {len(call.inputs)} inputs; it takes two; save the model again")


def _masked(call: Call, made: str) -> str:
    """Give the result a mask: steps that count in any input (Keras 3, if all have masks), or in all of them."""
    masks = [call.builder.masks.get(name) for name in call.inputs]
    found = [mask for mask in masks if mask is not None]
    if not found or (call.builder.keras3 and len(found) < len(masks)):
        return made
    mask = found[0]
    if len(set(found)) > 1:
        mask = call.then(*dict.fromkeys(found), part="mask").emit("Max" if call.builder.keras3 else "Min")
    call.builder.masks[made] = mask
    return made


def concatenate(call: Call) -> str:
    """Layer Concatenate; its axis counts the batch as 0."""
    (axis,) = _one(call)
    made = call.emit("Concat", {"axis": axis})
    masks = [call.builder.masks.get(name) for name in call.inputs]
    if any(masks):
        _concatenated_mask(call, made, axis, masks)
    return made


def _one(call: Call) -> tuple[int, ...]:
    places = axes(call.layer, "axis", len(call.shape) + 1)
    if len(places) > 1:
        raise refuse(call.layer, "axis", "one axis")
    return places


def _concatenated_mask(call: Call, made: str, axis: int, masks: list[str | None]) -> None:
    """Join masks of steps: one behind the other along the steps, or merged along the features."""
    found = [mask for mask in masks if mask is not None]
    if axis == 1:
        if len(found) < len(masks):
            raise ModelError(
                f"{call.layer}: some of its inputs have a mask and some have none; give all of them one, or none"
            )
        mask = call.then(*found, part="mask").emit("Concat", {"axis": 1})
    elif len(set(found)) == 1 and (len(found) == len(masks) or not call.builder.keras3):
        mask = found[0]
    elif not call.builder.keras3:
        mask = call.then(*dict.fromkeys(found), part="mask").emit("Min")
    elif len(found) == len(masks):
        mask = call.then(*dict.fromkeys(found), part="mask").emit("Max")
    else:
        return  # some input counts at every step
    call.builder.masks[made] = mask


def dot(call: Call) -> str:
    """Layer Dot: products summed over one axis of each of two inputs; all other axes remain."""
    _two(call)
    places = _dot_axes(call)
    inputs = list(call.inputs)
    if flag(call.layer, "normalize", default=False):
        inputs = [
            unit_vectors(call.then(name, part=f"unit{index}"), (place,), DOT_EPSILONS[call.builder.keras3])
            for index, (name, place) in enumerate(zip(inputs, places, strict=True), 1)
        ]
    shapes = call.shapes
    rest = [(*shape[: place - 1], *shape[place:]) for shape, place in zip(shapes, places, strict=True)]
    length = shapes[0][places[0] - 1]
    if length != shapes[1][places[1] - 1]:
        raise refuse(call.layer, "axes", f"axes of one length of the inputs {shapes[0]} and {shapes[1]}")
    left = _matrix(call.then(inputs[0], part="left"), places[0], (math.prod(rest[0]), length), last=True)
    right = _matrix(call.then(inputs[1], part="right"), places[1], (length, math.prod(rest[1])), last=False)
    made = call.then(left, right).emit("MatMul")
    return call.then(made, part="out").reshape((*rest[0], *rest[1]) or (1,))


def _matrix(call: Call, place: int, shape: tuple[int, int], *, last: bool) -> str:
    others = [axis for axis in range(1, len(call.shape) + 1) if axis != place]
    perm = (0, *others, place) if last else (0, place, *others)
    return call.then(call.transpose(perm), part=call.part).reshape(shape)


def _dot_axes(call: Call) -> tuple[int, int]:
    value = call.layer.config.get("axes")
    given = [value, value] if is_int(value) else value
    if isinstance(given, list) and len(given) == 2 and all(map(is_int, given)):
        ranks = [len(shape) + 1 for shape in call.shapes]
        first, second = (axis + rank if axis < 0 else axis for axis, rank in zip(given, ranks, strict=True))
        if 1 <= first < ranks[0] and 1 <= second < ranks[1]:
            return first, second
    raise refuse(call.layer, "axes", "an axis of both inputs, or one of each, from 1 on")


def custom_scale(call: Call) -> str:
    """Layer CustomScaleLayer of InceptionResNetV2: the first input, and the second times a number."""
    _two(call)
    first, second = call.inputs
    scaled = call.then(second, part="scaled").affine(number(call.layer, "scale", 1.0))
    return call.then(first, scaled).emit("Add")
