"""Parts of an integer network between activations that are known, and checks of arrays of integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.graph import Graph, TensorSpec
from refcompress.integer import IntegerNetwork
from refcompress.integer.step import Step
from refcompress.ops import infer_shapes
from refcompress.verify.precision import Float64


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of an integer network between activations that are known.

    Attributes
    ----------
    network
        Its operators as a network: the inputs are what is known before it, the only output what is known after it.
    step
        The last of them; the segment has its name.

    """

    network: IntegerNetwork
    step: Step


def segments(network: IntegerNetwork, given: Mapping[str, Float64]) -> list[Segment]:
    """Cut a network at the activations that are given."""
    return [_segment(network, step, given) for step in network.steps if step.output in given]


def _segment(network: IntegerNetwork, last: Step, given: Mapping[str, Float64]) -> Segment:
    """Go back from a step to the activations that are known."""
    makers = {step.output: step for step in network.steps}
    needed, known, left = {last.output}, dict[str, None](), [last]
    while left:
        for name in left.pop().node.inputs:
            if name in given:
                known[name] = None
            elif name not in needed:
                needed.add(name)
                left.append(makers[name])
    made = needed | {step.node.output for step in network.steps if step.output in needed}
    nodes = tuple(node for node in network.graph.nodes if node.output in made)
    inputs = tuple(TensorSpec(name, given[name].shape[1:]) for name in known)
    params = {name: network.graph.params[name] for node in nodes for name in node.params.values()}
    graph = Graph(inputs, (last.output,), nodes, params)
    quantizations = {name: found for name, found in network.quantizations.items() if name in needed | known.keys()}
    biases = {name: found for name, found in network.biases.items() if name in params}
    part = IntegerNetwork(graph, quantizations, biases)
    return Segment(part, part.steps[-1])


def check_activations(network: IntegerNetwork, activations: Mapping[str, NDArray[Any]]) -> dict[str, Float64]:
    """Return a runtime's activations as whole numbers in float64, checked.

    Raises
    ------
    DataError
        An input is missing; an array is of no quantized activation, holds no integers, or has another shape or number
        of samples.

    """
    shapes, given = infer_shapes(network.graph), dict[str, Float64]()
    for name, value in activations.items():
        if name not in network.quantizations:
            known = ", ".join(sorted(network.quantizations))
            raise DataError(f"{name!r} is no quantized activation of the network; they are {known}")
        array = check_integer_array(name, value, shapes[name])
        first = next(iter(given.values()), array)
        if len(array) != len(first):
            raise DataError(f"{name!r} holds {len(array)} samples and {next(iter(given))!r} {len(first)}")
        given[name] = array
    for spec in network.graph.inputs:
        if spec.name not in given:
            raise DataError(f"the input {spec.name!r} is missing; give the activations with the inputs they belong to")
    return given


def check_integer_array(name: str, value: NDArray[Any], shape: tuple[int, ...]) -> Float64:
    """Return an array of int8 integers as float64.

    Raises
    ------
    DataError
        It holds something else, or has another shape than (samples, *shape).

    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name!r} holds {array.dtype}; an activation of an integer model holds integers")
    if array.shape[1:] != shape or not array.ndim or not len(array):
        raise DataError(
            f"{name!r} has the shape {array.shape}; it must be (samples, {', '.join(map(str, shape))}) with at least "
            "one sample"
        )
    if not -128 <= int(array.min()) <= int(array.max()) <= 127:
        raise DataError(f"{name!r} runs from {array.min()} to {array.max()}; int8 from -128 to 127 (uint8 less 128)")
    return array.astype(np.float64)
