"""Which layer of another framework is wrong: each is fed the framework's own inputs to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import infer_shapes
from refcompress.verify.bounds import Model, output_bounds
from refcompress.verify.causes import explain
from refcompress.verify.precision import Float64, find_precision
from refcompress.verify.verdict import (
    Bounded,
    State,
    TensorVerdict,
    Verdict,
    grid_of,
    judge,
    with_precision,
    worst_samples,
)

Progress = Callable[[str, float], None]

LONGEST_EXPLAINED = 8  # nodes between two known activations in which causes are looked for
FEW_SAMPLES = 2  # on which a suspect is tried before it is tried on all


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the network between activations that are known.

    Attributes
    ----------
    graph
        Its nodes as a network: the inputs are what is known before it, the only output what is known after it.
    node
        The node that makes the output; the segment has its name.

    """

    graph: Graph
    node: Node


def compare_layers(
    graph: Graph,
    activations: Mapping[str, NDArray[Any]],
    *,
    model: Model = "probed",
    precision: str = "float32",
    causes: bool = True,
    progress: Progress | None = None,
) -> Verdict:
    """Compare a framework's activations with the network, layer by layer.

    Each layer is run in float64 on the inputs that the framework itself gave to its own: these are exact, so that
    the bound holds the errors of one layer only, at any depth. Where activations between two known ones are not
    given (fused or folded layers), all that lies between is run as one.

    Parameters
    ----------
    graph
        The network.
    activations
        Activation of the graph to the framework's array, batch first; the inputs included. Of float32 frameworks
        float32, not rounded or widened by way of another type.
    model
        Error model of :func:`refcompress.verify.bounds.error_bounds`; for a layer of one node ``"probed"`` is
        ``"probabilistic"``.
    precision
        What the framework is expected to compute in; what only a lower one explains is not within.
    causes
        Whether to look for the causes of wrong layers.
    progress
        Called with what is being done and the share that is done.

    Returns
    -------
    Verdict
        One verdict for each activation given but the inputs, in topological order.

    Raises
    ------
    DataError
        An input is missing; an array is of no activation, holds no real numbers, or differs in its number of samples.
    OptionError
        There is no such model or precision.

    Examples
    --------
    >>> from refcompress.ops import NoAttrs
    >>> nodes = [Node("Relu", f"relu{i}", (f"a{i}",), f"a{i + 1}", attrs=NoAttrs()) for i in range(3)]
    >>> graph = Graph((TensorSpec("a0", (2,)),), ("a3",), tuple(nodes), {})
    >>> x = np.array([[1.0, -1.0]], np.float32)
    >>> wrong = np.array([[1.0, -0.25]], np.float32)
    >>> verdict = compare_layers(graph, {"a0": x, "a1": np.maximum(x, 0), "a2": np.abs(wrong), "a3": np.abs(wrong)})
    >>> verdict.first_bad, [layer.state for layer in verdict.tensors]
    ('relu1', ['within', 'wrong', 'within'])

    """
    find_precision(precision)
    given = _given(graph, activations)
    tensors: list[TensorVerdict] = []
    seen: set[str] = set()
    for index, segment in enumerate(segments := _segments(graph, given)):
        if progress:
            progress(segment.node.name, index / len(segments))
        tensors.append(_judged(graph, segment, given, model, precision, causes=causes))
        seen |= {node.name for node in segment.graph.nodes}
    if progress:
        progress("done", 1.0)
    unseen = tuple(node.name for node in graph.nodes if node.name not in seen)
    return Verdict(tuple(tensors), True, unseen, "", model, precision)


def _given(graph: Graph, activations: Mapping[str, NDArray[Any]]) -> dict[str, Float64]:
    """Check the framework's arrays."""
    names = {*(spec.name for spec in graph.inputs), *(node.output for node in graph.nodes)}
    given: dict[str, Float64] = {}
    for name, value in activations.items():
        array = np.asarray(value)
        if name not in names:
            raise DataError(f"{name!r} is no activation of the network; they are {', '.join(sorted(names))}")
        if array.dtype.kind not in "fiub":
            raise DataError(f"{name!r} holds {array.dtype}; an activation holds real numbers")
        if not array.ndim or not len(array):
            raise DataError(f"{name!r} has the shape {array.shape}; give at least one sample, batch first")
        first = next(iter(given.values()), array)
        if len(array) != len(first):
            raise DataError(f"{name!r} holds {len(array)} samples and {next(iter(given))!r} {len(first)}")
        given[name] = array.astype(np.float64)
    for spec in graph.inputs:
        if spec.name not in given:
            raise DataError(f"the input {spec.name!r} is missing; give the activations with the inputs they belong to")
        if given[spec.name].shape[1:] != spec.shape:
            raise DataError(f"the input {spec.name!r} has the shape {given[spec.name].shape[1:]}, not {spec.shape}")
        if not np.isfinite(given[spec.name]).all():
            raise DataError(f"the input {spec.name!r} is not finite")
    return given


def _segments(graph: Graph, given: Mapping[str, Float64]) -> list[Segment]:
    return [_segment(graph, node, given) for node in graph.nodes if node.output in given]


def _segment(graph: Graph, last: Node, given: Mapping[str, Float64]) -> Segment:
    """Go back from a node to the activations that are known."""
    makers = {node.output: node for node in graph.nodes}
    needed, known, left = {last.name}, dict[str, None](), [last]
    while left:
        for name in left.pop().inputs:
            if name in given:
                known[name] = None
            elif (maker := makers[name]).name not in needed:
                needed.add(maker.name)
                left.append(maker)
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    inputs = tuple(TensorSpec(name, given[name].shape[1:]) for name in known)
    params = {name: graph.params[name] for node in nodes for name in node.params.values()}
    return Segment(Graph(inputs, (last.output,), nodes, params), last)


def _judged(
    graph: Graph,
    segment: Segment,
    given: Mapping[str, Float64],
    model: Model,
    precision: str,
    *,
    causes: bool,
) -> TensorVerdict:
    part, theirs = segment.graph, given[segment.node.output]
    inputs = {spec.name: given[spec.name] for spec in part.inputs}
    try:
        shape = infer_shapes(part)[segment.node.output]
    except ModelError as error:
        return _unlike(segment, "not comparable", f"what it is fed does not fit: {error}")
    if not all(np.isfinite(array).all() for array in inputs.values()):
        return _unlike(segment, "not comparable", "what it is fed is not finite")
    bounded = partial(_bounded, part, inputs, model)
    everything = range(len(theirs))
    samples: Sequence[int] = everything[:FEW_SAMPLES]
    if theirs.shape[1:] == shape:
        ours = bounded(precision, everything)
        tensor = judge(segment.node.name, segment.node.output, theirs, ours, precision)
        tensor = replace(tensor, **_parts(segment))
        if tensor.within:
            return tensor
        samples = worst_samples(theirs, ours, FEW_SAMPLES)
        tensor = _in_lower_precision(tensor, theirs, bounded, precision, on_grid=True)
    else:
        tensor = _unlike(segment, "wrong", f"its shape is {theirs.shape[1:]} where ours is {shape}")
    if tensor.state == "wrong" and causes and len(part.nodes) <= LONGEST_EXPLAINED:
        suspect = explain(graph, part, inputs, theirs, samples=samples, model=model, precision=precision)
        tensor = replace(tensor, cause=f"with {suspect} it agrees") if suspect else tensor
    if tensor.state == "wrong" and not tensor.cause:
        tensor = _in_lower_precision(tensor, theirs, bounded, precision, on_grid=False)
    return tensor


def _bounded(
    part: Graph, inputs: Mapping[str, Float64], model: Model, precision: str, samples: Sequence[int]
) -> Bounded:
    some = {name: array[list(samples)] for name, array in inputs.items()}
    (value,), (bound,) = output_bounds(part, some, model=model, precision=precision)
    return value, bound


def _in_lower_precision(
    tensor: TensorVerdict,
    theirs: Float64,
    bounded: Callable[[str, Sequence[int]], Bounded],
    precision: str,
    *,
    on_grid: bool,
) -> TensorVerdict:
    """Look for a lower precision first where the array lies on the grid of one, else only after all causes."""
    if (grid_of(theirs) is not None) != on_grid:
        return tensor
    return with_precision(tensor, theirs, bounded, precision, stored=True)


def _parts(segment: Segment) -> dict[str, Any]:
    nodes = segment.graph.nodes
    return {"nodes": tuple(node.name for node in nodes), "ops": tuple(node.op for node in nodes)}


def _unlike(segment: Segment, state: State, why: str) -> TensorVerdict:
    """Return the verdict on an array that cannot be compared element by element."""
    return TensorVerdict(
        name=segment.node.name,
        array=segment.node.output,
        state=state,
        precision="",
        cause=why,
        max_difference=math.inf,
        max_ratio=math.inf,
        worst=(),
        max_bound=0.0,
        max_value=0.0,
        **_parts(segment),
    )
