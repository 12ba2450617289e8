"""Functions in the place of layers that move elements: shapes, axes, slices, borders."""

from __future__ import annotations

import math
from typing import Any

from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import is_int, shown
from refcompress.formats.keras.functions.operands import Function

MAX_PARTS = 4096  # nodes, or inputs of one, that a single call may become


def _rank(function: Function, name: str) -> int:
    return len(function.call.builder.shapes[name]) + 1


def reshape(function: Function) -> str:
    """Reshape; the batch stays the first axis."""
    function.check("newshape", "shape", "target_shape")
    name = function.tensor()
    given = function.integers("newshape", "shape", "target_shape")
    if given is None and len(function.operands) > 1:
        given = Function(function.call, function.name, [], {"shape": function.operand(1)}).integers("shape")
    sizes = list(given or [])
    total = math.prod(function.call.builder.shapes[name])
    if sizes and sizes[0] == -1 and -1 not in sizes[1:] and math.prod(sizes[1:]) == total:
        shape = tuple(sizes[1:])
    else:
        raise function.refuse(f"makes the shape {shown(given)}; allowed is -1 for the batch, then sizes of {total}")
    return function.on(name).emit("Reshape", {"shape": shape})


def transpose(function: Function) -> str:
    """Transpose; the batch stays the first axis."""
    function.check("axes", "perm", "conjugate")
    name = function.tensor()
    given = function.integers("axes", "perm")
    if given is None and len(function.operands) > 1:
        given = Function(function.call, function.name, [], {"axes": function.operand(1)}).integers("axes")
    return function.on(name).emit("Transpose", {"perm": tuple(given or ())})


def swapaxes(function: Function) -> str:
    """Exchange two axes."""
    name = function.tensor()
    rank = _rank(function, name)
    one, two = (function.axes(option, rank=rank) or [0] for option in ("axis1", "axis2"))
    perm = list(range(rank))
    perm[one[0]], perm[two[0]] = two[0], one[0]
    return function.on(name).emit("Transpose", {"perm": tuple(perm)})


def moveaxis(function: Function) -> str:
    """Move axes to other places."""
    name = function.tensor()
    rank = _rank(function, name)
    source, target = (function.axes(option, rank=rank) or [] for option in ("source", "destination"))
    if len(source) != len(target):
        raise function.refuse("moves axes to another number of places")
    perm = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        perm.insert(place, axis)
    return function.on(name).emit("Transpose", {"perm": tuple(perm)})


def expand_dims(function: Function) -> str:
    """Insert axes of length 1."""
    function.check("axis", "dim")
    name = function.tensor()
    axes = function.axes("axis", "dim", rank=_rank(function, name), new=1)
    if axes is None and len(function.operands) > 1:
        inner = Function(function.call, function.name, [], {"axis": function.operand(1)})
        axes = inner.axes("axis", rank=_rank(function, name), new=1)
    shape = list(function.call.builder.shapes[name])
    if axes is None or len(axes) > 1:
        raise function.refuse("inserts no axis, or several; allowed is one")
    shape.insert(axes[0] - 1, 1)
    return function.on(name).emit("Reshape", {"shape": tuple(shape)})


def squeeze(function: Function) -> str:
    """Remove axes of length 1."""
    function.check("axis", "squeeze_dims")
    name = function.tensor()
    shape = function.call.builder.shapes[name]
    axes = function.axes("axis", "squeeze_dims", rank=len(shape) + 1)
    if axes is None:
        axes = [axis for axis, size in enumerate(shape, 1) if size == 1]
    if any(shape[axis - 1] != 1 for axis in axes):
        raise function.refuse(f"removes the axes {axes} of the shape {shape}; allowed are axes of length 1")
    kept = tuple(size for axis, size in enumerate(shape, 1) if axis not in axes)
    return function.on(name).emit("Reshape", {"shape": kept})


def concatenate(function: Function) -> str:
    """Put activations one behind the other."""
    function.check("axis", "dim")
    names = function.tensors()
    axes = function.axes("axis", "dim", rank=_rank(function, names[0]))
    axis = axes[0] if axes else _rank(function, names[0]) - 1
    return names[0] if len(names) == 1 else function.on(*names).emit("Concat", {"axis": axis})


def stack(function: Function) -> str:
    """Put activations one behind the other along a new axis."""
    function.check("axis")
    names = function.tensors()
    axes = function.axes("axis", rank=_rank(function, names[0]), new=1)
    if not axes:
        raise function.refuse("stacks along the batch; allowed are other axes")
    shape = list(function.call.builder.shapes[names[0]])
    shape.insert(axes[0] - 1, 1)
    parts = [function.on(name, part=f"part{i}").reshape(tuple(shape)) for i, name in enumerate(names)]
    return parts[0] if len(parts) == 1 else function.on(*parts).emit("Concat", {"axis": axes[0]})


def split(function: Function) -> tuple[str, ...]:
    """Cut into parts of equal sizes, or of those given."""
    function.check("indices_or_sections", "num_or_size_splits", "axis", "num")
    name, axis, size = _along(function)
    given = function.option("indices_or_sections", "num_or_size_splits")
    sizes = _lengths(function, given, size, cuts="indices_or_sections" in function.options)
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return tuple(
        _cut(function.on(name, part=str(index)), [(axis, start, start + length, 1)])
        for index, (start, length) in enumerate(zip(starts, sizes, strict=True))
    )


def _lengths(function: Function, given: Any, size: int, *, cuts: bool) -> list[int]:
    if is_int(given) and 0 < given <= MAX_PARTS and size % given == 0:
        return [size // given] * int(given)
    if isinstance(given, list) and given and all(map(is_int, given)):
        if cuts:
            ends = [*given, size]
            found = [end - start for start, end in zip([0, *given], ends, strict=True)]
        else:
            rest = size - sum(item for item in given if item != -1)
            found = [rest if item == -1 else item for item in given]
        if min(found) > 0 and sum(found) == size:
            return found
    raise function.refuse(f"cuts an axis of length {size} into {shown(given)}")


def unstack(function: Function) -> tuple[str, ...]:
    """Cut into slices, without the axis that is cut."""
    name, axis, size = _along(function)
    if size > MAX_PARTS:
        raise function.refuse(f"cuts an axis of length {size} into single steps; allowed are {MAX_PARTS}")
    shape = function.call.builder.shapes[name]
    rest = (*shape[: axis - 1], *shape[axis:])
    made = []
    for index in range(size):
        piece = _cut(function.on(name, part=str(index)), [(axis, index, index + 1, 1)])
        made.append(function.on(piece, part=f"{index}/piece").reshape(rest))
    return tuple(made)


def _along(function: Function) -> tuple[str, int, int]:
    """Return the operand, the axis to work along, and how long it is."""
    name = function.tensor()
    shape = function.call.builder.shapes[name]
    axes = function.axes("axis", rank=len(shape) + 1)
    if not axes or len(axes) > 1:
        raise function.refuse("works along the batch, or several axes; allowed is another axis")
    return name, axes[0], shape[axes[0] - 1]


def _cut(call: Call, cuts: list[tuple[int, int, int, int]]) -> str:
    axes, starts, ends, steps = zip(*cuts, strict=True)
    return call.emit("Slice", {"axes": axes, "starts": starts, "ends": ends, "steps": steps})


def flip(function: Function) -> str:
    """Reverse axes."""
    function.check("axis")
    name = function.tensor()
    shape = function.call.builder.shapes[name]
    axes = function.axes("axis", rank=len(shape) + 1)
    if axes is None:
        raise function.refuse("reverses the batch; allowed are other axes")
    return _cut(function.on(name), [(axis, shape[axis - 1] - 1, -shape[axis - 1] - 1, -1) for axis in axes])


def tile(function: Function) -> str:
    """Repeat whole axes."""
    function.check("repeats", "multiples")
    name = function.tensor()
    counts = function.integers("repeats", "multiples") or []
    if len(counts) != _rank(function, name) or counts[0] != 1 or min(counts) < 1 or max(counts) > MAX_PARTS:
        raise function.refuse(
            f"repeats {shown(counts)} times; allowed is once for the batch, then up to {MAX_PARTS} times"
        )
    for axis, times in enumerate(counts):
        if times > 1:
            name = function.on(*[name] * times, part="" if axis == _last(counts) else str(axis)).emit(
                "Concat", {"axis": axis}
            )
    return name


def _last(counts: list[int]) -> int:
    return max(axis for axis, times in enumerate(counts) if times > 1)


def repeat(function: Function) -> str:
    """Repeat each index of an axis."""
    function.check("repeats", "axis", "total_repeat_length")
    name, axis, size = _along(function)
    times = function.integers("repeats") or []
    if len(times) != 1 or times[0] < 1:
        raise function.refuse(f"repeats {shown(times)} times; allowed is one number for all")
    shape = function.call.builder.shapes[name]
    before, after = shape[:axis], shape[axis:]
    thin = function.on(name, part="thin").reshape((*before, 1, *after))
    wide = function.on(thin).emit("Expand", {"shape": (*before, times[0], *after)})
    return function.on(wide, part="joined").reshape((*before[:-1], size * times[0], *after))


def get_item(function: Function) -> str:
    """Index with slices, integers, new axes and ``...``; the batch is taken whole."""
    name = function.tensor()
    spec = function.operand(1) if len(function.operands) > 1 else function.option("slice_spec", "key")
    given = spec if isinstance(spec, list) else [spec]
    shape = function.call.builder.shapes[name]
    taken = sum(1 for item in given if item is not None and item is not Ellipsis)
    if Ellipsis in given:
        at = given.index(Ellipsis)
        given = [*given[:at], *[slice(None)] * (len(shape) + 1 - taken), *given[at + 1 :]]
    if not given or given[0] != slice(None):
        raise function.refuse("takes a part of the batch; allowed is [:, ...]")
    cuts, sizes = _indexed(function, given[1:], list(shape))
    source = _cut(function.on(name), cuts) if cuts else name
    return function.on(source, part="shape" if cuts else "").reshape(tuple(sizes))


def _indexed(
    function: Function, items: list[Any], shape: list[int]
) -> tuple[list[tuple[int, int, int, int]], list[int]]:
    """Return what to cut along which axis, and the shape that remains."""
    cuts: list[tuple[int, int, int, int]] = []
    sizes: list[int] = []
    axis = 0
    for item in items:
        if item is None:
            sizes.append(1)
            continue
        if axis >= len(shape) or not (is_int(item) or (isinstance(item, slice) and item.step != 0)):
            raise function.refuse(f"indexes {shown(item)}; allowed are slices, integers, new axes and ...")
        size = shape[axis]
        axis += 1
        if isinstance(item, slice):
            found = range(size)[item]
            sizes.append(len(found))
        else:
            found = range(size)[item % size : item % size + 1]
        if not len(found) or (is_int(item) and not -size <= item < size):
            raise function.refuse(f"indexes {shown(item)} of an axis of length {size}, which leaves nothing")
        if found != range(size):
            cuts.append((axis, found.start, _end(found), found.step))
    return cuts, [*sizes, *shape[axis:]]


def _end(found: range) -> int:
    """Return an end that a negative step reaches, too: below the first index there is none but a very negative one."""
    return found.stop if found.stop >= 0 else -(2**31) + 1


def pad(function: Function) -> str:
    """Put zeros around, along any axes but the batch."""
    function.check("pad_width", "paddings", "mode", "constant_values", "constant_value")
    name = function.tensor()
    mode = str(function.option("mode", default="constant")).lower()
    if mode != "constant" or function.number("constant_values", "constant_value", default=0.0) != 0:
        raise function.refuse("puts something else than zeros around")
    given = function.option("pad_width", "paddings")
    if given is None and len(function.operands) > 1:
        given = function.operand(1)
    shape = function.call.builder.shapes[name]
    pairs = [pair for pair in given if isinstance(pair, list) and len(pair) == 2] if isinstance(given, list) else []
    whole = len(pairs) == len(shape) + 1 and all(is_int(item) and item >= 0 for pair in pairs for item in pair)
    if not whole or pairs[0] != [0, 0]:
        raise function.refuse(f"puts {shown(given)} around; allowed are pairs for each axis, (0, 0) for the batch")
    if len(shape) == 3 and pairs[3] == [0, 0]:
        return function.on(name).emit("Pad", {"pads": (pairs[1][0], pairs[2][0], pairs[1][1], pairs[2][1])})
    for axis, (before, after) in enumerate(pairs[1:]):
        if before or after:
            shape = function.call.builder.shapes[name]
            view = function.on(name, part=f"axis{axis + 1}")
            plane = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
            inner = function.on(view.reshape(plane), part=f"axis{axis + 1}")
            made = inner.emit("Pad", {"pads": (0, before, 0, after)})
            wider = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
            name = function.on(made, part=f"axis{axis + 1}/out").reshape(wider)
    return name
