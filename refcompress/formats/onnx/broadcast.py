"""Bringing the operands of an operator into one order of axes, and constants beside activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.layout import (
    Atom,
    Form,
    Group,
    Groups,
    Tensor,
    batch_first,
    copied,
    flat,
    fresh,
    leaves,
    refine,
    size,
    with_axis,
)
from refcompress.formats.onnx.network import MAX_SPREAD, Constant, compact

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Operands in one order of axes.

    Attributes
    ----------
    names
        The activation of each.
    axes
        Axes of the result in ONNX's order.
    groups
        Axes of the result as its activation will hold them.
    place
        Where the joined axis stands in the activations; -1 if none is joined.

    """

    names: list[str]
    axes: Groups
    groups: Groups
    place: int = -1


def align(call: Call, operands: Sequence[Tensor], joined: int | None = None) -> Aligned:
    """Broadcast tensors to one shape, as ONNX does: axes are matched from the last on.

    Parameters
    ----------
    call
        The node.
    operands
        Its tensors.
    joined
        An axis along which they are put one behind the other, and may differ.

    """
    rank = max(len(tensor.axes) for tensor in operands)
    axes: list[Group] = []
    # from atoms of the operand to those of the result
    maps: list[dict[Atom, Atom]] = [{call.batch: call.batch} for _ in operands]
    for axis in range(rank):
        parts = [_axis(tensor, axis - rank) for tensor in operands]
        if axis == joined:
            for part in parts:
                call.no_batch(part, "it joins tensors along")
            axes.append(fresh(sum(map(size, parts))))
        else:
            axes.append(unified(call, parts, maps))
    call.one_batch(axes)
    groups = _layout(call, operands, maps, axes, joined)
    place = -1 if joined is None else groups.index(axes[joined])
    names = []
    for tensor, known in zip(operands, maps, strict=True):
        back = {made: own for own, made in known.items()}
        wanted = [tuple(back[leaf] for leaf in group if leaf in back) for group in groups]
        if joined is not None:
            wanted[place] = leaves(tensor.axes[joined])
        names.append(call.arrange(tensor, wanted))
    return Aligned(names, tuple(axes), tuple(groups), place)


def _axis(tensor: Tensor, axis: int) -> Group:
    return leaves(tensor.axes[axis]) if -axis <= len(tensor.axes) else ()


def unified(call: Call, parts: list[Group], maps: list[dict[Atom, Atom]]) -> Group:
    """Return the axis that operands have in common and note whose atoms are which of its."""
    long = [part for part in parts if part]
    if not long:
        return ()
    for _ in range(2):  # the second time, the first axis is split as the others need it
        for part in long[1:]:
            if not refine(long[0], part, call.batch):
                raise ModelError(
                    f"its inputs have axes of the lengths {[size(part) for part in long]} in one place, which cannot "
                    "be matched sample by sample"
                )
    result = copied(long[0], call.batch)
    for part, known in zip(parts, maps, strict=True):
        if part:
            known.update(zip(leaves(part), result, strict=True))
    return result


def _layout(
    call: Call, operands: Sequence[Tensor], maps: list[dict[Atom, Atom]], axes: list[Group], joined: int | None
) -> Groups:
    """Choose the order of axes: that of the first operand that has them all, else ONNX's."""
    wanted = {call.batch, *flat(axes)} - set(axes[joined] if joined is not None else ())
    result: list[Group] | None = None
    for tensor, known in zip(operands, maps, strict=True):
        if set(known.values()) != wanted:
            continue
        if joined is None:
            result = [tuple(known[leaf] for leaf in group) for group in tensor.groups]
        elif leaves(tensor.axes[joined]) or tensor is operands[0]:
            order, place = with_axis(tensor, joined)
            result = [
                axes[joined] if i == place else tuple(known[leaf] for leaf in group) for i, group in enumerate(order)
            ]
        if result is not None:
            break
    if result is None:
        result = batch_first(axes, call.batch)
    joint = None if joined is None else axes[joined]
    return tuple(piece for group in result for piece in ([group] if group == joint else _whole(group, maps)))


def _whole(group: Group, maps: list[dict[Atom, Atom]]) -> list[Group]:
    """Take an axis apart if some operand has a part of it only."""
    have = [set(known.values()) for known in maps]
    if all(known.isdisjoint(group) or known.issuperset(group) for known in have):
        return [group]
    return [(leaf,) for leaf in group]


def per_sample(call: Call, constant: Constant, axes: Sequence[Group], groups: Sequence[Group]) -> Array:
    """Return a constant as it stands beside one sample of an activation.

    Parameters
    ----------
    call
        The node.
    constant
        Broadcasts to the axes; where it has a batch axis, all its samples must be equal.
    axes
        Axes in ONNX's order.
    groups
        The same atoms as the activation has them, the batch first.

    Returns
    -------
    array
        Broadcasts to the activation without its batch axis, as few axes as possible but at least one.

    """
    if not constant.value.size:
        raise ModelError(
            f"a constant of shape {constant.value.shape} holds nothing; every axis must be at least 1 long"
        )
    arrays = [_sample(call, array, axes) for array in constant.variants]
    if any(not np.array_equal(array, arrays[0]) for array in arrays):
        raise ModelError("a constant depends on the size of the batch; samples must not")
    atoms = [leaf for leaf in flat(axes) if leaf is not call.batch]
    array, order = arrays[0], {leaf: i for i, leaf in enumerate(atoms)}
    inner = [leaves(group) for group in groups[1:]]
    if math.prod(array.shape) == 1:
        return array.reshape(1)
    array = array.transpose([order[leaf] for leaf in flat(inner)])
    shape: list[int] = []
    wide: list[int] = []
    at = 0
    for group in inner:
        part = array.shape[at : at + len(group)]
        spread = tuple(leaf.size for leaf in group) if math.prod(part) > 1 else part
        wide.extend(spread)
        shape.append(math.prod(spread))
        at += len(group)
    if math.prod(wide) > MAX_SPREAD:
        raise ModelError(
            f"a constant would be spread over {math.prod(wide)} elements; at most {MAX_SPREAD} are allowed"
        )
    array = np.broadcast_to(array, wide).reshape(shape)
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array


def _sample(call: Call, array: Array, axes: Sequence[Group]) -> Array:
    """Return one sample of a constant, an axis for each atom but the batch."""
    if array.ndim > len(axes):
        raise ModelError(f"a constant of shape {array.shape} beside {len(axes)} axes")
    array = array.reshape((1,) * (len(axes) - array.ndim) + array.shape)
    shape: list[int] = []
    batch_at = None
    for length, step, group in zip(array.shape, array.strides, map(leaves, axes), strict=True):
        own = [1 if length == 1 else leaf.size for leaf in group]
        if call.batch in group:
            at = group.index(call.batch)
            batch_at = len(shape) + at
            own[at] = max(1, length // math.prod(own[:at] + own[at + 1 :]))  # the second size of an open batch, too
        if math.prod(own) != length:
            raise ModelError(f"a constant of shape {array.shape} does not broadcast to {tuple(map(size, axes))}")
        samples = own[batch_at - len(shape)] if call.batch in group and batch_at is not None else 1
        if samples not in {1, *call.network.batches}:
            raise ModelError(f"a constant has {samples} samples; it must be one, or as many as there are inputs")
        shape.extend([1] * len(group) if step == 0 else own)
    array = compact(array).reshape(shape)
    if batch_at is None:
        return array
    first = np.take(array, [0], batch_at)
    if not (array == first).all():
        raise ModelError("a constant differs from sample to sample of the batch; it must be the same for all")
    return first.squeeze(batch_at)


def grown(call: Call, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Broadcast a tensor to a shape, which is that of a constant it meets."""
    rank = max(len(shape), len(tensor.axes))
    own = [()] * (rank - len(tensor.axes)) + [leaves(group) for group in tensor.axes]
    lengths = (1,) * (rank - len(shape)) + tuple(shape)
    axes = []
    for group, length in zip(own, lengths, strict=True):
        if length < 1:
            raise ModelError(f"the shape {shape} holds nothing; every axis must be 1 long or more")
        if group and length not in {1, size(group)} and not (call.batch in group and length in call.network.batches):
            raise ModelError(f"the shapes {tensor.shape} and {shape} do not broadcast to one another")
        axes.append(group or fresh(length))
    new = [group for group, before in zip(axes, own, strict=True) if group and not before]
    if not new:
        return tensor.regrouped(axes)
    order = batch_first(axes, call.batch)
    name = call.arrange(tensor, [() if group in new else group for group in order])
    made = call.network.emit("Expand", f"{call.name}/expand", [name], {"shape": tuple(map(size, order[1:]))})
    return Tensor(tuple(axes), [Form(made, tuple(order))], tensor.kind)


def beside(call: Call, tensor: Tensor, constant: Constant) -> tuple[str, Groups, Array, Tensor]:
    """Return a tensor's activation, its axes, and a constant that broadcasts to it.

    Returns
    -------
    name, groups
        The activation and its axes; it has at least one besides the batch.
    array
        The constant, which broadcasts to the activation without its batch axis.
    tensor
        The tensor, grown where the constant is the larger one.

    """
    tensor = grown(call, tensor, constant.value.shape)
    groups = tensor.groups
    if len(groups) == 1:
        groups = (*groups, ())
    array = per_sample(call, constant, tensor.axes, groups)
    return call.arrange(tensor, groups), groups, array, tensor
