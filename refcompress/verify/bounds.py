"""How far a framework's computation of a network may be from the float64 reference, activation by activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.ops import infer_shapes, weights
from refcompress.run import run_all
from refcompress.verify.precision import (
    Float64,
    Gamma,
    Precision,
    certain_gamma,
    find_precision,
    finished,
    node_bound,
    probabilistic_gamma,
)
from refcompress.verify.probes import probed_bounds

Model = Literal["deterministic", "probabilistic", "probed"]

GAMMAS: Mapping[str, Gamma] = MappingProxyType(
    {"deterministic": certain_gamma, "probabilistic": probabilistic_gamma, "probed": probabilistic_gamma}
)
ELEMENTS_AT_ONCE = 1 << 22  # of activations; five float64 arrays of each are held in memory


def error_bounds(
    graph: Graph, inputs: Any, *, model: Model = "deterministic", precision: str = "float32"
) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """Run a network in float64 and bound the error of any computation of it in a precision.

    Covered is every computation of the usual formulas, round to nearest, products and sums in any order, fused or
    not, denormals kept or flushed, with functions of the accuracy that ``refcompress.ops`` grants (8 ULP for exp,
    tanh and the logistic function). Not covered: overflow (the bound is then infinite), Winograd or FFT convolution.

    Parameters
    ----------
    graph
        The network.
    inputs
        As for :func:`refcompress.run.run`; values that the precision cannot hold count as rounded to it.
    model
        ``"deterministic"``: n roundings amount to at most n u / (1 - n u), with certainty.

        ``"probabilistic"``: about 6 sqrt(n) u, with a probability of failure of at most 3e-8 for each sum.
        In both, the errors of a layer's inputs add up in the worst way, so that after several layers the bounds
        exceed the values themselves.

        ``"probed"``: the errors are carried on by the network itself (:mod:`refcompress.verify.probes`), to first
        order and with a probability of failure of about 3e-8 for each element; where the probabilistic bound is
        smaller, that one. It stays meaningful for deep networks, and costs 32 runs more. In a network of a single
        node there is nothing to carry, and no probe is run.
    precision
        Key of :data:`refcompress.verify.precision.PRECISIONS`: ``"float32"``, ``"tf32"``, ``"float16"`` and
        ``"bfloat16"`` (weights and activations), ``"bfloat16_products"``, ``"float16_sums"``, ``"bfloat16_sums"``.

    Returns
    -------
    reference
        Every activation by name, inputs included, float64, batch first.
    bounds
        How far the framework's values may be from it, same shapes.

    Raises
    ------
    OptionError
        There is no such model or precision.
    DataError
        The inputs do not fit the network.

    Examples
    --------
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Add", "sum", ("x", "x"), "y", attrs=NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})
    >>> reference, bounds = error_bounds(graph, np.array([[1.0, 0.5]]))
    >>> (bounds["y"] * 2**24).round(3)
    array([[2., 1.]])

    """
    if model not in GAMMAS:
        raise OptionError(f"no error model is named {model!r}; there are {', '.join(GAMMAS)}")
    kind = find_precision(precision)
    reference = {
        name: np.asarray(value, np.float64) for name, value in run_all(graph, inputs, dtype=np.float64).items()
    }
    errors = {}
    with np.errstate(all="ignore"), weights.kept():
        for spec in graph.inputs:
            errors[spec.name] = np.abs(reference[spec.name] - kind.storage.rounded(reference[spec.name]))
        bounds = _worst_case(graph, reference, errors, GAMMAS[model], kind)
        if model == "probed" and len(graph.nodes) > 1:
            probed = probed_bounds(graph, reference, errors, kind)
            probed = _without_overflow(graph, reference, probed, kind)
            bounds = {name: np.minimum(bound, probed[name]) for name, bound in bounds.items()}
    return reference, bounds


def _worst_case(
    graph: Graph, reference: dict[str, Float64], errors: dict[str, Float64], gamma: Gamma, precision: Precision
) -> dict[str, Float64]:
    """Carry the inputs' errors through the network, node by node."""
    bounds = dict(errors)
    for node in graph.nodes:
        values, moved = [reference[name] for name in node.inputs], [bounds[name] for name in node.inputs]
        output = reference[node.output]
        bound = node_bound(graph, node, values, moved, output, precision=precision, gamma=gamma)
        bounds[node.output] = finished(bound, output, precision)
    return bounds


def _without_overflow(
    graph: Graph, reference: dict[str, Float64], probed: dict[str, Float64], precision: Precision
) -> dict[str, Float64]:
    """Finish probed bounds; where a sample overflows, nothing is promised of it from there on."""
    bounds = {name: finished(bound, reference[name], precision) for name, bound in probed.items()}
    for node in graph.nodes:
        for name in (*node.inputs, node.output):
            axes = tuple(range(1, bounds[name].ndim))
            bounds[node.output][np.isinf(bounds[name]).any(axes)] = np.inf
    return bounds


def output_bounds(
    graph: Graph,
    inputs: Mapping[str, Float64],
    *,
    model: Model,
    precision: str,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Float64], list[Float64]]:
    """Compute reference and bound of each output, a few samples at a time: as much as fits into memory.

    Parameters
    ----------
    graph, model, precision
        As for :func:`error_bounds`.
    inputs
        Name of the input to array.
    progress
        Called with the share of samples done.

    Returns
    -------
    values, bounds
        One float64 array for each output.

    """
    values: list[list[Float64]] = [[] for _ in graph.outputs]
    bounds: list[list[Float64]] = [[] for _ in graph.outputs]
    elements = sum(math.prod(shape) for shape in infer_shapes(graph).values())
    step = max(1, ELEMENTS_AT_ONCE // max(1, elements))
    samples = len(next(iter(inputs.values())))
    for start in range(0, samples, step):
        some = {name: array[start : start + step] for name, array in inputs.items()}
        all_values, all_bounds = error_bounds(graph, some, model=model, precision=precision)
        for i, name in enumerate(graph.outputs):
            values[i].append(all_values[name])
            bounds[i].append(all_bounds[name])
        if progress:
            progress(min(1.0, (start + step) / samples))
    return [np.concatenate(parts) for parts in values], [np.concatenate(parts) for parts in bounds]
