"""Integer networks of one operator, built by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Dense, Linear, encode
from refcompress.encodings.rows import to_rows
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import IntegerNetwork, Quantization
from refcompress.ops import make_attrs


def linear_weight(integers: NDArray[Any], scales: Sequence[float], zero_point: int = 0) -> Dense:
    """Store integers from -128 to 127 as a weight of 8 bits."""
    stream = Bits((to_rows(integers).reshape(-1) + 128).astype(np.uint16), 8)
    points = np.full(len(scales), 128 + zero_point, np.uint16)
    return Dense(integers.shape, Linear(stream, 8, np.asarray(scales, np.float32), points))


def single(
    op: str,
    attrs: Mapping[str, Any],
    inputs: Sequence[tuple[tuple[int, ...], Quantization]],
    result: Quantization,
    *,
    weight: Dense | None = None,
    bias: NDArray[np.int32] | None = None,
    function: tuple[str, Mapping[str, Any]] | None = None,
) -> IntegerNetwork:
    """Return a network of one operator, with an activation function behind it if there is one."""
    specs = tuple(TensorSpec(f"x{i}", shape) for i, (shape, _) in enumerate(inputs))
    quantizations = {spec.name: quantization for spec, (_, quantization) in zip(specs, inputs, strict=True)}
    params, roles, biases = {}, {}, {}
    if weight is not None:
        params["w"], roles["weight"] = weight, "w"
    if bias is not None:
        assert weight is not None
        assert isinstance(weight.values, Linear)
        params["b"], roles["bias"], biases["b"] = encode(bias * inputs[0][1].scale * weight.values.scales), "b", bias
    made = "y" if function is None else "y/linear"
    names = tuple(spec.name for spec in specs)
    nodes = [Node(op, "node", names, made, roles, make_attrs(op, attrs))]
    if function is not None:
        nodes.append(Node(function[0], "function", (made,), "y", attrs=make_attrs(*function)))
    quantizations["y"] = result
    return IntegerNetwork(Graph(specs, ("y",), tuple(nodes), params), quantizations, biases)
