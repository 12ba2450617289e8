"""Which layer of another runtime's int8 network is wrong: each is fed the runtime's own integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.integer import IntegerNetwork, compare_runtimes
from refcompress.verify.integers.bounds import carried
from refcompress.verify.integers.judging import INT8, judge_integers, with_coarse_factors
from refcompress.verify.integers.segments import Segment, check_activations, segments
from refcompress.verify.integers.suspects import explain
from refcompress.verify.layers import LONGEST_EXPLAINED, Progress
from refcompress.verify.precision import Float64
from refcompress.verify.verdict import TensorVerdict, Verdict, worst_samples

FEW_SAMPLES = 2


def compare_integer_layers(
    network: IntegerNetwork,
    activations: Mapping[str, NDArray[Any]],
    *,
    causes: bool = True,
    progress: Progress | None = None,
) -> Verdict:
    """Compare a runtime's int8 activations with the network, layer by layer.

    Each layer is run on the integers that the runtime itself gave to its own, once in real numbers with a certain
    bound (:func:`refcompress.verify.integer_bounds`), and once as each known runtime computes it. Where activations
    between two known ones are not given, all that lies between is run as one.

    Parameters
    ----------
    network
        The integer network.
    activations
        Activation of the network to the runtime's int8 integers, batch first; the inputs included.
    causes
        Whether to look for the causes of wrong layers.
    progress
        Called with what is being done and the share that is done.

    Returns
    -------
    Verdict
        One verdict for each activation given but the inputs, in topological order; all numbers count in steps.

    Raises
    ------
    DataError
        An input is missing; an array is of no quantized activation, holds no int8 integers, or does not fit.

    Examples
    --------
    >>> from refcompress.graph import Graph, Node, TensorSpec
    >>> from refcompress.integer import Quantization
    >>> from refcompress.ops import NoAttrs
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (Node("Relu", "act", ("x",), "y", attrs=NoAttrs()),), {})
    >>> network = IntegerNetwork(graph, {"x": Quantization(0.5, 0), "y": Quantization(0.25, -128)})
    >>> x = np.array([[-3, 100]], np.int8)
    >>> compare_integer_layers(network, {"x": x, "y": np.array([[-128, 72]], np.int8)}).tensors[0].follows
    ('tflite', 'tflm', 'cmsis_nn', 'tflm_single_rounding')
    >>> compare_integer_layers(network, {"x": x, "y": np.array([[-128, -28]], np.int8)}).bad[0].cause
    'with a factor half as large (shifted by one bit) it agrees'

    """
    given = check_activations(network, activations)
    tensors: list[TensorVerdict] = []
    seen: set[str] = set()
    for index, segment in enumerate(parts := segments(network, given)):
        if progress:
            progress(segment.step.node.name, index / len(parts))
        tensors.append(_judged(network, segment, given, causes=causes))
        seen |= {node.name for node in segment.network.graph.nodes}
    if progress:
        progress("done", 1.0)
    unseen = tuple(node.name for node in network.graph.nodes if node.name not in seen)
    return Verdict(tuple(tensors), True, unseen, "", "deterministic", INT8)


def _judged(network: IntegerNetwork, segment: Segment, given: Mapping[str, Float64], *, causes: bool) -> TensorVerdict:
    part, step = segment.network, segment.step
    theirs = given[step.output]
    known = {spec.name: given[spec.name] for spec in part.graph.inputs}
    values, bounds = carried(part.steps, known)
    real = values[step.output], bounds[step.output]
    agreements = compare_runtimes(
        part, {name: array.astype(np.int8) for name, array in known.items()}, theirs.astype(np.int8)
    )
    tensor = judge_integers(step.node.name, step.output, theirs, real, agreements)
    nodes = part.graph.nodes
    tensor = replace(tensor, nodes=tuple(node.name for node in nodes), ops=tuple(node.op for node in nodes))
    if tensor.within:
        return tensor
    if causes and len(nodes) <= LONGEST_EXPLAINED:
        samples = worst_samples(theirs, (real[0], np.maximum(real[1], 0.5)), FEW_SAMPLES)
        suspect = explain(network, part, known, theirs, samples=samples)
        if suspect:
            return replace(tensor, cause=f"with {suspect} it agrees")
    return with_coarse_factors(tensor, theirs, real, step.result.zero_point)
