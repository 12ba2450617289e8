"""ONNX's products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.formats.onnx.broadcast import align, unified
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.elementwise import affine, mapped
from refcompress.formats.onnx.layout import Group, Tensor, copied, flat, fresh, leaves, size, together
from refcompress.formats.onnx.network import Constant, Value

Array = NDArray[Any]


def times(
    call: Call,
    x: Tensor,
    axis: int,
    weight: Array,
    bias: Array | None = None,
    *,
    sources: tuple[str, str] = ("", ""),
    part: str = "",
) -> Tensor:
    """Multiply one axis of a tensor by a matrix.

    Parameters
    ----------
    call
        The node.
    x
        The tensor.
    axis
        The axis that is multiplied, in ONNX's order.
    weight
        (in, out). Where the activation holds the inputs in another order, its rows are brought into that one.
    bias
        (out,) or None.
    sources
        The initializers that weight and bias were made of, or empty.
    part
        Ending of the node's name.

    """
    call.no_batch(x.axes[axis], "it sums over")
    needed = leaves(x.axes[axis])
    if weight.ndim != 2 or len(weight) != size(needed):
        raise ModelError(f"a matrix of shape {weight.shape} for {size(needed)} inputs")
    stored = [leaf for group in x.groups for leaf in group if leaf in needed]
    place = {leaf: i for i, leaf in enumerate(needed)}
    rows = weight.reshape(*(leaf.size for leaf in needed), weight.shape[1])
    rows = rows.transpose(*(place[leaf] for leaf in stored), len(needed)).reshape(weight.shape)
    order = together(x.groups, tuple(stored), last=True)
    params = {"weight": call.param("weight", rows, sources[0])}
    if bias is not None:
        params["bias"] = call.param("bias", bias, sources[1])
    name = call.emit("Gemm", [call.arrange(x, order)], {}, params, part)
    made = fresh(weight.shape[1])
    return call.made(name, [*x.axes[:axis], made, *x.axes[axis + 1 :]], [*order[:-1], made])


def gemm(call: Call) -> list[Value]:
    """Operator Gemm with a constant matrix: alpha * A B + beta * C."""
    x, weight = call.tensor(), call.array(1)
    if len(x.axes) != 2 or weight.ndim != 2:
        raise ModelError(f"its inputs have the shapes {x.shape} and {weight.shape}; they must be matrices")
    if call.integer("transA", 0):
        x = x.regrouped(x.axes[::-1])
    weight = weight.T if call.integer("transB", 0) else weight
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    added = call.value(2) if call.has(2) and beta != 0 else None
    exact = bool(np.abs(np.frexp(alpha)[0]) == 0.5)  # a power of two is a factor of the weights without any rounding
    units = weight.shape[1]
    sources = [call.source(1), call.source(2)]
    if alpha != 1 and exact:
        with np.errstate(all="ignore"):
            weight, sources[0] = weight * weight.dtype.type(alpha), ""
    bias = None
    if isinstance(added, Constant) and added.other is None and added.value.size in {1, units} and (alpha == 1 or exact):
        fits = added.value.ndim < 2 or added.value.shape[0] == 1
        with np.errstate(all="ignore"):
            bias = np.broadcast_to(added.value.reshape(-1), (units,)) * np.float32(beta) if fits else None
        if beta != 1:
            sources[1] = ""
    whole = (added is None or bias is not None) and (alpha == 1 or exact)
    y = times(call, x, 1, weight, bias, sources=(sources[0], sources[1]), part="" if whole else "product")
    if whole:
        return [y]
    if isinstance(added, Tensor):
        return [_plus(call, y, call.tensor(2), alpha if not exact else 1.0, beta)]
    offset = None if added is None else mapped(added, lambda array: array * np.float32(beta))
    return [affine(call, y, None if exact else alpha, offset)]


def _plus(call: Call, y: Tensor, c: Tensor, alpha: float, beta: float) -> Tensor:
    y = y if alpha == 1 else affine(call, y, alpha, None, "alpha")
    c = c if beta == 1 else affine(call, c, beta, None, "beta")
    aligned = align(call, [y, c])
    return call.made(call.emit("Add", aligned.names), aligned.axes, aligned.groups)


def matmul(call: Call) -> list[Value]:
    """Operator MatMul of a tensor and a matrix, in either order, or of two tensors."""
    a, b = call.value(0), call.value(1)
    if isinstance(b, Constant) and b.value.ndim <= 2:
        return [_times_constant(call, call.tensor(0), call.array(1))]
    if isinstance(a, Constant) and a.value.ndim <= 2:
        return [_constant_times(call, call.array(0), call.tensor(1))]
    left = _activated(call, a, call.tensor(1), 0) if isinstance(a, Constant) else call.tensor(0)
    right = _activated(call, b, call.tensor(0), 1) if isinstance(b, Constant) else call.tensor(1)
    return [_product(call, left, right)]


def _times_constant(call: Call, x: Tensor, weight: Array) -> Tensor:
    last = len(x.axes) - 1
    if weight.ndim == 2:
        return times(call, x, last, weight, sources=(call.source(1), ""))
    if weight.ndim != 1:
        raise ModelError("it multiplies by a single number; MatMul takes matrices")
    return _dropped(times(call, x, last, weight[:, None]), last)


def _constant_times(call: Call, weight: Array, x: Tensor) -> Tensor:
    axis = len(x.axes) - 2
    if axis < 0 or weight.ndim < 1:
        raise ModelError(
            f"it multiplies a constant of shape {weight.shape} by {x.shape}, whose batch it would sum over"
        )
    if weight.ndim == 2:
        return times(call, x, axis, weight.T)
    return _dropped(times(call, x, axis, weight[:, None]), axis)


def _dropped(x: Tensor, axis: int) -> Tensor:
    return x.regrouped([*x.axes[:axis], *x.axes[axis + 1 :]])


def _activated(call: Call, constant: Constant, like: Tensor, index: int) -> Tensor:
    """Return a stack of constant matrices as an activation."""
    if constant.value.ndim > len(like.axes) or call.batch in flat(like.axes[-2:]):
        raise ModelError(f"its input {index} is a constant of shape {constant.value.shape} beside {like.shape}")
    lengths = (1,) * (len(like.axes) - constant.value.ndim) + constant.value.shape
    pairs = zip(lengths, like.axes, strict=True)
    return call.activation(constant, [(call.batch,) if call.batch in leaves(group) else fresh(n) for n, group in pairs])


def _product(call: Call, a: Tensor, b: Tensor) -> Tensor:
    if min(len(a.axes), len(b.axes)) < 2 or a.shape[-1] != b.shape[-2]:
        raise ModelError(f"its inputs have the shapes {a.shape} and {b.shape}, which do not multiply")
    for group in (*a.axes[-2:], *b.axes[-2:]):
        call.no_batch(group, "it multiplies matrices along")
    # the leading axes are broadcast; what is multiplied stands aside as axes of length 1
    lead = _leading(call, a, b)
    rows, inner_a, inner_b, columns = (leaves(x.axes[i]) for x, i in ((a, -2), (a, -1), (b, -2), (b, -1)))
    left = call.arrange(a, [*lead[0], rows, inner_a])
    right = call.arrange(b, [*lead[1], inner_b, columns])
    name = call.emit("MatMul", [left, right])
    m, n = copied(rows, call.batch), copied(columns, call.batch)
    return call.made(name, [*lead[2], m, n], [*lead[3], m, n])


def _leading(call: Call, a: Tensor, b: Tensor) -> tuple[list[Group], list[Group], list[Group], list[Group]]:
    """Broadcast all axes but the last two of two tensors.

    Returns
    -------
    of_a, of_b
        Axes in which each must be arranged.
    axes, groups
        Of the result, in ONNX's order and in that of the activation.

    """
    rank = max(len(a.axes), len(b.axes)) - 2
    axes: list[Group] = []
    maps: list[dict[Any, Any]] = [{call.batch: call.batch} for _ in range(2)]
    for i in range(rank):
        parts = [leaves(x.axes[i + len(x.axes) - 2 - rank]) if i + len(x.axes) - 2 >= rank else () for x in (a, b)]
        axes.append(unified(call, parts, maps))
    call.one_batch(axes)
    atoms = [leaf for leaf in flat(axes) if leaf is not call.batch]
    groups: list[Group] = [(call.batch,), *((leaf,) for leaf in atoms)]
    wanted: list[list[Group]] = []
    for known in maps:
        back = {made: own for own, made in known.items()}
        wanted.append([tuple(back[leaf] for leaf in group if leaf in back) for group in groups])
    return wanted[0], wanted[1], axes, groups


def add_bias(call: Call) -> Tensor | None:
    """Make a constant that is added to a matrix product its bias, where nothing else reads the product."""
    network = call.network
    values = [call.value(i) for i in range(len(call.inputs))]
    known = [(i, value) for i, value in enumerate(values) if isinstance(value, Tensor)]
    if len(values) != 2 or len(known) != 1 or not network.nodes:
        return None
    index, x = known[0]
    constant, node = values[1 - index], network.nodes[-1]
    if not isinstance(constant, Constant) or constant.other is not None or node.op != "Gemm" or "bias" in node.params:
        return None
    units, last = size(x.groups[-1]), size(x.axes[-1]) if x.axes else 0
    one_reader = network.uses[call.inputs[index]] == 1 and [form.name for form in x.forms] == [node.output]
    along_units = leaves(x.axes[-1]) == x.groups[-1] and units == last
    if not one_reader or not along_units or constant.value.shape != (units,):
        return None
    bias = call.param("bias", constant.value, constant.name)
    named = network.unique(call.outputs[0])
    network.nodes[-1] = replace(node, params={**node.params, "bias": bias}, output=named)
    network.shapes[named] = network.shapes[node.output]
    del network.values[call.inputs[index]]
    return call.made(named, x.axes, x.groups)


PRODUCTS: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType({"Gemm": gemm, "MatMul": matmul})
