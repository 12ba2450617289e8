"""Functions in the place of layers that compute: arithmetic with constants, activations, sums over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refcompress.formats.keras.call import Call, Tensor
from refcompress.formats.keras.functions.operands import Function, constant, spread
from refcompress.formats.keras.layers.activations import SMALLEST, along, rectified
from refcompress.formats.keras.layers.einsum import two_operands
from refcompress.formats.keras.layers.normalization import unit_vectors

Build = Callable[[Function], str | tuple[str, ...]]

LARGEST = -SMALLEST


def binary(op: str) -> Build:
    """Return what builds an operator of two operands, of which one may be a constant."""

    def build(function: Function) -> str:
        function.check("x2", "y")
        first, second = function.operand(0), function.operand(1)
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            shapes = [function.call.builder.shapes[name] for name in (first.name, second.name)]
            if len(shapes[0]) != len(shapes[1]):  # the batch of one would meet another axis of the other
                raise function.refuse(f"is called on the shapes {shapes[0]} and {shapes[1]} of different ranks")
            return function.on(first.name, second.name).emit(op)
        if isinstance(first, Tensor):
            return _with_constant(function, op, first.name, second, right=True)
        return _with_constant(function, op, function.tensor(1), first, right=False)

    return build


def _with_constant(function: Function, op: str, name: str, value: Any, *, right: bool) -> str:
    source, array = spread(function, name, constant(function, value))
    call = function.on(source)
    if op == "Pow":
        role = "exponent" if right else "base"
        return call.emit("Pow", params={role: call.constant(role, array)})
    if op in {"Max", "Min"}:
        if array.size > 1:
            raise function.refuse("is called with a list of constants; allowed is one number")
        bound = float(array.reshape(()))
        return call.emit("Clip", {"min": bound, "max": LARGEST} if op == "Max" else {"min": SMALLEST, "max": bound})
    if op == "Div" and not right:
        inverse = function.on(source, part="reciprocal").emit("Reciprocal")
        return function.on(inverse).emit("Affine", params={"scale": call.constant("scale", array)})
    if op == "Div":
        if not array.all():
            raise function.refuse("divides by a constant 0")
        return call.emit("Affine", params={"scale": call.constant("scale", 1 / array.astype(np.float64))})
    if op == "Mul":
        return call.emit("Affine", params={"scale": call.constant("scale", array)})
    if op == "Sub" and not right:
        return call.emit("Affine", params={"scale": call.constant("scale", -1.0), "bias": call.constant("bias", array)})
    return call.emit("Affine", params={"bias": call.constant("bias", -array if op == "Sub" else array)})


def unary(op: str, attrs: Mapping[str, Any] | None = None) -> Build:
    """Return what builds an operator of one operand without options."""

    def build(function: Function) -> str:
        function.check()
        return function.on().emit(op, attrs)

    return build


def identity(function: Function) -> str:
    """Return the operand: what only training or memory knows of."""
    return function.tensor()


def cast(function: Function) -> str:
    """Cast to a floating type is nothing; to truth values, whether it is not 0."""
    dtype = function.option("dtype", "DstT")
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    text = str(name).lower().removeprefix("dt_")
    if text == "bool":
        return function.on().emit("NotEqual", {"value": 0.0})
    if text not in {"float16", "bfloat16", "float32", "float", "half", "float64", "double", "mixed_float16"}:
        raise function.refuse(f"casts to {text[:40]}; allowed are floating types")
    return function.tensor()


def square(function: Function) -> str:
    """Square: times itself."""
    function.check()
    return function.on(*(function.tensor(),) * 2).emit("Mul")


def rsqrt(function: Function) -> str:
    """Reciprocal of the square root."""
    root = function.on(part="root").emit("Sqrt")
    return function.on(root).emit("Reciprocal")


def negative(function: Function) -> str:
    """Negative."""
    function.check()
    return function.on().affine(-1.0)


def reduction(op: str) -> Build:
    """Return what builds a sum, mean or extreme over axes; never over the batch."""

    def build(function: Function) -> str:
        function.check("axis", "keepdims", "keep_dims", "dims", "reduction_indices")
        name = function.tensor()
        rank = len(function.call.builder.shapes[name]) + 1
        axes = function.axes("axis", "reduction_indices", "dims", rank=rank)
        if axes is None:
            raise function.refuse("works on all axes, the batch included; allowed are other axes")
        attrs = {"axes": tuple(sorted(axes)), "keepdims": function.flag("keepdims", "keep_dims")}
        return function.on(name).emit(op, attrs)

    return build


def last_axis(op: str) -> Build:
    """Return what builds a softmax along an axis."""

    def build(function: Function) -> str:
        function.check("axis", "dim")
        axis = function.integers("axis", "dim")
        if axis is not None and len(axis) > 1:
            raise function.refuse("works along several axes; allowed is one")
        return along(function.on(), -1 if axis is None else axis[0], op, {})

    return build


def relu(function: Function) -> str:
    """ReLU, also with a slope, a threshold or a maximum."""
    function.check("alpha", "negative_slope", "max_value", "threshold")
    largest = function.option("max_value")
    slope, threshold = (
        function.number("negative_slope", "alpha", default=0.0),
        function.number("threshold", default=0.0),
    )
    return rectified(function.on(), slope, threshold, None if largest is None else function.number("max_value"))


def leaky_relu(function: Function) -> str:
    """LeakyReLU, by default of slope 0.2."""
    function.check("alpha", "negative_slope")
    return function.on().emit("LeakyRelu", {"alpha": function.number("negative_slope", "alpha", default=0.2)})


def with_alpha(op: str) -> Build:
    """Return what builds ELU and CELU."""

    def build(function: Function) -> str:
        function.check("alpha")
        return function.on().emit(op, {"alpha": function.number("alpha", default=1.0)})

    return build


def gelu(function: Function) -> str:
    """GELU, exact or by tanh."""
    function.check("approximate")
    return function.on().emit("Gelu", {"approximate": "tanh" if function.flag("approximate") else "none"})


def clip(function: Function) -> str:
    """Clip to two numbers."""
    function.check("x_min", "x_max", "clip_value_min", "clip_value_max", "min_value", "max_value")
    low = function.number("x_min", "clip_value_min", "min_value", default=SMALLEST)
    high = function.number("x_max", "clip_value_max", "max_value", default=LARGEST)
    return function.on().emit("Clip", {"min": low, "max": high})


def matmul(function: Function) -> str:
    """Matrix product, of two activations or with a constant matrix."""
    function.check("transpose_a", "transpose_b", "adj_x", "adj_y", "b", "x2")
    left, right = function.operand(0), function.operand(1)
    if not isinstance(left, Tensor):
        raise function.refuse("has a constant on its left; allowed is one on its right")
    first = _maybe_swapped(function, left.name, function.flag("transpose_a", "adj_x"), "left")
    if isinstance(right, Tensor):
        second = _maybe_swapped(function, right.name, function.flag("transpose_b", "adj_y"), "right")
        return function.on(first, second).emit("MatMul")
    matrix = constant(function, right)
    if matrix.ndim != 2:
        raise function.refuse(f"has a constant of shape {matrix.shape}; allowed is a matrix")
    call = function.on(first)
    weight = call.constant("kernel", matrix.T if function.flag("transpose_b", "adj_y") else matrix)
    return call.emit("Gemm", params={"weight": weight})


def _maybe_swapped(function: Function, name: str, swap: bool, part: str) -> str:
    call: Call = function.on(name, part=part)
    rank = len(call.shape) + 1
    return call.transpose((*range(rank - 2), rank - 1, rank - 2)) if swap else name


def einsum(function: Function) -> str:
    """Einstein sum of two activations."""
    function.check("subscripts", "equation")
    names = function.tensors()
    text = function.option("subscripts", "equation")
    made = two_operands(function.call, text if isinstance(text, str) else "", *names) if len(names) == 2 else None
    if made is None:
        raise function.refuse(
            f"has the subscripts {str(text)[:60]!r}; allowed are two activations that share the batch"
        )
    return made


def normalize(function: Function) -> str:
    """Vectors of length 1 along axes."""
    function.check("axis", "order", "epsilon", "ord")
    if function.number("order", "ord", default=2) != 2:
        raise function.refuse("has another order than 2")
    name = function.tensor()
    rank = len(function.call.builder.shapes[name]) + 1
    keras3 = function.call.builder.keras3
    epsilon = function.number("epsilon", default=1e-7 if keras3 else 1e-12)
    axes = function.axes("axis", rank=rank) or [rank - 1]
    # TensorFlow states the least square, Keras the least length
    return unit_vectors(function.on(name), sorted(axes), epsilon**2 if keras3 else epsilon)


def not_equal(function: Function) -> str:
    """Whether elements are not equal to a number."""
    return _differing(function, "")


def equal(function: Function) -> str:
    """Whether elements are equal to a number."""
    return function.on(_differing(function, "differs")).emit("NotEqual", {"value": 1.0})


def _differing(function: Function, part: str) -> str:
    function.check("x2", "y")
    first, second = function.operand(0), function.operand(1)
    name, value = (first.name, second) if isinstance(first, Tensor) else (function.tensor(1), first)
    array = constant(function, value)
    if array.size > 1:
        raise function.refuse("compares with a list; allowed is one number")
    return function.on(name, part=part).emit("NotEqual", {"value": float(array.reshape(()))})


def logical_not(function: Function) -> str:
    """Whether elements, 0 or 1, are 0."""
    return function.on().emit("NotEqual", {"value": 1.0})


def ones_like(function: Function) -> str:
    """Ones: no activation is as large as the number it is compared with."""
    function.check("dtype")
    return function.on().emit("NotEqual", {"value": LARGEST})


def zeros_like(function: Function) -> str:
    """Zeros."""
    function.check("dtype")
    ones = function.on(part="ones").emit("NotEqual", {"value": LARGEST})
    return function.on(ones).emit("NotEqual", {"value": 1.0})
