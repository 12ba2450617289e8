"""ONNX's operators on single elements: activations, and arithmetic of two operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.onnx.broadcast import align, beside
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.constants import merged
from refcompress.formats.onnx.layout import Form, Tensor, fresh, leaves
from refcompress.formats.onnx.network import Constant, Value
from refcompress.formats.onnx.proto import kind_of

LARGEST = float(np.finfo(np.float32).max)
SELU = (1.67326319217681884765625, 1.05070102214813232421875)  # ONNX's defaults, which are those of the paper


def apply(call: Call, op: str, tensor: Tensor, attrs: Mapping[str, Any] | None = None, part: str = "") -> Tensor:
    """Apply an operator of one input to every element, whatever the order of the axes."""
    groups = tensor.groups
    name = call.emit(op, [call.arrange(tensor, groups)], attrs, part=part)
    return Tensor(tensor.axes, [Form(name, groups)])


def affine(
    call: Call, tensor: Tensor, scale: Value | float | None, bias: Value | float | None, part: str = ""
) -> Tensor:
    """Multiply a tensor by a constant and add one; numbers and constants, None where there is nothing to do."""
    params: dict[str, str] = {}
    arrays = {}
    for role, value in (("scale", scale), ("bias", bias)):
        if isinstance(value, float):
            arrays[role] = Constant(np.array(value))
        elif isinstance(value, Constant):
            arrays[role] = value
    largest = tensor
    for constant in arrays.values():
        largest = beside(call, largest, constant)[3]
    name, groups = "", tensor.groups
    for role, constant in arrays.items():
        name, groups, array, _ = beside(call, largest, constant)
        params[role] = call.param(f"{part}/{role}" if part else role, array, constant.name)
    return call.made(call.emit("Affine", [name], {}, params, part), largest.axes, groups)


def plain(call: Call, **attrs: Any) -> list[Value]:
    """Apply the operator of the same name."""
    return [apply(call, call.op, call.tensor(), attrs)]


def with_numbers(**defaults: float) -> Callable[[Call], list[Value]]:
    """Return how an operator is imported whose attributes are numbers, given ONNX's defaults."""

    def run(call: Call) -> list[Value]:
        return plain(call, **{name: call.number(name, default) for name, default in defaults.items()})

    return run


def gelu(call: Call) -> list[Value]:
    """Operator Gelu, exact or by tanh."""
    return plain(call, approximate=call.text("approximate", "none"))


def selu(call: Call) -> list[Value]:
    """Operator Selu; with other constants than the paper's it is an Elu times gamma."""
    alpha, gamma = call.number("alpha", SELU[0]), call.number("gamma", SELU[1])
    if np.allclose((alpha, gamma), SELU, rtol=1e-6):
        return plain(call)
    return [affine(call, apply(call, "Elu", call.tensor(), {"alpha": alpha}, "elu"), gamma, None)]


def swish(call: Call) -> list[Value]:
    """Operator Swish: x * sigmoid(alpha * x)."""
    alpha, x = call.number("alpha", 1.0), call.tensor()
    if alpha == 1:
        return plain(call)
    scaled = affine(call, x, alpha, None, "scale")
    return [_both(call, "Mul", x, apply(call, "Sigmoid", scaled, part="sigmoid"))]


def p_relu(call: Call) -> list[Value]:
    """Operator PRelu with constant slopes."""
    return [_with_parameter(call, "PRelu", call.tensor(), "slope", 1)]


def clip(call: Call) -> list[Value]:
    """Operator Clip between constants: inputs, or attributes before version 11."""
    least, most = call.number("min", -LARGEST), call.number("max", LARGEST)
    limits = [least, most]
    for i in (1, 2):
        if call.has(i):
            array = call.array(i)
            if array.size != 1:
                raise ModelError(f"its limit is of shape {array.shape}; it must be one number")
            limits[i - 1] = float(array.reshape(()))
    least, most = (min(max(n, -LARGEST), LARGEST) for n in limits)
    least = min(least, most)  # ONNX: everything becomes max
    return [apply(call, "Clip", call.tensor(), {"min": least, "max": most})]


def dropout(call: Call) -> list[Value]:
    """Operators that do nothing at inference."""
    call.ignore("ratio", "seed", "is_test", "consumed_inputs")
    if call.has(2) and bool(call.array(2).any()):
        raise ModelError("it is in training mode; export the model for inference: model.eval()")
    return [call.value(0)]


def cast(call: Call) -> list[Value]:
    """Operator Cast between types of floating point, and from integers and truth values."""
    call.ignore("saturate", "round_mode")
    return [_cast(call, call.tensor(0, "fib"), kind_of(call.integer("to", 1)))]


def cast_like(call: Call) -> list[Value]:
    """Operator CastLike."""
    call.ignore("saturate", "round_mode")
    like = call.value(1)
    kind = like.kind if isinstance(like, Tensor) else {"f": "f", "b": "b"}.get(like.value.dtype.kind, "i")
    value = call.value(0)
    if isinstance(value, Tensor):
        return [_cast(call, call.tensor(0, "fib"), kind)]
    dtype = {"f": np.float32, "i": np.int64, "b": np.bool_}[kind]
    return [merged([array.astype(dtype) for array in value.variants], value.name)]


def _cast(call: Call, x: Tensor, kind: str | None) -> Tensor:
    if kind is None or (kind == "i" and x.kind == "f"):
        raise ModelError("it casts activations to integers or to another type; supported are floats and truth values")
    if kind == "b" and x.kind != "b":
        return replace(apply(call, "NotEqual", x, {"value": 0.0}), kind="b")
    return replace(x, kind=kind)


def _both(call: Call, op: str, *operands: Tensor, part: str = "") -> Tensor:
    aligned = align(call, operands)
    return call.made(call.emit(op, aligned.names, {}, part=part), aligned.axes, aligned.groups)


def _with_parameter(call: Call, op: str, tensor: Tensor, role: str, index: int) -> Tensor:
    """Apply an operator of a tensor and a constant, which is one of the node's inputs."""
    name, groups, array, tensor = beside(call, tensor, call.constant(index))
    params = {role: call.param(role, array, call.source(index))}
    return call.made(call.emit(op, [name], {}, params), tensor.axes, groups)


def _operands(call: Call) -> list[Value]:
    return [call.value(i) for i in range(len(call.inputs))]


def _tensors(call: Call, values: list[Value]) -> list[Tensor]:
    """Check that computed operands are of floating point; constants become activations of the same rank."""
    known = [call.tensor(i) for i, value in enumerate(values) if isinstance(value, Tensor)]
    rank = max(len(tensor.axes) for tensor in known)
    batch_at = next((i for i, group in enumerate(reversed(known[0].axes), 1) if call.batch in leaves(group)), 0)
    tensors = []
    for value in values:
        if isinstance(value, Constant):
            rank = max(rank, value.value.ndim)
            lengths = (1,) * (rank - value.value.ndim) + value.value.shape
            places = zip(lengths, range(rank, 0, -1), strict=True)
            axes = [(call.batch,) if at == batch_at else fresh(n) for n, at in places]
            tensors.append(call.activation(value, axes))
        else:
            tensors.append(value)
    return tensors


def fold_left(op: str) -> Callable[[Call], list[Value]]:
    """Return how Add, Mul, Max and Min are imported; two or more operands, of which some may be constants."""

    def run(call: Call) -> list[Value]:
        values = _operands(call)
        if len(values) == 1:
            return [call.tensor()]
        tensors = [call.tensor(i) for i, value in enumerate(values) if isinstance(value, Tensor)]
        constants = [value for value in values if isinstance(value, Constant)]
        if not constants:
            return [_both(call, op, *tensors)]
        if op in {"Max", "Min"}:
            return [_limited(call, op, tensors, values)]
        result = tensors[0] if len(tensors) == 1 else _both(call, op, *tensors, part="tensors")
        for i, constant in enumerate(constants):
            part = f"constant{i}" if i < len(constants) - 1 else ""
            scale, bias = (constant, None) if op == "Mul" else (None, constant)
            result = affine(call, result, scale, bias, part)
        return [result]

    return run


def _limited(call: Call, op: str, tensors: list[Tensor], values: list[Value]) -> Tensor:
    numbers = [value.value for value in values if isinstance(value, Constant)]
    if len(tensors) == 1 and all(array.size == 1 and np.isfinite(array).all() for array in numbers):
        rank = max(array.ndim for array in numbers)
        if rank <= len(tensors[0].axes):
            limits = [float(array.reshape(())) for array in numbers]
            least, most = (max(limits), LARGEST) if op == "Max" else (-LARGEST, min(limits))
            return apply(call, "Clip", tensors[0], {"min": least, "max": most})
    return _both(call, op, *_tensors(call, values))


def mean(call: Call) -> list[Value]:
    """Operator Mean of several tensors: their sum times the reciprocal of their number."""
    count = len(call.inputs)
    if count == 1:
        return [call.tensor()]
    total = _both(call, "Add", *_tensors(call, _operands(call)), part="sum")
    return [affine(call, total, 1 / count, None)]


def subtract(call: Call) -> list[Value]:
    """Operator Sub."""
    a, b = call.value(0), call.value(1)
    if isinstance(b, Constant):
        return [affine(call, call.tensor(0), None, mapped(b, np.negative))]
    if isinstance(a, Constant):
        return [affine(call, call.tensor(1), -1.0, a)]
    return [_both(call, "Sub", call.tensor(0), call.tensor(1))]


def divide(call: Call) -> list[Value]:
    """Operator Div; a constant divisor becomes a factor, its reciprocal rounded once."""
    a, b = call.value(0), call.value(1)
    if isinstance(b, Constant):
        x = call.tensor(0)
        return [affine(call, x, mapped(b, np.reciprocal), None)]
    if isinstance(a, Constant):
        inverse = apply(call, "Reciprocal", call.tensor(1), part="" if _is_one(a) else "reciprocal")
        return [inverse if _is_one(a) else affine(call, inverse, a, None)]
    return [_both(call, "Div", call.tensor(0), call.tensor(1))]


def _is_one(constant: Constant) -> bool:
    return constant.value.size == 1 and bool((constant.value == 1).all())


def mapped(constant: Constant, function: Callable[[Any], Any]) -> Constant:
    """Return a function of a constant, computed in float64."""
    with np.errstate(all="ignore"):
        return Constant(*(function(array.astype(np.float64)) for array in constant.variants))


def power(call: Call) -> list[Value]:
    """Operator Pow; base or exponent may be constant."""
    base, exponent = call.value(0), call.value(1)
    if isinstance(exponent, Constant):
        return [_with_parameter(call, "Pow", call.tensor(0), "exponent", 1)]
    if not isinstance(base, Constant):
        return [_both(call, "Pow", call.tensor(0), call.tensor(1, "fi"))]
    if base.value.dtype.kind != "f":
        raise ModelError(f"its base is {base.value.dtype}, and so would be its powers; supported is floating point")
    return [_with_parameter(call, "Pow", call.tensor(1, "fi"), "base", 0)]


def negate(call: Call) -> list[Value]:
    """Operator Neg."""
    return [affine(call, call.tensor(), -1.0, None)]


def logical_not(call: Call) -> list[Value]:
    """Operator Not: 1 - x of truth values."""
    return [replace(affine(call, call.tensor(0, "b"), -1.0, 1.0), kind="b")]


def equal(call: Call) -> list[Value]:
    """Operator Equal with one constant number."""
    first = isinstance(call.value(0), Tensor)
    x, array = call.tensor(0 if first else 1, "fib"), call.array(1 if first else 0)
    if array.size != 1 or array.ndim > len(x.axes) or not math.isfinite(float(array.reshape(()))):
        raise ModelError(f"it compares with a constant of shape {array.shape}; supported is one finite number")
    differs = apply(call, "NotEqual", x, {"value": float(array.reshape(()))}, "differs")
    return [replace(affine(call, differs, -1.0, 1.0), kind="b")]


ELEMENTWISE: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {
        "Abs": plain,
        "Add": fold_left("Add"),
        "Cast": cast,
        "CastLike": cast_like,
        "Celu": with_numbers(alpha=1.0),
        "Clip": clip,
        "Div": divide,
        "Dropout": dropout,
        "Elu": with_numbers(alpha=1.0),
        "Equal": equal,
        "Erf": plain,
        "Exp": plain,
        "Gelu": gelu,
        "HardSigmoid": with_numbers(alpha=0.2, beta=0.5),
        "HardSwish": plain,
        "Identity": dropout,
        "LeakyRelu": with_numbers(alpha=0.01),
        "Log": plain,
        "Max": fold_left("Max"),
        "Mean": mean,
        "Min": fold_left("Min"),
        "Mish": plain,
        "Mul": fold_left("Mul"),
        "Neg": negate,
        "Not": logical_not,
        "PRelu": p_relu,
        "Pow": power,
        "Reciprocal": plain,
        "Relu": plain,
        "Selu": selu,
        "Sigmoid": plain,
        "Softplus": plain,
        "Softsign": plain,
        "Sqrt": plain,
        "Sub": subtract,
        "Sum": fold_left("Add"),
        "Swish": swish,
        "Tanh": plain,
        "ThresholdedRelu": with_numbers(alpha=1.0),
    }
)
