"""ONNX's operators that move, repeat, join and take elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.onnx.broadcast import align, grown
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.elementwise import affine
from refcompress.formats.onnx.layout import (
    Form,
    Tensor,
    copied,
    flat,
    fresh,
    leaves,
    size,
    split,
    with_axis,
)
from refcompress.formats.onnx.network import Constant, Value
from refcompress.formats.onnx.shape_rules import slice_indices, split_sizes, target_shape

MAX_PIECES = 64  # of which Gather puts together what no Slice can take


def transpose(call: Call) -> list[Value]:
    """Operator Transpose: no node, the axes are counted anew."""
    x = call.tensor(0, "fib")
    perm = call.integers("perm") or list(range(len(x.axes)))[::-1]
    if sorted(perm) != list(range(len(x.axes))):
        raise ModelError(f"its perm {perm} does not name each of the {len(x.axes)} axes once")
    return [x.regrouped(x.axes[axis] for axis in perm)]


def reshape(call: Call) -> list[Value]:
    """Operator Reshape: a node only where axes are cut across."""
    x = call.tensor(0, "fib")
    wanted = call.integers("shape") if call.network.opset < 5 else call.integers_at(1)
    return [reshaped(call, x, target_shape(x.shape, wanted or [], keeps=not call.integer("allowzero", 0)))]


def reshaped(call: Call, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor's elements, in ONNX's order, in another shape."""
    axes = split(flat(x.axes), shape, call.batch)
    if axes is not None:
        return x.regrouped(axes)
    samples, fixed = call.batch.size, len(call.samples)
    if fixed and (not shape or shape[0] != samples or leaves(x.axes[0]) != call.samples):
        raise ModelError(
            f"it reshapes {x.shape} to {tuple(shape)}, which mixes the batch axis (of {samples} while importing) with "
            "another; samples must not depend on one another"
        )
    if any(n < 1 for n in shape):
        raise ModelError(f"it makes the shape {tuple(shape)}; every axis must be at least 1 long")
    name = call.arrange(x, [(call.batch,), flat(x.axes[fixed:])])
    rest = tuple(fresh(n) for n in shape[fixed:])
    return Tensor(((call.samples,) if fixed else ()) + rest, [Form(name, ((call.batch,), flat(rest)))], x.kind)


def flatten(call: Call) -> list[Value]:
    """Operator Flatten: no node, axes are counted as one."""
    x = call.tensor(0, "fib")
    axis = call.integer("axis", 1)
    rank = len(x.axes)
    if not -rank <= axis <= rank:
        raise ModelError(f"its axis is {axis} and there are {rank} axes")
    axis = axis + rank if axis < 0 else axis
    return [x.regrouped([flat(x.axes[:axis]), flat(x.axes[axis:])])]


def _axes(call: Call, index: int = 1) -> list[int] | None:
    """Return axes given as an input since version 13, as an attribute before."""
    given = call.integers("axes")
    return call.integers_at(index) if call.has(index) else given


def squeeze(call: Call) -> list[Value]:
    """Operator Squeeze: no node."""
    x, given = call.tensor(0, "fib"), _axes(call)
    rank = len(x.axes)
    if given is None:
        axes = {i for i, group in enumerate(x.axes) if not leaves(group)}
    else:
        axes = {call.axis(axis, rank) for axis in given}
    for axis in axes:
        call.no_batch(x.axes[axis], "it removes")
        if size(x.axes[axis]) != 1:
            raise ModelError(f"it removes axis {axis} of {x.shape}, which is longer than 1")
    return [x.regrouped(group for i, group in enumerate(x.axes) if i not in axes)]


def unsqueeze(call: Call) -> list[Value]:
    """Operator Unsqueeze: no node."""
    x, given = call.tensor(0, "fib"), _axes(call) or []
    rank = len(x.axes) + len(given)
    axes = {call.axis(axis, rank) for axis in given}
    if len(axes) != len(given) or rank > 16:
        raise ModelError(f"its axes are {given}; give each once, for at most 16 axes in all")
    old = iter(x.axes)
    return [x.regrouped(() if i in axes else next(old) for i in range(rank))]


def concat(call: Call) -> list[Value]:
    """Operator Concat; constants among its inputs become activations."""
    values = [call.value(i) for i in range(len(call.inputs))]
    values = [value for value in values if isinstance(value, Tensor) or value.value.size]  # what is empty adds nothing
    known = [value for value in values if isinstance(value, Tensor)]
    rank = len(known[0].axes)
    axis = call.axis(call.integer("axis", 0), rank)
    call.no_batch(known[0].axes[axis], "it joins tensors along")
    tensors = [
        value if isinstance(value, Tensor) else _constant_beside(call, value, known[0], axis) for value in values
    ]
    if any(len(tensor.axes) != rank for tensor in tensors):
        raise ModelError("its inputs differ in their number of axes")
    if any(
        s != t for x in tensors for i, (s, t) in enumerate(zip(x.shape, tensors[0].shape, strict=True)) if i != axis
    ):
        raise ModelError(
            f"its inputs have the shapes {[x.shape for x in tensors]}; they may differ along axis {axis} only"
        )
    if len(tensors) == 1:
        return [tensors[0]]
    return [joined(call, tensors, axis)]


def joined(call: Call, tensors: Sequence[Tensor], axis: int, part: str = "") -> Tensor:
    """Put tensors one behind the other along an axis of ONNX's order."""
    aligned = align(call, tensors, axis)
    name = call.emit("Concat", aligned.names, {"axis": aligned.place}, part=part)
    return call.made(name, aligned.axes, aligned.groups, tensors[0].kind)


def _constant_beside(call: Call, constant: Constant, like: Tensor, axis: int) -> Tensor:
    """Return a constant as an activation whose axes match those of a tensor it is joined with."""
    if constant.value.ndim != len(like.axes):
        raise ModelError(f"a constant of shape {constant.value.shape} is joined with {like.shape}")
    lengths = constant.value.shape
    axes = [
        fresh(n) if i == axis else copied(group, call.batch)
        for i, (n, group) in enumerate(zip(lengths, like.axes, strict=True))
    ]
    return call.activation(constant, axes)


def split_axis(call: Call) -> list[Value]:
    """Operator Split: a Slice for each output."""
    x = call.tensor(0, "fib")
    axis = call.axis(call.integer("axis", 0), len(x.axes))
    call.no_batch(x.axes[axis], "it splits")
    call.ignore("num_outputs")
    attribute = call.integers("split")
    given = call.integers_at(1) if call.has(1) else attribute
    lengths = split_sizes(size(x.axes[axis]), len(call.outputs), given)
    parts: list[Value] = []
    start = 0
    for i, length in enumerate(lengths):
        parts.append(cut(call, x, axis, range(start, start + length), part=f"part{i}", output=i))
        start += length
    return parts


def cut(call: Call, x: Tensor, axis: int, taken: range, part: str = "", output: int | None = None) -> Tensor:
    """Take a range of an axis of ONNX's order; ``part`` and ``output`` as for :meth:`Call.emit`."""
    if not len(taken):
        raise ModelError(f"it takes nothing of axis {axis} of {x.shape}")
    length = size(x.axes[axis])
    if taken == range(length):
        return x
    call.no_batch(x.axes[axis], "it takes a part of")
    order, place = with_axis(x, axis)
    name = call.arrange(x, order)
    stop = taken.stop if taken.stop >= 0 else -length - 1  # a negative end would count from the end
    attrs = {"axes": (place,), "starts": (taken.start,), "ends": (stop,), "steps": (taken.step,)}
    made = fresh(len(taken))
    name = call.emit("Slice", [name], attrs, part=part, output=output)
    axes = [*x.axes[:axis], made, *x.axes[axis + 1 :]]
    return call.made(name, axes, [*order[:place], made, *order[place + 1 :]], x.kind)


def slice_axes(call: Call) -> list[Value]:
    """Operator Slice: ranges as inputs since version 10, as attributes before."""
    x = call.tensor(0, "fib")
    lists = {}
    for i, name in enumerate(("starts", "ends", "axes", "steps"), 1):
        given = None if name == "steps" else call.integers(name)
        lists[name] = call.integers_at(i) if call.has(i) else given
    starts, ends = lists["starts"] or [], lists["ends"] or []
    axes = list(range(len(starts))) if lists["axes"] is None else lists["axes"]
    steps = lists["steps"] or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ModelError("its starts, ends, axes and steps differ in number")
    pending = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = call.axis(axis, len(x.axes))
        taken = slice_indices(start, end, step, size(x.axes[at]))
        if taken != range(size(x.axes[at])):
            pending.append((at, taken))
    for i, (at, taken) in enumerate(pending):
        x = cut(call, x, at, taken, part=f"axis{at}" if i < len(pending) - 1 else "")
    return [x]


def pad(call: Call) -> list[Value]:
    """Operator Pad with a constant; negative pads cut off."""
    x = call.tensor()
    if call.text("mode", "constant") != "constant":
        raise ModelError(f"its mode is {call.text('mode', '')!r}; supported is 'constant'")
    value = call.number("value", 0.0)
    attribute = call.integers("pads") or call.integers("paddings")
    pads = call.integers_at(1) if call.has(1) else attribute or []
    if call.has(2):
        array = call.array(2)
        value = float(array.reshape(())) if array.size == 1 else math.nan
    rank = len(x.axes)
    axes = [call.axis(axis, rank) for axis in call.integers_at(3)] if call.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes) or not math.isfinite(value):
        raise ModelError(
            f"its pads are {pads} for {len(axes)} axes and its value is {value}; that does not fit, or is not finite"
        )
    wanted = [(axis, pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)]
    for axis, before, after in wanted:
        if before < 0 or after < 0:
            length = size(x.axes[axis])
            x = cut(call, x, axis, range(max(0, -before), length - max(0, -after)), part=f"cut{axis}")
    return [padded(call, x, [(axis, max(0, a), max(0, b)) for axis, a, b in wanted if a > 0 or b > 0], value)]


def padded(call: Call, x: Tensor, wanted: Sequence[tuple[int, int, int]], value: float = 0.0, part: str = "") -> Tensor:
    """Surround axes of ONNX's order with a constant: ``(axis, before, after)`` each."""
    for axis, *_ in wanted:
        call.no_batch(x.axes[axis], "it pads")
    masks = []
    lengths = x.shape
    if plane := _plane(x, wanted):
        x = _padded_plane(call, x, plane, part or ("zeros" if value else ""))
    else:
        for i, (axis, before, after) in enumerate(wanted):
            last = i == len(wanted) - 1 and not value
            x = _padded_axis(call, x, axis, before, after, part or ("" if last else f"axis{axis}"))
    if not value or not wanted:
        return x
    for axis, before, after in wanted:
        shape = [1] * (len(lengths) - axis)
        inside = np.r_[np.ones(before), np.zeros(lengths[axis]), np.ones(after)]
        shape[0] = len(inside)
        masks.append(inside.reshape(shape))
    border = masks[0]
    for mask in masks[1:]:
        border = np.maximum(border, mask)
    return affine(call, x, None, Constant(border * value))


def _plane(x: Tensor, wanted: Sequence[tuple[int, int, int]]) -> dict[int, tuple[int, int, int]]:
    """Return which of the axes 1 and 2 of (batch, height, width, channels) are padded; nothing if others are."""
    groups = x.groups
    places: dict[int, tuple[int, int, int]] = {}
    if len(groups) != 4:
        return {}
    for axis, before, after in wanted:
        group = leaves(x.axes[axis])
        if not group or group not in groups[1:3]:
            return {}
        places[groups.index(group)] = (axis, before, after)
    return places


def _padded_plane(call: Call, x: Tensor, plane: Mapping[int, tuple[int, int, int]], part: str) -> Tensor:
    groups, axes = list(x.groups), list(x.axes)
    (_, top, bottom), (_, left, right) = (plane.get(place, (0, 0, 0)) for place in (1, 2))
    name = call.emit("Pad", [call.arrange(x, groups)], {"pads": (top, left, bottom, right)}, part=part)
    for place, (axis, before, after) in plane.items():
        axes[axis] = groups[place] = fresh(size(groups[place]) + before + after)
    return call.made(name, axes, groups, x.kind)


def _padded_axis(call: Call, x: Tensor, axis: int, before: int, after: int, part: str) -> Tensor:
    """Pad any axis, seen as the width of a plane of what stands before and behind it."""
    order, place = with_axis(x, axis)
    front, back = flat(order[1:place]), flat(order[place + 1 :])
    name = call.arrange(x, [(call.batch,), front, order[place], back])
    name = call.emit("Pad", [name], {"pads": (0, before, 0, after)}, part=part)
    made = fresh(size(order[place]) + before + after)
    axes = [*x.axes[:axis], made, *x.axes[axis + 1 :]]
    return call.made(name, axes, [(call.batch,), front, made, back], x.kind)


def expand(call: Call) -> list[Value]:
    """Operator Expand to a constant shape."""
    x = call.tensor(0, "fib")
    return [grown(call, x, tuple(call.integers_at(1)))]


def gather(call: Call) -> list[Value]:
    """Operator Gather: rows of a constant table, or constant indices of an axis."""
    table = call.value(0)
    if isinstance(table, Constant):
        return [_rows(call, table)]
    x = call.tensor(0, "fib")
    axis, indices = call.axis(call.integer("axis", 0), len(x.axes)), call.array(1)
    call.no_batch(x.axes[axis], "it takes some of")
    length = size(x.axes[axis])
    if indices.dtype.kind not in "iu" or not indices.size:
        raise ModelError(f"its indices are {indices.dtype} of shape {indices.shape}; give integers, at least one")
    places = [int(i) for i in indices.reshape(-1)]
    if not all(-length <= i < length for i in places):
        raise ModelError(f"its indices reach beyond the {length} of axis {axis}")
    taken = _taken(call, x, axis, [i % length for i in places])
    made = split(leaves(taken.axes[axis]), indices.shape) or ()
    return [taken.regrouped([*taken.axes[:axis], *made, *taken.axes[axis + 1 :]])]


def _taken(call: Call, x: Tensor, axis: int, places: list[int]) -> Tensor:
    """Take places of an axis: one Slice if they lie evenly, else one each."""
    step = places[1] - places[0] if len(places) > 1 else 1
    even = range(places[0], places[-1] + (1 if step > 0 else -1), step) if step else range(0)
    if list(even) == places:
        return cut(call, x, axis, even)
    if len(places) > MAX_PIECES:
        raise ModelError(f"it takes {len(places)} places that do not lie evenly; at most {MAX_PIECES} are supported")
    pieces = [cut(call, x, axis, range(i, i + 1), part=f"place{n}") for n, i in enumerate(places)]
    return joined(call, pieces, axis)


def _rows(call: Call, table: Constant) -> Tensor:
    indices = call.tensor(1, "i")
    if call.integer("axis", 0) != 0 or table.value.ndim < 1 or table.value.dtype.kind != "f" or table.other is not None:
        raise ModelError("it reads a table by computed indices; the table must be floating point and its axis 0")
    rows = call.param("weight", table.value.reshape(len(table.value), -1), table.name)
    groups = indices.groups
    name = call.emit("Gather", [call.arrange(indices, groups)], {}, {"weight": rows})
    made = [fresh(n) for n in table.value.shape[1:]]
    return call.made(name, [*indices.axes, *made], [*groups, flat(made)])


SHAPES: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {
        "Concat": concat,
        "Expand": expand,
        "Flatten": flatten,
        "Gather": gather,
        "Pad": pad,
        "Reshape": reshape,
        "Slice": slice_axes,
        "Split": split_axis,
        "Squeeze": squeeze,
        "Transpose": transpose,
        "Unsqueeze": unsqueeze,
    }
)
