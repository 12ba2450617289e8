"""IntegerNetwork: a Graph beside which stand the quantization of each activation and the integers of each bias.

Why a Graph with two tables, and no description of its own: a quantized network *is* a network. Its weights are
ordinary parameters with ``Linear`` or ``IntegerCodebook`` values, so pruning, sharing, Huffman coding and the size of
every section work on them as they do on any others, and ``network.graph`` runs in float32 or float64 as the real
numbers that the integers stand for. Only two things have no place in a Graph: how an activation is quantized, and
biases, whose 32-bit integers no float32 array holds exactly. They stand beside it, by name. All else that integer
arithmetic takes (factors, shifts, clamps) follows from these and is computed where it is used, by the rules of the
runtime.

An activation without a quantization is one that never exists as integers: it is read by a Relu or Clip alone, and
that node becomes the clamp of the operator before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.encodings.huffman import DEFAULT_LIMIT_BITS
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.quantization import Quantization
from refcompress.integer.step import Step, clamp_range
from refcompress.ops import infer_shapes
from refcompress.ops.clip import Clip

FUNCTIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True, eq=False)
class IntegerNetwork:
    """A network of which every activation is quantized.

    Attributes
    ----------
    graph
        The network in real numbers; weights of Conv and Gemm are ``Linear``, with one scale or one for each output
        unit, or an ``IntegerCodebook``; biases are what their integers stand for.
    quantizations
        Of each activation, the inputs included; those fused with the Relu or Clip that reads them have none.
    biases
        Name of the parameter to its int32 integers, for every bias. They count in steps of (input scale * weight
        scale).
    steps
        The integer operators in order: made from the three above.

    Raises
    ------
    ModelError
        A node has no integer form, an activation no quantization, a bias no integers, or they do not fit.

    """

    graph: Graph
    quantizations: Mapping[str, Quantization]
    biases: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    steps: tuple[Step, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("quantizations", "biases"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        infer_shapes(self.graph)
        _check_names(self)
        object.__setattr__(self, "steps", _steps(self))


def _check_names(network: IntegerNetwork) -> None:
    graph = network.graph
    made = [spec.name for spec in graph.inputs] + [node.output for node in graph.nodes]
    unknown = sorted(set(network.quantizations) - set(made))
    if unknown:
        raise ModelError(f"a quantization of {unknown[0]!r}, which is no activation of the network")
    needed = [*(spec.name for spec in graph.inputs), *graph.outputs]
    for name in needed:
        if name not in network.quantizations:
            raise ModelError(f"{name!r} has no quantization; inputs and outputs of the network need one")


def _steps(network: IntegerNetwork) -> tuple[Step, ...]:
    readers: dict[str, list[Node]] = {}
    for node in network.graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    steps = []
    for node in network.graph.nodes:
        if node.op in FUNCTIONS and node.inputs[0] not in network.quantizations:
            continue  # part of the step before
        try:
            steps.append(_step(network, node, readers.get(node.output, [])))
        except ModelError as error:
            raise ModelError(f"node {node.name!r} ({node.op}): {error}") from error
    return tuple(steps)


def _step(network: IntegerNetwork, node: Node, readers: list[Node]) -> Step:
    if node.op not in INTEGER_OPS:
        raise ModelError(f"no integer form; those that have one are {', '.join(INTEGER_OPS)}")
    known, op = network.quantizations, INTEGER_OPS[node.op]
    function = None
    if node.output not in known:
        if not (op.fuses and len(readers) == 1 and readers[0].op in FUNCTIONS and readers[0].output in known):
            raise ModelError(
                f"its output {node.output!r} has no quantization; only what a single quantized Relu or Clip reads "
                "may have none, and not after every operator"
            )
        function = readers[0]
    for name in node.inputs:
        if name not in known:
            raise ModelError(f"it reads {name!r}, which has no quantization")
    output = node.output if function is None else function.output
    alone = node if node.op in FUNCTIONS else function
    low, high = clamp_range(alone, known[output])
    if low > high:
        raise ModelError(f"no integer of {known[output]} lies within the bounds of {alone and alone.attrs}")
    params = {role: network.graph.params[name] for role, name in node.params.items()}
    inputs = tuple(known[name] for name in node.inputs)
    step = Step(node, output, inputs, known[output], low, high, params, _bias(network, node))
    op.check(step)
    return step


def _bias(network: IntegerNetwork, node: Node) -> NDArray[np.int32] | None:
    name = node.params.get("bias")
    if name is None:
        return None
    if name not in network.biases:
        raise ModelError(f"its bias {name!r} has no integers; give them in biases")
    return network.biases[name]


def dequantized(network: IntegerNetwork) -> Graph:
    """Return the network in real numbers with every activation clipped to what its integers can represent.

    What the integers compute differs from it by their roundings alone: at most half a step of each activation, and
    of each rounding inside an operator, carried through the layers behind it. Saturation is part of the graph.

    Parameters
    ----------
    network
        An integer network.

    Returns
    -------
    Graph
        The quantized activations keep their names; ``name/unclipped`` goes before each.

    """
    by_node = {step.node.name: step for step in network.steps}
    nodes: list[Node] = []
    for node in network.graph.nodes:
        step = by_node.get(node.name)
        if step is None:
            continue  # its clamp is the Clip behind the step that it is fused with
        before = f"{step.output}/unclipped"
        least, most = ((bound - step.result.zero_point) * step.result.scale for bound in (step.low, step.high))
        nodes.append(replace(node, output=before))
        nodes.append(Node("Clip", f"{node.name}/range", (before,), step.output, attrs=Clip(least, most)))
    return replace(network.graph, nodes=tuple(nodes))


def real_bias(
    integers: NDArray[np.int32], input_scale: float, weight_scales: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what the integers of a bias stand for: integer * (input scale * weight scale), rounded once to float32.

    Examples
    --------
    >>> real_bias(np.array([4, -1], np.int32), 0.5, np.array([0.25], np.float32))
    array([ 0.5  , -0.125], dtype=float32)

    """
    with np.errstate(over="ignore"):
        return (integers * (input_scale * weight_scales.astype(np.float64))).astype(np.float32)


def smallest(network: IntegerNetwork, *, limit_bits: int | None = DEFAULT_LIMIT_BITS) -> IntegerNetwork:
    """Store the weights of an integer network in the fewest bytes; it computes the same.

    Parameters
    ----------
    network
        An integer network.
    limit_bits
        As :func:`refcompress.encodings.smallest` takes it; None for no entropy coding.

    """
    weights = {node.params["weight"] for node in network.graph.nodes if "weight" in node.params}
    params = {
        name: encodings.smallest(network.graph.params[name], limit_bits=limit_bits, keep_integers=True)
        for name in sorted(weights)
    }
    return replace(network, graph=network.graph.with_params(params))
