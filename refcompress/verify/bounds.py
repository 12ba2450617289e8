"""How far a float32 computation of a network may be from the float64 reference, activation by activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.ops import find_op
from refcompress.ops.base import SMALLEST_NORMAL, UNIT_ROUNDOFF, deterministic_gamma
from refcompress.run import run_all
from refcompress.verify.probes import probed_bounds

Float64 = NDArray[np.float64]
Model = Literal["deterministic", "probabilistic", "probed"]

CONFIDENCE = 6.0  # lambda: a sum leaves its bound with a probability below 2 exp(-lambda**2 / 2) = 3e-8
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def certain_gamma(n: int) -> float:
    """Relative error that n roundings in float32 cannot exceed (Higham 2002, Lemma 3.1); infinite for n >= 2**24.

    Examples
    --------
    >>> certain_gamma(2**24)
    inf

    """
    return deterministic_gamma(n) if n * UNIT_ROUNDOFF < 1 else math.inf


def probabilistic_gamma(n: int) -> float:
    """Relative error that n roundings in float32 exceed with a probability of at most 3e-8.

    Higham and Mary (2019), Theorem 2.4, with lambda = :data:`CONFIDENCE`: roundings are taken as independent
    random variables of mean zero. For few roundings the certain bound is smaller and is returned.

    Examples
    --------
    >>> certain_gamma(10_000) / probabilistic_gamma(10_000) > 16
    True
    >>> probabilistic_gamma(4) == certain_gamma(4)
    True

    """
    u = UNIT_ROUNDOFF
    exponent = CONFIDENCE * math.sqrt(n) * u + n * u * u / (1 - u)
    return min(certain_gamma(n), math.expm1(exponent))


GAMMAS: Mapping[str, Callable[[int], float]] = MappingProxyType(
    {"deterministic": certain_gamma, "probabilistic": probabilistic_gamma, "probed": probabilistic_gamma}
)


def error_bounds(
    graph: Graph, inputs: Any, *, model: Model = "deterministic"
) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """Run a network in float64 and bound the error of any float32 computation of it.

    Covered is every computation of the usual formulas in float32, round to nearest, products and sums in any
    order, fused or not, denormals kept or flushed, with functions of the accuracy that ``refcompress.ops`` grants
    (8 ULP for exp, tanh and the logistic function). Not covered: overflow (the bound is then infinite), lower
    precision inside (TF32, bfloat16), Winograd or FFT convolution.

    Parameters
    ----------
    graph
        The network.
    inputs
        As for :func:`refcompress.run.run`; values that float32 cannot hold count as rounded to it.
    model
        ``"deterministic"``: n roundings amount to at most n u / (1 - n u), with certainty.

        ``"probabilistic"``: about 6 sqrt(n) u, with a probability of failure of at most 3e-8 for each sum.
        In both, the errors of a layer's inputs add up in the worst way, so that after several layers the bounds
        exceed the values themselves.

        ``"probed"``: the errors are carried on by the network itself (:mod:`refcompress.verify.probes`), to first
        order and with a probability of failure of about 3e-8 for each element; where the probabilistic bound is
        smaller, that one. It stays meaningful for deep networks, and costs 32 runs more.

    Returns
    -------
    reference
        Every activation by name, inputs included, float64, batch first.
    bounds
        How far the float32 values may be from it, same shapes.

    Raises
    ------
    OptionError
        There is no such model.
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
    reference = {
        name: np.asarray(value, np.float64) for name, value in run_all(graph, inputs, dtype=np.float64).items()
    }
    errors = {}
    for spec in graph.inputs:
        errors[spec.name] = np.abs(reference[spec.name] - reference[spec.name].astype(np.float32))
    with np.errstate(all="ignore"):
        bounds = _worst_case(graph, reference, errors, GAMMAS[model])
        if model == "probed":
            probed = _without_overflow(graph, reference, probed_bounds(graph, reference, errors))
            bounds = {name: np.minimum(bound, probed[name]) for name, bound in bounds.items()}
    return reference, bounds


def _worst_case(
    graph: Graph, reference: dict[str, Float64], errors: dict[str, Float64], gamma: Callable[[int], float]
) -> dict[str, Float64]:
    """Carry the inputs' errors through the network, node by node."""
    bounds = dict(errors)
    for node in graph.nodes:
        op, output = find_op(node.op), reference[node.output]
        params = {role: graph.params[name] for role, name in node.params.items()}
        values, moved = [reference[name] for name in node.inputs], [bounds[name] for name in node.inputs]
        bounds[node.output] = _finished(op.error_bound(node.attrs, values, moved, params, output, gamma), output)
    return bounds


def _without_overflow(graph: Graph, reference: dict[str, Float64], probed: dict[str, Float64]) -> dict[str, Float64]:
    """Finish probed bounds; where a sample overflows, nothing is promised of it from there on."""
    bounds = {name: _finished(bound, reference[name]) for name, bound in probed.items()}
    for node in graph.nodes:
        for name in (*node.inputs, node.output):
            axes = tuple(range(1, bounds[name].ndim))
            bounds[node.output][np.isinf(bounds[name]).any(axes)] = np.inf
    return bounds


def _finished(bound: NDArray[Any], output: Float64) -> Float64:
    """Allow for a denormal result that is flushed to zero; promise nothing where float32 could overflow."""
    bound = bound + SMALLEST_NORMAL
    safe = np.abs(output) + bound <= LARGEST_FLOAT32  # false for NaN, which 0 * infinity makes
    return np.where(safe, bound, np.inf)
