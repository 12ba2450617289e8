"""ONNX's operators that look at whole axes: normalizations, reductions and softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.onnx.broadcast import align
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.elementwise import apply
from refcompress.formats.onnx.layout import Group, Tensor, batch_first, flat, leaves, size, together
from refcompress.formats.onnx.network import Value
from refcompress.formats.onnx.products import times

MAX_BANDS = 4096  # channels of an LRN: its matrix has the square of it


def _channels_last(call: Call, x: Tensor) -> tuple[list[Group], int]:
    """Return an order of axes in which ONNX's channels (axis 1) are the last, and how many there are."""
    if len(x.axes) < 2:
        raise ModelError(f"its input has the shape {x.shape}; its axis 1 holds the channels, and there is none")
    call.no_batch(x.axes[1], "its channels are")
    channels = leaves(x.axes[1])
    groups = x.groups
    if any(channels == group for group in groups[-1:]):
        return list(groups), size(channels)
    if len(x.axes) == 4 and len(groups) == 4:
        spatial = [group for axis, group in enumerate(x.axes) if axis > 1 or (axis == 0 and leaves(group))]
        return [*batch_first(spatial, call.batch), channels], size(channels)
    return together(groups, channels, last=True), size(channels)


def batch_normalization(call: Call) -> list[Value]:
    """Operator BatchNormalization at inference."""
    call.ignore("momentum")
    call.only("training_mode", 0)
    call.only("spatial", 1, 1)
    x = call.tensor()
    order, channels = _channels_last(call, x)
    names = ("scale", "bias", "mean", "var")
    params = {role: call.param(role, call.floats(i, (channels,)), call.source(i)) for i, role in enumerate(names, 1)}
    if any(call.wants(i) for i in range(1, len(call.outputs))):
        raise ModelError("its outputs of statistics are used; supported is inference")
    epsilon = call.number("epsilon", 1e-5)
    name = call.emit("BatchNormalization", [call.arrange(x, order)], {"epsilon": epsilon}, params)
    return [call.made(name, x.axes, order)]


def _check_samples(call: Call, x: Tensor) -> None:
    if leaves(x.axes[0]) != call.samples:
        raise ModelError("its first axis is not the batch; its statistics are those of one sample")


def instance_normalization(call: Call) -> list[Value]:
    """Operator InstanceNormalization: groups of one channel."""
    x = call.tensor()
    order, channels = _channels_last(call, x)
    _check_samples(call, x)
    params = {
        role: call.param(role, call.floats(i, (channels,)), call.source(i))
        for i, role in enumerate(("scale", "bias"), 1)
    }
    attrs = {"num_groups": channels, "epsilon": call.number("epsilon", 1e-5)}
    name = call.emit("GroupNormalization", [call.arrange(x, order)], attrs, params)
    return [call.made(name, x.axes, order)]


def group_normalization(call: Call) -> list[Value]:
    """Operator GroupNormalization; before version 21, scale and bias are one number for each group."""
    call.ignore("stash_type")
    x = call.tensor()
    order, channels = _channels_last(call, x)
    _check_samples(call, x)
    groups = call.integer("num_groups", 0)
    if groups < 1 or channels % groups:
        raise ModelError(f"its num_groups is {groups} for {channels} channels, which they must divide")
    params = {}
    for i, role in enumerate(("scale", "bias"), 1):
        if call.network.opset < 21:
            array = np.repeat(call.floats(i, (groups,)), channels // groups)
        else:
            array = call.floats(i, (channels,))
        params[role] = call.param(role, array, call.source(i))
    attrs = {"num_groups": groups, "epsilon": call.number("epsilon", 1e-5)}
    name = call.emit("GroupNormalization", [call.arrange(x, order)], attrs, params)
    return [call.made(name, x.axes, order)]


def layer_normalization(call: Call) -> list[Value]:
    """Operators LayerNormalization and RMSNormalization over an axis and all behind it."""
    call.ignore("stash_type")
    if any(call.wants(i) for i in range(1, len(call.outputs))):
        raise ModelError("its outputs of statistics are used; supported is the normalized tensor")
    x = call.tensor()
    axis = call.axis(call.integer("axis", -1), len(x.axes))
    behind = [leaves(group) for group in x.axes[axis:]]
    call.no_batch(flat(behind), "it normalizes over")
    wanted = set(flat(behind))
    order = [group for group in together(x.groups, flat(behind), last=True) if group and wanted.isdisjoint(group)]
    first = len(order)
    order = [*order, *behind]
    shape = tuple(map(size, behind))
    params = {}
    for i, role in enumerate(("scale", "bias"), 1):
        if not call.has(i):
            continue
        array = call.array(i)
        if array.ndim > len(shape) or array.dtype.kind != "f":
            raise ModelError(f"its {role} is {array.dtype} of shape {array.shape} for axes of {shape}")
        try:
            params[role] = call.param(role, np.broadcast_to(array, shape), call.source(i))
        except ValueError:
            raise ModelError(f"its {role} has the shape {array.shape} for axes of {shape}") from None
    attrs = {"axis": first, "epsilon": call.number("epsilon", 1e-5)}
    name = call.emit(call.op, [call.arrange(x, order)], attrs, params)
    return [call.made(name, x.axes, order)]


def lp_normalization(call: Call) -> list[Value]:
    """Operator LpNormalization: by the Euclidean length, or by the sum of absolute values."""
    x = call.tensor()
    axis, order = call.axis(call.integer("axis", -1), len(x.axes)), call.integer("p", 2)
    call.no_batch(x.axes[axis], "it normalizes over")
    if order == 2:
        groups = together(x.groups, leaves(x.axes[axis]), last=True)
        attrs = {"axis": len(groups) - 1, "epsilon": 0.0}
        return [call.made(call.emit(call.op, [call.arrange(x, groups)], attrs), x.axes, groups)]
    if order != 1:
        raise ModelError(f"its p is {order}; supported are 1 and 2")
    total = reduced(call, "ReduceSum", apply(call, "Abs", x, part="abs"), {axis}, keepdims=True, part="sum")
    # a vector of zeros stays one
    length = apply(call, "Clip", total, {"min": 2.0**-126, "max": float(np.finfo(np.float32).max)}, "length")
    aligned = align(call, [x, length])
    return [call.made(call.emit("Div", aligned.names), aligned.axes, aligned.groups)]


def local_response_normalization(call: Call) -> list[Value]:
    """Operator LRN: x over a power of the sum of squares of neighbouring channels.

    The sum is a product with a matrix of bands over the channels.
    """
    x = call.tensor()
    if len(x.axes) < 2:
        raise ModelError(f"its input has the shape {x.shape}; its axis 1 holds the channels, and there is none")
    count, alpha, beta = call.integer("size", 0), call.number("alpha", 1e-4), call.number("beta", 0.75)
    channels = size(x.axes[1])
    if not 1 <= count <= MAX_BANDS or channels > MAX_BANDS:
        raise ModelError(f"its size is {count} for {channels} channels; supported are up to {MAX_BANDS} of both")
    distance = np.arange(channels)[:, None] - np.arange(channels)
    near = (distance >= -((count - 1) // 2)) & (distance <= count // 2)
    bias = np.full(channels, call.number("bias", 1.0))
    total = times(call, _square(call, x), 1, near * (alpha / count), bias, part="sum")
    groups = total.groups
    exponent = call.param("power/exponent", np.array([beta]))
    name = call.emit("Pow", [call.arrange(total, groups)], {}, {"exponent": exponent}, "power")
    total = call.made(name, total.axes, groups)
    aligned = align(call, [x, total])
    return [call.made(call.emit("Div", aligned.names), aligned.axes, aligned.groups)]


def _square(call: Call, x: Tensor) -> Tensor:
    groups = x.groups
    name = call.arrange(x, groups)
    return call.made(call.emit("Mul", [name, name], part="square"), x.axes, groups)


def softmax(call: Call) -> list[Value]:
    """Operators Softmax and LogSoftmax; before version 13, over all axes from one on."""
    x = call.tensor()
    modern = call.network.opset >= 13
    axis = call.axis(call.integer("axis", -1 if modern else 1), len(x.axes))
    needed = leaves(x.axes[axis]) if modern else flat(x.axes[axis:])
    call.no_batch(needed, "it runs over")
    order = together(x.groups, needed, last=True)
    return [call.made(call.emit(call.op, [call.arrange(x, order)]), x.axes, order)]


def reduced(call: Call, op: str, x: Tensor, axes: set[int], *, keepdims: bool, part: str = "") -> Tensor:
    """Reduce axes of ONNX's order."""
    gone = set(flat(x.axes[axis] for axis in axes))
    call.no_batch(tuple(gone), "it reduces")
    kept = [() if i in axes else group for i, group in enumerate(x.axes) if keepdims or i not in axes]
    if not gone:
        return x.regrouped(kept)
    order: list[Group] = []
    for group in x.groups:
        whole = gone.isdisjoint(group) or gone.issuperset(group)
        order.extend([group] if whole else [(leaf,) for leaf in group])
    places = tuple(i for i, group in enumerate(order) if group and gone.issuperset(group))
    name = call.arrange(x, order)
    if op == "ReduceMean" and len(order) == 4 and places == (1, 2):
        name = call.emit("GlobalAveragePool", [name], {"keepdims": keepdims}, part=part)
    else:
        name = call.emit(op, [name], {"axes": places, "keepdims": keepdims}, part=part)
    groups = [() if i in places else group for i, group in enumerate(order) if keepdims or i not in places]
    return call.made(name, kept, groups)


# what is done to the elements, and to what is left of them
_AROUND: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "ReduceL1": ("Abs", "ReduceSum", ""),
        "ReduceL2": ("Mul", "ReduceSum", "Sqrt"),
        "ReduceLogSum": ("", "ReduceSum", "Log"),
        "ReduceMax": ("", "ReduceMax", ""),
        "ReduceMean": ("", "ReduceMean", ""),
        "ReduceMin": ("", "ReduceMin", ""),
        "ReduceSum": ("", "ReduceSum", ""),
        "ReduceSumSquare": ("Mul", "ReduceSum", ""),
    }
)


def reduce_axes(call: Call) -> list[Value]:
    """Operators ReduceMean, ReduceSum, ReduceMax, ReduceMin, and those that are made of them."""
    x = call.tensor()
    attribute = call.integers("axes")
    given = call.integers_at(1) if call.has(1) else attribute
    nothing = call.integer("noop_with_empty_axes", 0) != 0
    axes = {call.axis(axis, len(x.axes)) for axis in given or []}
    keepdims = call.integer("keepdims", 1) != 0
    before, op, after = _AROUND[call.op]
    if not axes and not nothing:
        axes = set(range(len(x.axes)))
    if before == "Mul":
        x = _square(call, x)
    elif before:
        x = apply(call, before, x, part=before.lower())
    y = reduced(call, op, x, axes, keepdims=keepdims, part="sum" if after else "")
    return [apply(call, after, y) if after else y]


NORMALIZATIONS: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {
        **dict.fromkeys(_AROUND, reduce_axes),
        "BatchNormalization": batch_normalization,
        "GroupNormalization": group_normalization,
        "InstanceNormalization": instance_normalization,
        "LayerNormalization": layer_normalization,
        "LRN": local_response_normalization,
        "LogSoftmax": softmax,
        "LpNormalization": lp_normalization,
        "RMSNormalization": layer_normalization,
        "Softmax": softmax,
    }
)
