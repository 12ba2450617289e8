"""Computing what is known before a network runs: arithmetic with shapes, and constants made of constants."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.network import MAX_ELEMENTS, Constant, compact
from refcompress.formats.onnx.proto import BFLOAT16, DTYPES, tensor_array
from refcompress.formats.onnx.shape_rules import slice_indices, split_sizes, target_shape

Array = NDArray[Any]

MAX_FOLDED = 1 << 24  # elements of a computed constant; views that repeat elements do not count


def fold(call: Call, constants: Sequence[Constant | None]) -> list[Constant]:
    """Compute the outputs of a node whose inputs are all constants.

    Parameters
    ----------
    call
        The node.
    constants
        Its inputs; None for optional ones that are left out.

    Raises
    ------
    ModelError
        The operator is not among :data:`FOLDED`, the arrays do not fit it, or the result is too large.

    """
    if call.op not in FOLDED:
        raise ModelError("its inputs are all constants, and this operator is not computed while importing")
    count = max((len(constant.variants) for constant in constants if constant), default=1)
    results = []
    for i in range(count):
        arrays = [
            None if constant is None else constant.variants[min(i, len(constant.variants) - 1)]
            for constant in constants
        ]
        results.append(_evaluated(call, arrays))
    return [merged(list(outputs)) for outputs in zip(*results, strict=True)]


def merged(variants: Sequence[Array], name: str = "") -> Constant:
    """Return a constant from what it is for each size of the batch."""
    first, last = variants[0], variants[-1]
    if len(variants) == 1 or (first.shape == last.shape and np.array_equal(compact(first), compact(last))):
        return Constant(first, name=name)
    return Constant(first, last)


def _evaluated(call: Call, arrays: list[Array | None]) -> list[Array]:
    full = [array.shape for array in arrays if array is not None]
    if call.op in _POINTWISE:  # what repeats is computed once
        arrays = [None if array is None else compact(array) for array in arrays]
    if call.op not in _VIEWS:
        have = [array.shape for array in arrays if array is not None]
        elements = sum(map(math.prod, have))
        with contextlib.suppress(ValueError):  # not every operator broadcasts
            elements = max(elements, math.prod(np.broadcast_shapes(*have)))
        if elements > MAX_FOLDED:
            raise ModelError(f"it computes {elements} elements from constants; at most {MAX_FOLDED} are allowed")
    try:
        with np.errstate(all="ignore"):
            outputs = FOLDED[call.op](call, *arrays)
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise ModelError(f"its constants do not fit it: {error}") from error
    results = [np.asarray(array) for array in (outputs if isinstance(outputs, list) else [outputs])]
    if call.op in _POINTWISE:
        results = [np.broadcast_to(results[0], np.broadcast_shapes(*full))]
    if any(array.size > MAX_ELEMENTS for array in results):
        raise ModelError(f"it makes a constant of the shape {results[0].shape}; at most {MAX_ELEMENTS} are allowed")
    return results


def shape_of(call: Call, lengths: Callable[[int], Sequence[int]]) -> list[Constant]:
    """Return what Shape gives for a tensor; ``lengths`` gives its shape for a size of the batch."""
    start, end = call.integer("start", 0), call.attrs.get("end")
    call.ignore("end")
    if end is not None and not isinstance(end, int):
        raise ModelError("its attribute 'end' is no integer")
    return [merged([np.array(list(lengths(n))[start:end], np.int64) for n in call.network.batches])]


def _constant(call: Call) -> Array:
    call.ignore("value", "value_float", "value_floats", "value_int", "value_ints")
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in call.attrs:
            return np.array(call.attrs[name], dtype)
    if "value" not in call.attrs:
        raise ModelError("a constant without a value that is read (numbers)")
    return tensor_array(call.attrs["value"], "its value")


def _dtype(number: int) -> np.dtype[Any]:
    if number not in DTYPES:
        raise ModelError(f"it makes ONNX's type {number}; read are floats, integers and truth values")
    return np.dtype(np.float32 if number == BFLOAT16 else DTYPES[number])


def _cast(call: Call, x: Array) -> Array:
    call.ignore("saturate", "round_mode")
    return x.astype(_dtype(call.integer("to", 1)))


def _axes(call: Call, axes: Array | None) -> list[int] | None:
    given = call.integers("axes")
    return given if axes is None else [int(n) for n in axes.reshape(-1)]


def _unsqueeze(call: Call, x: Array, axes: Array | None = None) -> Array:
    given = _axes(call, axes) or []
    if x.ndim + len(given) > 16:
        raise ModelError("it makes more than 16 axes")
    return np.expand_dims(x, tuple(given))


def _squeeze(call: Call, x: Array, axes: Array | None = None) -> Array:
    given = _axes(call, axes)
    return np.squeeze(x, None if given is None else tuple(given))


def _slice(call: Call, x: Array, *ranges: Array | None) -> Array:
    names = ("starts", "ends", "axes", "steps")
    lists: list[list[int] | None] = [None] * 4
    for i, name in enumerate(names):
        array = ranges[i] if i < len(ranges) else None
        given = call.integers(name) if name != "steps" else None
        lists[i] = given if array is None else [int(n) for n in array.reshape(-1)]
    starts, ends, axes, steps = lists
    axes = list(range(len(starts or []))) if axes is None else axes
    for start, end, axis, step in zip(starts or [], ends or [], axes, steps or [1] * len(axes), strict=True):
        x = np.take(x, slice_indices(start, end, step, x.shape[axis]), axis)
    return x


def _reshape(call: Call, x: Array, shape: Array) -> Array:
    wanted, once = (
        target_shape(x.shape, [int(n) for n in shape.reshape(-1)], keeps=not call.integer("allowzero", 0)),
        compact(x),
    )
    if once.size == 1:
        return np.broadcast_to(once.reshape(()), wanted)
    if once.size < x.size > MAX_FOLDED:
        raise ModelError(f"it makes {x.size} elements of {once.size}; at most {MAX_FOLDED} are allowed")
    return np.asarray(x.reshape(wanted))


def _expand(_call: Call, x: Array, shape: Array) -> Array:
    wanted = tuple(int(n) for n in shape.reshape(-1))
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, wanted))


def _constant_of_shape(call: Call, shape: Array) -> Array:
    value = np.zeros(1, np.float32)
    if "value" in call.attrs:
        value = tensor_array(call.attrs["value"], "its value")
    call.ignore("value")
    return np.broadcast_to(value.reshape(()), tuple(int(n) for n in shape.reshape(-1)))


def _range(_call: Call, start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = (array.reshape(()).item() for array in (start, limit, delta))
    count = max(0, math.ceil((last - first) / step))
    if count > MAX_FOLDED:
        raise ModelError(f"it counts {count} numbers; at most {MAX_FOLDED} are allowed")
    return np.asarray(first + np.arange(count) * step).astype(start.dtype)


def _div(_call: Call, a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.abs(b)  # ONNX's division of integers truncates
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient)).astype(a.dtype)


def _split(call: Call, x: Array, sizes: Array | None = None) -> list[Array]:
    axis = call.axis(call.integer("axis", 0), x.ndim)
    given = call.integers("split") if sizes is None else [int(n) for n in sizes.reshape(-1)]
    call.ignore("num_outputs")
    lengths = split_sizes(x.shape[axis], len(call.outputs), given)
    return np.split(x, np.cumsum(lengths)[:-1], axis)


def _tile(_call: Call, x: Array, repeats: Array) -> Array:
    counts = [int(n) for n in repeats.reshape(-1)]
    if math.prod(counts) * max(1, x.size) > MAX_FOLDED or min(counts, default=1) < 0:
        raise ModelError(f"it repeats {x.size} elements {counts} times; at most {MAX_FOLDED} elements are allowed")
    return np.asarray(np.tile(x, counts))


def _concat(call: Call, *arrays: Array) -> Array:
    return np.concatenate(arrays, call.integer("axis", 0))


def _transpose(call: Call, x: Array) -> Array:
    return x.transpose(call.integers("perm") or list(range(x.ndim))[::-1])


def _gather(call: Call, x: Array, indices: Array) -> Array:
    axis = call.axis(call.integer("axis", 0), x.ndim)
    if indices.size * (x.size // max(1, x.shape[axis])) > MAX_FOLDED or x.ndim + indices.ndim > 16:
        raise ModelError(f"it takes too many elements from a constant; at most {MAX_FOLDED} are allowed")
    return np.take(x, indices, axis)


def _flatten(call: Call, x: Array) -> Array:
    axis = call.integer("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _ufunc(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return a function of NumPy as one of a node; the result keeps the type of the first operand."""

    def run(_call: Call, *arrays: Array) -> Array:
        result = np.asarray(function(*arrays))
        return result if result.dtype == bool else result.astype(arrays[0].dtype)

    return run


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def run(_call: Call, *arrays: Array) -> Array:
        result = arrays[0]
        for array in arrays[1:]:
            result = np.asarray(function(result, array))
        return result

    return run


def _mod(call: Call, a: Array, b: Array) -> Array:
    return np.asarray(np.fmod(a, b) if call.integer("fmod", 0) else np.mod(a, b)).astype(a.dtype)


def _trilu(call: Call, x: Array, k: Array | None = None) -> Array:
    shift = 0 if k is None else int(k.reshape(()))
    return np.asarray(np.triu(x, shift) if call.integer("upper", 1) else np.tril(x, shift))


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(call: Call, x: Array, axes: Array | None = None) -> Array:
        given, keeps = _axes(call, axes), bool(call.integer("keepdims", 1))
        if call.integer("noop_with_empty_axes", 0) and not given:
            return x
        return np.asarray(function(x, axis=tuple(given) if given else None, keepdims=keeps)).astype(x.dtype)

    return run


def _where(_call: Call, condition: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(condition, a, b))


def _identity(_call: Call, x: Array) -> Array:
    return x


def _size(_call: Call, x: Array) -> Array:
    return np.array(x.size, np.int64)


def _shape(call: Call, x: Array) -> Array:
    return shape_of(call, lambda _n: x.shape)[0].value


Function = Callable[..., Array | list[Array]]

# what repeats in their inputs is computed once
_POINTWISE: Mapping[str, Function] = MappingProxyType(
    {
        "Abs": _ufunc(np.abs),
        "Add": _ufunc(np.add),
        "And": _ufunc(np.logical_and),
        "Cast": _cast,
        "Ceil": _ufunc(np.ceil),
        "Div": _div,
        "Equal": _ufunc(np.equal),
        "Exp": _ufunc(np.exp),
        "Floor": _ufunc(np.floor),
        "Greater": _ufunc(np.greater),
        "GreaterOrEqual": _ufunc(np.greater_equal),
        "Less": _ufunc(np.less),
        "LessOrEqual": _ufunc(np.less_equal),
        "Log": _ufunc(np.log),
        "Max": _extreme(np.maximum),
        "Min": _extreme(np.minimum),
        "Mod": _mod,
        "Mul": _ufunc(np.multiply),
        "Neg": _ufunc(np.negative),
        "Not": _ufunc(np.logical_not),
        "Or": _ufunc(np.logical_or),
        "Pow": _ufunc(np.power),
        "Reciprocal": _ufunc(np.reciprocal),
        "Sqrt": _ufunc(np.sqrt),
        "Sub": _ufunc(np.subtract),
        "Where": _where,
    }
)

# these make no new elements, whatever the shapes
_VIEWS: Mapping[str, Function] = MappingProxyType(
    {
        "Constant": _constant,
        "ConstantOfShape": _constant_of_shape,
        "Expand": _expand,
        "Identity": _identity,
        "Reshape": _reshape,
        "Shape": _shape,
        "Size": _size,
        "Squeeze": _squeeze,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)

FOLDED: Mapping[str, Function] = MappingProxyType(
    {
        **_POINTWISE,
        **_VIEWS,
        "Concat": _concat,
        "Flatten": _flatten,
        "Gather": _gather,
        "Range": _range,
        "ReduceMax": _reduction(np.max),
        "ReduceMin": _reduction(np.min),
        "ReduceProd": _reduction(np.prod),
        "ReduceSum": _reduction(np.sum),
        "Slice": _slice,
        "Split": _split,
        "Tile": _tile,
        "Trilu": _trilu,
    }
)
