"""Defects of other frameworks, injected into one layer of a correct run; written from the formulas, not our ops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import decode
from refcompress.graph import Graph, Node
from refcompress.ops import find_op

Array = NDArray[Any]
Params = Mapping[str, Array]
Make = Callable[[Any, Params, Sequence[Array]], Array | None]  # attributes, parameters, inputs; None: not here

VISIBLE = 1e-4  # of the largest value: a defect that changes less is not taken


@dataclass(frozen=True, slots=True, eq=False)
class Injected:
    """One defect in one layer.

    Attributes
    ----------
    kind
        Key of DEFECTS.
    node
        Name of the node that is wrong.
    activations
        All activations of a float32 run in which this node is wrong and all others are right for what they are fed.

    """

    kind: str
    node: str
    activations: dict[str, Array]


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None,
    attrs: Any,
    *,
    pads: tuple[int, ...] | None = None,
    dtype: Any = np.float32,
) -> Array:
    """Convolve by the formula, one tap and channel of a group after another, every operation in ``dtype``."""
    kh, kw, per_group, cout = weight.shape
    (sy, sx), (dy, dx), group = attrs.strides, attrs.dilations, attrs.group
    top, left, bottom, right = attrs.pads if pads is None else pads
    x = np.pad(x, ((0, 0), (max(0, top), max(0, bottom)), (max(0, left), max(0, right)), (0, 0)))
    x = x[:, max(0, -top) : x.shape[1] - max(0, -bottom), max(0, -left) : x.shape[2] - max(0, -right)]
    height, width = (x.shape[1] - (kh - 1) * dy - 1) // sy + 1, (x.shape[2] - (kw - 1) * dx - 1) // sx + 1
    out = np.zeros((len(x), height, width, cout), dtype)
    groups = np.arange(cout) // (cout // group)
    for ky, kx, ci in itertools.product(range(kh), range(kw), range(per_group)):
        rows = slice(ky * dy, ky * dy + (height - 1) * sy + 1, sy)
        columns = slice(kx * dx, kx * dx + (width - 1) * sx + 1, sx)
        seen = x[:, rows, columns][..., groups * per_group + ci].astype(dtype)
        out = out + seen * weight[ky, kx, ci].astype(dtype)
    return (out if bias is None else out + bias.astype(dtype)).astype(np.float32)


def _conv(change: Callable[[Any, Array], tuple[Array, tuple[int, ...] | None] | None]) -> Make:
    """Make a defect of what gives another weight and other pads."""

    def make(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array | None:
        changed = change(attrs, params["weight"])
        if changed is None:
            return None
        return convolve(inputs[0], changed[0], params.get("bias"), attrs, pads=changed[1])

    return make


def _other_side(attrs: Any, weight: Array) -> tuple[Array, tuple[int, ...]]:
    top, left, bottom, right = attrs.pads
    return weight, (bottom, right, top, left)


def _off_by_one(attrs: Any, weight: Array) -> tuple[Array, tuple[int, ...]] | None:
    top, left, bottom, right = attrs.pads
    return (weight, (top - 1, left - 1, bottom + 1, right + 1)) if any(attrs.pads) else None


def _turned(order: tuple[int, ...], *, square: tuple[int, int]) -> Callable[[Any, Array], Any]:
    def change(attrs: Any, weight: Array) -> tuple[Array, None] | None:
        same = weight.shape[square[0]] == weight.shape[square[1]] > 1
        return (weight.transpose(order), None) if same and attrs.group == 1 else None

    return change


def _flipped(_attrs: Any, weight: Array) -> tuple[Array, None]:
    return weight[::-1, ::-1], None


def _reversed_inputs(_attrs: Any, weight: Array) -> tuple[Array, None]:
    return weight[:, :, ::-1], None


def _oihw(_attrs: Any, weight: Array) -> tuple[Array, None]:
    kh, kw, cin, cout = weight.shape
    return weight.ravel().reshape(cout, cin, kh, kw).transpose(2, 3, 1, 0), None


def _half_sums(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    return convolve(inputs[0], params["weight"], params.get("bias"), attrs, dtype=np.float16)


def _half_storage(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    weight, bias = params["weight"].astype(np.float16), params.get("bias")
    out = convolve(inputs[0].astype(np.float16), weight.astype(np.float32), bias, attrs)
    return out.astype(np.float16).astype(np.float32)


def bfloat16(x: Array) -> Array:
    """Round to bfloat16, ties to even."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)


def _brain_storage(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    out = convolve(bfloat16(inputs[0]), bfloat16(params["weight"]), params.get("bias"), attrs)
    return bfloat16(out)


def _int8_weights(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    step = np.abs(params["weight"]).max() / np.float32(127)
    return convolve(inputs[0], np.rint(params["weight"] / step) * step, params.get("bias"), attrs)


def _biased(factor: float) -> Make:
    def make(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array | None:
        bias = params.get("bias")
        return None if bias is None else convolve(inputs[0], params["weight"], factor * bias, attrs)

    return make


def _activated(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    return np.maximum(convolve(inputs[0], params["weight"], params.get("bias"), attrs), 0)


def normalize(x: Array, params: Params, epsilon: float) -> Array:
    """Normalize the last axis by the formula, in float32."""
    inverse = np.float32(1) / np.sqrt(params["var"] + np.float32(epsilon))
    scale = params.get("scale", np.float32(1))
    return ((x - params["mean"]) * (inverse * scale) + params.get("bias", np.float32(0))).astype(np.float32)


def _epsilon(value: float) -> Make:
    return lambda attrs, params, inputs: normalize(inputs[0], params, value) if attrs.epsilon != value else None


def _stale(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    axes = tuple(range(inputs[0].ndim - 1))
    own = {"mean": inputs[0].mean(axes), "var": inputs[0].var(axes)}
    return normalize(inputs[0], {**params, **own}, attrs.epsilon)


def _with(**roles: str | float | None) -> Make:
    """Give a normalization another array in a role: that of another role, a constant, or none."""

    def make(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array | None:
        changed = dict(params)
        for role, value in roles.items():
            if role not in params or (isinstance(value, str) and value not in params):
                return None
            changed[role] = params[value] if isinstance(value, str) else np.full_like(params[role], value)
        if (changed["var"] + attrs.epsilon <= 0).any():
            return None
        return normalize(inputs[0], changed, attrs.epsilon)

    return make


def _other_axis(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array | None:
    x = inputs[0]
    if x.ndim != 4 or x.shape[1] != x.shape[3] or x.shape[1] < 2:
        return None
    return np.ascontiguousarray(normalize(x.swapaxes(1, 3), params, attrs.epsilon).swapaxes(1, 3))


def _shifted_channels(attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    rolled = {role: np.roll(array, 1) for role, array in params.items() if role in {"mean", "var"}}
    return normalize(inputs[0], {**params, **rolled}, attrs.epsilon)


def _matrix(change: Callable[[Array], Array | None], *, bias: float = 1) -> Make:
    def make(_attrs: Any, params: Params, inputs: Sequence[Array]) -> Array | None:
        weight = change(params["weight"])
        if weight is None or (bias != 1 and "bias" not in params):
            return None
        return np.asarray(inputs[0] @ weight + np.float32(bias) * params.get("bias", np.float32(0)), np.float32)

    return make


def _half_matrix(_attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
    total = np.zeros((len(inputs[0]), params["weight"].shape[1]), np.float16)
    for column, row in zip(inputs[0].T.astype(np.float16), params["weight"].astype(np.float16), strict=True):
        total = total + column[:, None] * row
    return (total + params.get("bias", np.float32(0)).astype(np.float16)).astype(np.float32)


def _of_input(function: Callable[[Array], Array]) -> Make:
    return lambda _attrs, _params, inputs: np.asarray(function(inputs[0]), np.float32)


def _softmax(x: Array, axis: Any = -1) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _pool(x: Array, attrs: Any, pads: tuple[int, ...], how: Callable[..., Array], fill: float) -> Array:
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, attrs.kernel_shape, (1, 2))
    return how(view[:, :: attrs.strides[0], :: attrs.strides[1]], axis=(-2, -1)).astype(np.float32)


def _pool_other_side(attrs: Any, _params: Params, inputs: Sequence[Array]) -> Array | None:
    top, left, bottom, right = attrs.pads
    return _pool(inputs[0], attrs, (bottom, right, top, left), np.max, -np.inf) if any(attrs.pads) else None


def _pool_mean(attrs: Any, _params: Params, inputs: Sequence[Array]) -> Array | None:
    return None if any(attrs.pads) else _pool(inputs[0], attrs, attrs.pads, np.mean, 0)


def _pool_zeros(attrs: Any, _params: Params, inputs: Sequence[Array]) -> Array | None:
    return _pool(inputs[0], attrs, attrs.pads, np.max, 0) if any(attrs.pads) else None


def _pool_max(attrs: Any, _params: Params, inputs: Sequence[Array]) -> Array:
    return _pool(inputs[0], attrs, attrs.pads, np.max, -np.inf)


def _channels_first(_attrs: Any, _params: Params, inputs: Sequence[Array]) -> Array:
    return np.moveaxis(inputs[0], -1, 1).reshape(len(inputs[0]), -1)


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _lstm(*, order: tuple[int, ...] = (0, 1, 2, 3), hard: bool = False, backwards: bool = False) -> Make:
    """Run an LSTM whose gates i, f, c, o stand in another order, or with another logistic function."""

    def make(_attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
        x = inputs[0][:, ::-1] if backwards else inputs[0]
        units = params["recurrent_weight"].shape[0]
        hidden = cell = np.zeros((len(x), units), np.float32)
        gate = (lambda z: np.clip(z * np.float32(0.2) + np.float32(0.5), 0, 1)) if hard else _logistic
        steps = []
        for step in range(x.shape[1]):
            sums = x[:, step] @ params["weight"] + hidden @ params["recurrent_weight"] + params["bias"]
            parts = np.split(sums, 4, -1)
            i, f, c, o = (parts[index] for index in order)
            cell = gate(f) * cell + gate(i) * np.tanh(c)
            hidden = gate(o) * np.tanh(cell)
            steps.append(hidden)
        return np.stack(steps, 1).astype(np.float32)

    return make


def _gru(*, swapped: bool = False, after: bool) -> Make:
    """Run a GRU with the gates z and r swapped, or with the reset gate before or after the matrix product."""

    def make(_attrs: Any, params: Params, inputs: Sequence[Array]) -> Array:
        x, units = inputs[0], params["recurrent_weight"].shape[0]
        hidden = np.zeros((len(x), units), np.float32)
        other = params.get("recurrent_bias", np.zeros(3 * units, np.float32))
        recurrent = params["recurrent_weight"]
        for step in range(x.shape[1]):
            xz, xr, xh = np.split(x[:, step] @ params["weight"] + params["bias"], 3, -1)
            hz, hr, hh = np.split(hidden @ recurrent + other, 3, -1)
            z, r = _logistic(xz + hz), _logistic(xr + hr)
            if swapped:
                z, r = r, z
            if not after:
                hh = (r * hidden) @ recurrent[:, 2 * units :] + other[2 * units :]
            candidate = np.tanh(xh + (r * hh if after else hh))
            hidden = z * hidden + (1 - z) * candidate
        return hidden.astype(np.float32)

    return make


# kind: (operator, what it makes of the inputs)
DEFECTS: Mapping[str, tuple[str, Make]] = {
    "padding on the other side": ("Conv", _conv(_other_side)),
    "windows off by one": ("Conv", _conv(_off_by_one)),
    "kernel transposed": ("Conv", _conv(_turned((1, 0, 2, 3), square=(0, 1)))),
    "channels transposed": ("Conv", _conv(_turned((0, 1, 3, 2), square=(2, 3)))),
    "kernel flipped": ("Conv", _conv(_flipped)),
    "input channels reversed": ("Conv", _conv(_reversed_inputs)),
    "kernel read as OIHW": ("Conv", _conv(_oihw)),
    "convolution without bias": ("Conv", _biased(0)),
    "convolution with the bias twice": ("Conv", _biased(2)),
    "convolution with an activation": ("Conv", _activated),
    "convolution in float16 sums": ("Conv", _half_sums),
    "convolution in float16": ("Conv", _half_storage),
    "convolution in bfloat16": ("Conv", _brain_storage),
    "convolution with int8 weights": ("Conv", _int8_weights),
    "epsilon 1e-5": ("BatchNormalization", _epsilon(1e-5)),
    "epsilon 1e-2": ("BatchNormalization", _epsilon(1e-2)),
    "epsilon 3e-4": ("BatchNormalization", _epsilon(3e-4)),
    "batch statistics": ("BatchNormalization", _stale),
    "normalization without scale": ("BatchNormalization", _with(scale=1.0)),
    "normalization without bias": ("BatchNormalization", _with(bias=0.0)),
    "scale and bias exchanged": ("BatchNormalization", _with(scale="bias", bias="scale")),
    "mean and variance exchanged": ("BatchNormalization", _with(mean="var", var="mean")),
    "initial statistics": ("BatchNormalization", _with(mean=0.0, var=1.0)),
    "normalization of another axis": ("BatchNormalization", _other_axis),
    "channels off by one": ("BatchNormalization", _shifted_channels),
    "weight transposed": ("Gemm", _matrix(lambda w: w.T if w.shape[0] == w.shape[1] else None)),
    "weight read as (out, in)": ("Gemm", _matrix(lambda w: w.reshape(w.shape[::-1]).T)),
    "dense without bias": ("Gemm", _matrix(lambda w: w, bias=0)),
    "dense with the bias twice": ("Gemm", _matrix(lambda w: w, bias=2)),
    "dense in float16 sums": ("Gemm", _half_matrix),
    "dense with bfloat16 weights": ("Gemm", _matrix(bfloat16)),
    "leaky ReLU": ("Relu", _of_input(lambda x: np.where(x > 0, x, np.float32(0.3) * x))),
    "ReLU6": ("Relu", _of_input(lambda x: np.clip(x, 0, 6))),
    "no activation": ("Relu", _of_input(lambda x: x)),
    "GELU": ("Relu", _of_input(lambda x: x * np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))(x))),
    "softmax left out": ("Softmax", _of_input(lambda x: x)),
    "logistic function for softmax": ("Softmax", _of_input(_logistic)),
    "softmax over the batch": ("Softmax", _of_input(lambda x: _softmax(x, 0))),
    "log softmax": ("Softmax", _of_input(lambda x: np.log(_softmax(x)))),
    "pool padded on the other side": ("MaxPool", _pool_other_side),
    "mean for maximum": ("MaxPool", _pool_mean),
    "pool over zeros": ("MaxPool", _pool_zeros),
    "maximum for mean": ("AveragePool", _pool_max),
    "maximum for global mean": ("GlobalAveragePool", _of_input(lambda x: x.max((1, 2)))),
    "flattened channels first": ("Flatten", _channels_first),
    "difference for sum": ("Add", lambda _attrs, _params, inputs: inputs[0] - inputs[1]),
    "shortcut left out": ("Add", lambda _attrs, _params, inputs: inputs[0]),
    "LSTM gates swapped": ("LSTM", _lstm(order=(1, 0, 2, 3))),
    "LSTM gates i, f, o, c": ("LSTM", _lstm(order=(0, 1, 3, 2))),
    "hard sigmoid in an LSTM": ("LSTM", _lstm(hard=True)),
    "time backwards": ("LSTM", _lstm(backwards=True)),
    "GRU gates swapped": ("GRU", _gru(swapped=True, after=True)),
    "reset before the product": ("GRU", _gru(after=False)),
}


def correct_run(graph: Graph, inputs: Mapping[str, Array], *, exact: bool = False) -> dict[str, Array]:
    """Every activation in float32, by NumPy and BLAS or in the order of the C runtime."""
    return _run(graph, inputs, "", None, exact=exact)


def _run(graph: Graph, inputs: Mapping[str, Array], wrong: str, make: Make | None, *, exact: bool) -> dict[str, Array]:
    made: dict[str, Array] = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
    for node in graph.nodes:
        op, read = find_op(node.op), [made[name] for name in node.inputs]
        encoded = {role: graph.params[name] for role, name in node.params.items()}
        if node.name == wrong and make is not None:
            made[node.output] = np.asarray(make(node.attrs, _decoded(graph, node), read), np.float32)
        else:
            made[node.output] = (op.exact if exact else op.forward)(node.attrs, read, encoded)
    return made


def _decoded(graph: Graph, node: Node) -> dict[str, Array]:
    return {role: decode(graph.params[name]) for role, name in node.params.items()}


def injected(graph: Graph, inputs: Mapping[str, Array], *, seed: int, exact: bool = False) -> Iterator[Injected]:
    """Yield every kind of defect once that this network can have, each in a node drawn at random.

    Taken are nodes where it keeps the shape and changes the output by more than :data:`VISIBLE` of its largest value.
    """
    rng = np.random.default_rng(seed)
    right = correct_run(graph, inputs, exact=exact)
    for kind, (op, make) in DEFECTS.items():
        places = [node for node in graph.nodes if node.op == op]
        for index in rng.permutation(len(places)):
            node = places[index]
            with np.errstate(all="ignore"):
                made = make(node.attrs, _decoded(graph, node), [right[name] for name in node.inputs])
            if made is not None and _is_visible(np.asarray(made), right[node.output]):
                with np.errstate(all="ignore"):
                    activations = _run(graph, inputs, node.name, make, exact=exact)
                if all(np.isfinite(array).all() for array in activations.values()):
                    yield Injected(kind, node.name, activations)
                    break


def _is_visible(made: Array, right: Array) -> bool:
    return made.shape == right.shape and bool(np.abs(made - right).max() > VISIBLE * np.abs(right).max())
