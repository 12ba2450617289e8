"""Keras's attention layers: MultiHeadAttention, Attention and AdditiveAttention, with their masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Array, Call, Tensor
from refcompress.formats.keras.config import Shape, choice, flag, integer, is_int, number, refuse
from refcompress.formats.keras.layers.activations import FAR, hidden

MAX_SCORES = 2**26

HEADS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


def multi_head_attention(call: Call) -> str | tuple[str, ...]:
    """Layer MultiHeadAttention over one axis of time; query, value and, if it is another one, key."""
    _check_heads(call)
    query, value, key, masks = _heads_given(call)
    for name in (query, value, key):
        if len(call.builder.shapes[name]) != 2:
            raise ModelError(
                f"{call.layer}: its input {name!r} has the shape {call.builder.shapes[name]}; allowed is (steps, "
                "features); save a model with one axis of time"
            )
    heads, size = integer(call.layer, "num_heads"), integer(call.layer, "key_dim")
    value_size = size if call.layer.config.get("value_dim") is None else integer(call.layer, "value_dim")
    # in the order in which Keras creates them
    queries = _projected(call, "query", query, heads, size)
    keys = _projected(call, "key", key, heads, size)
    values = _projected(call, "value", value, heads, value_size)
    scaled = call.then(queries, part="scaled").affine(1 / math.sqrt(size))
    scores = call.then(scaled, _swapped(call, keys, "keys"), part="scores").emit("MatMul")
    weights, mask = _softmax(call, scores, masks)
    returned = bool(call.kwargs.get("return_attention_scores"))
    if mask is not None and call.builder.keras3 and (returned or number(call.layer, "dropout", 0.0) > 0):
        weights = call.then(weights, mask, part="counted").emit("Mul")  # zeros where all is masked
    context = call.then(weights, values, part="context").emit("MatMul")
    made = _output(call, context, call.builder.shapes[query][-1])
    own = call.builder.masks.get(query)
    if call.builder.keras3:
        # it takes the masks off its inputs, so that layers called after it do not see them
        for name in (query, value, key):
            call.builder.masks.pop(name, None)
    if own is not None:
        call.builder.masks[made] = own
    return (made, weights) if returned else made


def _check_heads(call: Call) -> None:
    if call.layer.config.get("attention_axes") not in (None, 1, [1], -2, [-2]):
        raise refuse(call.layer, "attention_axes", "1 (the time steps)")
    for option in ("use_gate", "flash_attention"):
        if call.layer.config.get(option) is not None and flag(call.layer, option, default=False):
            raise refuse(call.layer, option, "false")


def _heads_given(call: Call) -> tuple[str, str, str, list[str | Array]]:
    """Return query, value, key and the masks that count, each (steps of the query or 1, steps of the value or 1)."""
    given = dict(zip(HEADS, _flat(call.args), strict=False)) | dict(call.kwargs)
    found: dict[str, Any] = {name: given[name].name for name in HEADS if isinstance(given.get(name), Tensor)}
    if "query" not in found or "value" not in found:
        raise ModelError(f"{call.layer}: it is called without a query or without a value; save the model again")
    query, value = found["query"], found["value"]
    key = found.get("key", value)
    shapes, own = call.builder.shapes, call.builder.masks
    masks: list[str | Array] = []
    for name, activation, column in (
        ("query_mask", query, True),
        ("value_mask", value, False),
        ("key_mask", key, False),
    ):
        mask = found.get(name, own.get(activation))
        if mask is not None:
            steps = shapes[mask][-1]
            masks.append(call.then(mask, part=name).reshape((1, steps, 1) if column else (1, 1, steps)))
    if "attention_mask" in found:
        mask = found["attention_mask"]
        shape = shapes[mask]
        masks.append(call.then(mask, part="attention_mask").reshape((1, *shape)) if len(shape) == 2 else mask)
    pairs = shapes[query][0], shapes[value][0]
    if bool(given.get("use_causal_mask")):
        masks.append((_distance(call, *pairs) >= 0).astype(np.float32))
    if call.layer.config.get("sliding_window") is not None:
        masks.append((np.abs(_distance(call, *pairs)) < integer(call.layer, "sliding_window")).astype(np.float32))
    return query, value, key, masks


def _distance(call: Call, rows: int, columns: int) -> NDArray[np.int64]:
    """Return how many steps each query lies behind each value."""
    if rows * columns > MAX_SCORES:
        raise ModelError(f"{call.layer}: {rows} steps attend to {columns}; allowed are {MAX_SCORES} pairs")
    return np.arange(rows)[:, None] - np.arange(columns)


def _flat(args: tuple[Any, ...]) -> list[Any]:
    first = args[0] if args else None
    return [*first, *args[1:]] if isinstance(first, list) else list(args)


def _projected(call: Call, name: str, source: str, heads: int, size: int) -> str:
    """Return (heads, steps, size): a matrix product, cut into heads."""
    inner = call.inside(name).then(source)
    steps, features = inner.shape
    made = inner.emit("Gemm", params=_dense(inner, (features, heads, size), (features, heads * size), (heads, size)))
    split = inner.then(made, part="heads").reshape((steps, heads, size))
    return inner.then(split, part="heads").transpose((0, 2, 1, 3))


def _output(call: Call, context: str, features: int) -> str:
    heads, steps, size = call.builder.shapes[context]
    inner = call.inside("attention_output").then(context)
    merged = inner.then(inner.transpose((0, 2, 1, 3)), part="merged").reshape((steps, heads * size))
    shape = call.layer.config.get("output_shape")
    sizes = [features] if shape is None else shape if isinstance(shape, list) else [shape]
    if not all(is_int(item) and item > 0 for item in sizes):
        raise refuse(call.layer, "output_shape", "integers of at least 1")
    flat = inner.then(merged)
    params = _dense(flat, (heads, size, *sizes), (heads * size, math.prod(sizes)), tuple(sizes))
    return flat.then(flat.emit("Gemm", params=params), part="shape").reshape((steps, *sizes))


def _dense(call: Call, stored: Shape, shape: Shape, bias: Shape) -> dict[str, str]:
    params = {"weight": call.param("kernel", ["kernel"], stored, lambda array: array.reshape(shape))}
    if flag(call.layer, "use_bias", default=True):
        params["bias"] = call.param("bias", ["bias"], bias, lambda array: array.reshape(-1))
    return params


def _swapped(call: Call, name: str, part: str) -> str:
    axes = len(call.builder.shapes[name]) + 1
    return call.then(name, part=part).transpose((*range(axes - 2), axes - 1, axes - 2))


def _softmax(call: Call, scores: str, masks: list[str | Array]) -> tuple[str, str | None]:
    """Return the weights of all steps, and the mask that depends on the input, if there is one."""
    for index, fixed in enumerate(mask for mask in masks if isinstance(mask, np.ndarray)):
        inner = call.then(scores, part=f"allowed{index or ''}")
        params = {"scale": inner.constant("scale", fixed), "bias": inner.constant("bias", FAR * (fixed - 1))}
        scores = inner.emit("Affine", params=params)
    names = list(dict.fromkeys(mask for mask in masks if isinstance(mask, str)))
    mask = None
    if names:
        mask = call.then(*names, part="mask").emit("Min") if len(names) > 1 else names[0]
        scores = hidden(call, scores, mask)
    return call.then(scores, part="weights").emit("Softmax"), mask


def attention(call: Call) -> str | tuple[str, ...]:
    """Layer Attention (Luong): called on a list of query, value and, if it is another one, key."""
    query, value, key = _listed(call)
    scale = None
    if flag(call.layer, "use_scale", default=False):
        scale = call.param("scale", ["scale"], (), lambda array: array.reshape(1))
    if choice(call.layer, "score_mode", ("dot", "concat"), "dot") == "dot":
        scores = call.then(query, _swapped(call, key, "keys"), part="scores").emit("MatMul")
        if scale is not None:
            scores = call.then(scores, part="scaled").emit("Affine", params={"scale": scale})
    else:
        weight = call.param("concat_score_weight", ["concat_score_weight"], (), lambda array: array.reshape(1))
        total = _sums(call, query, key)
        if scale is not None:
            total = call.then(total, part="scaled").emit("Affine", params={"scale": scale})
        total = call.then(total, part="tanh").emit("Tanh")
        total = call.then(total, part="total").emit("ReduceSum", {"axes": (3,), "keepdims": False})
        scores = call.then(total, part="scores").emit("Affine", params={"scale": weight})
    return _attended(call, scores, query, value)


def additive_attention(call: Call) -> str | tuple[str, ...]:
    """Layer AdditiveAttention (Bahdanau)."""
    query, value, key = _listed(call)
    made = call.then(_sums(call, query, key), part="tanh").emit("Tanh")
    if flag(call.layer, "use_scale", default=True):
        scale = call.param("scale", ["scale"], (call.builder.shapes[query][-1],))
        made = call.then(made, part="scaled").emit("Affine", params={"scale": scale})
    scores = call.then(made, part="scores").emit("ReduceSum", {"axes": (3,), "keepdims": False})
    return _attended(call, scores, query, value)


def _listed(call: Call) -> tuple[str, str, str]:
    if len(call.inputs) not in {2, 3} or any(len(shape) != 2 for shape in call.shapes):
        raise ModelError(
            f"{call.layer}: it is called on inputs of shapes {call.shapes}; it takes two or three of (steps, features)"
        )
    query, value = call.inputs[:2]
    return query, value, call.inputs[-1]


def _sums(call: Call, query: str, key: str) -> str:
    """Return every query plus every key: (steps, steps, features)."""
    rows, features = call.builder.shapes[query]
    columns, _ = call.builder.shapes[key]
    left = call.then(query, part="rows").reshape((rows, 1, features))
    right = call.then(key, part="columns").reshape((1, columns, features))
    return call.then(left, right, part="sums").emit("Add")


def _attended(call: Call, scores: str, query: str, value: str) -> str | tuple[str, ...]:
    own, counted = _masks(call, query, value)
    rows, columns = call.builder.shapes[scores]
    masks: list[str | Array] = []
    if counted is not None:
        masks.append(call.then(counted, part="value_mask").reshape((1, columns)))
    if bool(call.kwargs.get("use_causal_mask")) or flag(call.layer, "causal", default=False):
        masks.append((_distance(call, rows, columns) >= 0).astype(np.float32))
    weights, _ = _softmax(call, scores, masks)
    made = call.then(weights, value, part="context" if own else "").emit("MatMul")
    if own is not None:
        column = call.then(own, part="query_mask").reshape((rows, 1))
        made = call.then(made, column).emit("Mul")
        call.builder.masks[made] = own
    return (made, weights) if call.kwargs.get("return_attention_scores") else made


def _masks(call: Call, query: str, value: str) -> tuple[str | None, str | None]:
    """Return the masks of query and value: those it is called with, or else their own."""
    given = call.kwargs.get("mask")
    if isinstance(given, list):
        names = [item.name if isinstance(item, Tensor) else None for item in given]
        return names[0], names[1] if len(names) > 1 else None
    return call.builder.masks.get(query), call.builder.masks.get(value)
