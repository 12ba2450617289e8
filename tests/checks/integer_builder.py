"""Integer networks of several operators, with random weights and quantizations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from checks.forms import USES, Form, integer_forms, make_weight
from checks.integer_networks import linear_weight
from numpy.typing import NDArray

from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.encodings import Encoding
from refcompress.encodings.integers import rows_of, scales_of
from refcompress.integer import IntegerNetwork, Quantization

MOVING = ("Reshape", "Flatten", "Dropout", "Concat", "Pad", "MaxPool", "GlobalMaxPool", "AveragePool")
FIXED = {"Sigmoid": (1 / 256, -128), "Softmax": (1 / 256, -128), "Tanh": (1 / 128, 0)}


class IntegerBuilder:
    """Adds nodes one after the other and names what they make."""

    def __init__(self, seed: int, **inputs: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = tuple(TensorSpec(name, shape) for name, shape in inputs.items())
        self.nodes: list[Node] = []
        self.params: dict[str, Encoding] = {}
        self.biases: dict[str, NDArray[np.int32]] = {}
        self.quantizations = {name: self._quantization() for name in inputs}

    def __call__(
        self,
        op: str,
        *inputs: str,
        weight: tuple[int, ...] | Encoding = (),
        bias: bool = True,
        function: tuple[str, Mapping[str, Any]] | None = None,
        result: Quantization | None = None,
        **attrs: object,
    ) -> str:
        """Add a node, with the function fused with it; return the name of what they make."""
        name = f"n{len(self.nodes)}"
        roles: dict[str, str] = {}
        if not isinstance(weight, tuple) or weight:
            self.params[f"{name} w"] = self._weight(weight) if isinstance(weight, tuple) else weight
            roles["weight"] = f"{name} w"
            result = result or self._fitting(inputs[0], self.params[f"{name} w"])
            if bias:
                roles["bias"] = f"{name} b"
                self._add_bias(roles["bias"], self.quantizations[inputs[0]].scale, self.params[f"{name} w"])
        if op == "Conv":
            attrs = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1, **attrs}
        made = name if function is None else f"{name} wide"
        self.nodes.append(Node(op, name, inputs, made, roles, ops.make_attrs(op, attrs)))
        if function is not None:
            self.nodes.append(Node(function[0], f"{name} f", (made,), name, attrs=ops.make_attrs(*function)))
        moves = op in MOVING
        fixed = Quantization(*FIXED[op]) if op in FIXED else None
        self.quantizations[name] = self.quantizations[inputs[0]] if moves else result or fixed or self._quantization()
        return name

    def network(self, *outputs: str) -> IntegerNetwork:
        """Return the network with these outputs."""
        graph = Graph(self.inputs, outputs, tuple(self.nodes), self.params)
        return IntegerNetwork(graph, self.quantizations, self.biases)

    def samples(self, count: int = 3) -> list[NDArray[np.int8]]:
        """Random inputs, some at the ends of the range."""
        found = []
        for spec in self.inputs:
            known = self.quantizations[spec.name]
            x = self.rng.integers(known.low, known.high + 1, (count, *spec.shape))
            x[self.rng.random(x.shape) < 0.1] = known.low
            x[self.rng.random(x.shape) < 0.1] = known.high
            found.append(x.astype(np.int8))
        return found

    def _quantization(self) -> Quantization:
        zero_point = int(self.rng.choice([-128, 127, int(self.rng.integers(-128, 128))]))
        return Quantization(float(np.exp(self.rng.uniform(-5, -2))), zero_point)

    def _weight(self, shape: tuple[int, ...]) -> Encoding:
        units = shape[-1]
        scales = np.exp(self.rng.uniform(-6, -4, units if self.rng.random() < 0.7 else 1))
        integers = self.rng.integers(-128, 128, shape)
        integers[..., self.rng.random(units) < 0.1] = 0
        return linear_weight(integers, list(scales))

    def _fitting(self, source: str, weight: Encoding) -> Quantization:
        """Make outputs spread over the range of int8, some beyond."""
        spread = np.sqrt(rows_of(weight).astype(np.float64) ** 2).mean() * np.sqrt(rows_of(weight).shape[1])
        scale = self.quantizations[source].scale * float(scales_of(weight).mean()) * max(spread, 1) * 2
        return Quantization(scale, int(self.rng.integers(-128, 128)))

    def _add_bias(self, name: str, source_scale: float, weight: Encoding) -> None:
        units = weight.shape[-1]
        values = self.rng.integers(-(2**13), 2**13, units).astype(np.int32)
        values[self.rng.random(units) < 0.05] = 2**30  # what converters give to dead units
        values = np.where(rows_of(weight).any(axis=1), np.minimum(values, 2**13), values).astype(np.int32)
        self.biases[name] = values
        self.params[name] = encodings.encode(values * source_scale * scales_of(weight))


def use_network(seed: int, use: str, *, forms: list[Form] | None = None) -> tuple[IntegerBuilder, IntegerNetwork]:
    """Build a network with one branch and one output for each form, every second one with a bias."""
    shape, op, weight_shape, attrs = USES[use]
    b = IntegerBuilder(seed, x=shape)
    made = []
    for i, form in enumerate(integer_forms() if forms is None else forms):
        made.append(b(op, "x", weight=make_weight(b.rng, weight_shape, form), bias=bool(i % 2), **attrs))
    made.append(b(op, "x", weight=weight_shape, **attrs))  # dense int8
    return b, b.network(*made)


def grow(b: IntegerBuilder, rng: np.random.Generator) -> str:
    """Add one random operator to what there is; return the name of what it makes."""
    shapes = ops.infer_shapes(Graph(b.inputs, (), tuple(b.nodes), b.params))
    name = str(rng.choice([key for key in shapes if key in b.quantizations]))
    shape = shapes[name]
    function = [None, ("Relu", {}), ("Clip", {"min": 0.0, "max": 1.0})][int(rng.integers(3))]
    kinds = ["Gemm", "Add", "Relu", "Sigmoid", "Tanh", "Softmax", "Flatten"]
    kinds += ["Conv", "Depthwise", "MaxPool", "AveragePool", "GlobalAveragePool", "Pad"] * (len(shape) == 3)
    kind = str(rng.choice(kinds))
    if kind == "Gemm":
        return b("Gemm", name, weight=(shape[-1], int(rng.integers(1, 9))), function=function)
    if kind == "Add":
        twins = [key for key, theirs in shapes.items() if theirs == shape and key in b.quantizations]
        return b("Add", name, str(rng.choice(twins)), function=function)
    if kind == "MaxPool":
        return b(kind, name, kernel_shape=[2, 2], strides=[1, 2], pads=[1, 1, 1, 1], function=function)
    if kind == "AveragePool":
        return b(kind, name, kernel_shape=[2, 2], strides=[2, 1], pads=[1, 1, 1, 1], count_include_pad=False)
    if kind == "Pad":
        return b("Pad", name, pads=rng.integers(0, 3, 4).tolist())
    if kind in ("Conv", "Depthwise"):
        group = shape[2] if kind == "Depthwise" else 1
        kernel = [int(n) for n in rng.integers(1, 4, 2)]
        outputs = shape[2] if group > 1 else int(rng.integers(1, 7))
        more = {"strides": rng.integers(1, 3, 2).tolist(), "pads": [2, 2, 2, 2], "group": group}
        return b("Conv", name, weight=(*kernel, shape[2] // group, outputs), function=function, **more)
    return b(kind, name, **({"keepdims": True} if kind == "GlobalAveragePool" else {}))
