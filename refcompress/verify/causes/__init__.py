"""The usual suspects: what else a layer may have computed, so that its output is explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from refcompress.encodings import decode, encode
from refcompress.errors import RefcompressError
from refcompress.graph import Graph, Node
from refcompress.ops import infer_shapes
from refcompress.run import run_all
from refcompress.verify.bounds import Model, output_bounds
from refcompress.verify.causes import activations, arrangement, normalization, parameters, recurrent, windows
from refcompress.verify.causes.site import Cause, Site, Variant
from refcompress.verify.precision import Float64
from refcompress.verify.verdict import MEANINGFUL

CAUSES: tuple[Cause, ...] = (
    *windows.CAUSES,
    *normalization.CAUSES,
    *activations.CAUSES,
    *recurrent.CAUSES,
    *parameters.CAUSES,
    *arrangement.CAUSES,
)


def explain(
    graph: Graph,
    part: Graph,
    inputs: Mapping[str, Float64],
    theirs: Float64,
    *,
    samples: Sequence[int],
    model: Model,
    precision: str,
) -> str:
    """Re-run a layer under the usual suspects and say under which one it agrees within its bound.

    Parameters
    ----------
    graph
        The whole network.
    part
        The layer, or what lies between two known activations, as a network of one output.
    inputs
        The framework's inputs to it, by name.
    theirs
        What the framework made of them; it may have another shape than ours.
    samples
        Those that a suspect must explain before it is tried on all.
    model, precision
        Of the bound.

    Returns
    -------
    str
        Completes "with ... it agrees"; empty if no suspect explains the output.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Relu", "act", ("x",), "y", attrs=NoAttrs())
    >>> graph = Graph((TensorSpec("x", (3,)),), ("y",), (node,), {})
    >>> x = np.array([[-1.0, 2.0, 7.0]])
    >>> how = {"samples": [0], "model": "probabilistic", "precision": "float32"}
    >>> explain(graph, graph, {"x": x}, np.clip(x, 0, 6), **how)
    'ReLU6'

    """
    ran = run_all(part, dict(inputs), dtype=np.float64)
    values = {name: np.asarray(value, np.float64) for name, value in ran.items()}
    for node in part.nodes:
        known = theirs if node.output == part.outputs[0] else None
        for variant in variants(graph, node, values, known):
            changed = with_variant(part, node, variant)
            if _agrees(changed, inputs, theirs, samples, model, precision, variant.slack):
                return variant.text if len(part.nodes) == 1 else f"{variant.text} in {node.name!r}"
    return ""


def variants(graph: Graph, node: Node, values: Mapping[str, Float64], theirs: Float64 | None) -> Iterator[Variant]:
    """Yield what a node of a network may have been instead, given all activations and what the framework made."""
    params = {role: decode(graph.params[name]) for role, name in node.params.items()}
    site = Site(graph, node, params, tuple(values[name] for name in node.inputs), theirs)
    for cause in CAUSES:
        if cause.applies_to(node.op):
            yield from cause.variants(site)


def with_variant(part: Graph, node: Node, variant: Variant) -> Graph | None:
    """Put a variant in the place of a node; None if the network does not allow it."""
    nodes: list[Node] = []
    for other in part.nodes:
        nodes.extend(variant.nodes if other is node else [other])
    params = {**part.params, **{name: encode(array) for name, array in variant.params.items()}}
    try:
        return dataclasses.replace(part, nodes=tuple(nodes), params=params)
    except RefcompressError:
        return None


def _agrees(
    part: Graph | None,
    inputs: Mapping[str, Float64],
    theirs: Float64,
    samples: Sequence[int],
    model: Model,
    precision: str,
    slack: float,
) -> bool:
    """Whether a changed layer explains the output, on some samples and then on all; one that cannot run does not."""
    try:
        if part is None or infer_shapes(part)[part.outputs[0]] != theirs.shape[1:]:
            return False
        for some in (list(samples), list(range(len(theirs)))):
            few = {name: array[some] for name, array in inputs.items()}
            (value,), (bound,) = output_bounds(part, few, model=model, precision=precision)
            if not _is_within(theirs[some], value, slack * bound):
                return False
    except RefcompressError:
        return False
    return True


def _is_within(theirs: Float64, value: Float64, bound: Float64) -> bool:
    """Whether each element is within; bounds that are infinite or large beside the values prove nothing."""
    with np.errstate(invalid="ignore"):
        within = bool((np.abs(theirs - value) <= bound).all())
    return within and float(bound.mean()) <= MEANINGFUL * float(np.abs(value).max())
