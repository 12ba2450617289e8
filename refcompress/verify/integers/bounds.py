"""The real numbers that an int8 network stands for, and how far a runtime's integers may be from them, in steps.

Reference: every operator in float64, without rounding, clamped to the range of its output (saturation belongs to the
network, roundings do not). Bound: the operator's own error (:mod:`refcompress.verify.integers.operators`) and those of
its inputs, carried through it; a clamp cuts it off, so that a unit that is surely saturated has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from refcompress.errors import OptionError
from refcompress.integer import IntegerNetwork
from refcompress.integer.run import check_integers
from refcompress.integer.step import Activation, Step
from refcompress.ops import infer_shapes
from refcompress.run import Inputs
from refcompress.verify.bounds import ELEMENTS_AT_ONCE, Model
from refcompress.verify.integers.operators import LARGEST, REAL_OPS, Real
from refcompress.verify.precision import Float64
from refcompress.verify.probes import CHI_SQUARE_QUANTILE, LAMBDA, PROBES, SEED

Known = Mapping[str, Float64]

UNIFORM = math.sqrt(3)  # an error spread evenly over -s to s deviates by s / sqrt(3)


def integer_bounds(
    network: IntegerNetwork, inputs: Inputs, *, model: Model = "deterministic"
) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """Run an integer network without its roundings and bound how far any sound runtime may be from that.

    Covered is every runtime that adds exact products in 32 bits and rounds to nearest: once or twice, halves in any
    direction, by factors of 31 bits or in float32. Not covered: accumulators that overflow (the bound is then the
    whole range) and results that are truncated.

    Parameters
    ----------
    network
        An integer network.
    inputs
        Integers, as :func:`refcompress.integer.run_integer` takes them.
    model
        ``"deterministic"``: errors add up in the worst way from layer to layer; certain, and soon as wide as the
        range. ``"probed"``: carried by the network itself, as :mod:`refcompress.verify.probes` does; roundings count
        as spread evenly, as those of unrelated numbers are, and may be the same throughout a channel. Where the
        certain bound is smaller, that one.

    Returns
    -------
    reference
        Every quantized activation by name, inputs included, in steps of its quantization, float64, batch first.
    bounds
        How far the integers of a runtime may be from it, same shapes.

    Raises
    ------
    OptionError
        There is no such model of integers' errors.
    DataError
        The inputs do not fit the network.

    Examples
    --------
    >>> from refcompress.graph import Graph, Node, TensorSpec
    >>> from refcompress.integer import Quantization
    >>> from refcompress.ops import NoAttrs
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (Node("Sigmoid", "act", ("x",), "y", attrs=NoAttrs()),), {})
    >>> network = IntegerNetwork(graph, {"x": Quantization(0.05, 0), "y": Quantization(1 / 256, -128)})
    >>> reference, bounds = integer_bounds(network, np.array([[0, 20]], np.int8))
    >>> reference["y"].round(3), bounds["y"].round(3)
    (array([[ 0.   , 59.151]]), array([[0.504, 0.504]]))

    """
    if model not in {"deterministic", "probed"}:
        raise OptionError(f"the error model {model!r}; those of integer networks are deterministic and probed")
    known = {name: array.astype(np.float64) for name, array in check_integers(network, inputs).items()}
    reference, bounds = carried(network.steps, known)
    if model == "probed" and len(network.steps) > 1:
        probed = _probed(network.steps, known, reference)
        bounds = {name: np.minimum(bound, probed.get(name, bound)) for name, bound in bounds.items()}
    return reference, bounds


def bounded(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Return what a step gives for real inputs, clamped, and how far a runtime may be from that.

    Parameters
    ----------
    step
        An integer operator.
    values, errors
        Its inputs in steps of their quantizations, and how far the runtime's may be from them.

    """
    return clamped(step, REAL_OPS[step.node.op](step, values, errors))


def clamped(step: Step, real: Real) -> Real:
    """Cut a value and the interval around it to the range of the step's output."""
    value, error = real
    low, inside, high = (np.clip(end, step.low, step.high) for end in (value - error, value, value + error))
    return inside, np.maximum(high - inside, inside - low)


def carried(steps: Sequence[Step], known: Known) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """Carry exact integers through steps; return the values and bounds of all activations."""
    values = dict(known)
    bounds = {name: np.zeros_like(value) for name, value in known.items()}
    for step in steps:
        names = step.node.inputs
        value, bound = bounded(step, [values[name] for name in names], [bounds[name] for name in names])
        values[step.output], bounds[step.output] = value, np.broadcast_to(bound, value.shape)
    return values, bounds


def _probed(steps: Sequence[Step], known: Known, reference: Known) -> dict[str, Float64]:
    """Bound what arrives of the errors of all earlier steps by probes, and add each step's own.

    Deviations are taken before the clamp, so that a unit that is saturated in every probe may still come out of it.
    Noise of the size of the roundings shows what they do at the reference, which LAMBDA multiplies; noise LAMBDA times
    as large shows what happens behind clamps that the former does not reach. The larger of the two counts.
    """
    exact = {}
    for step in steps:
        inputs = [reference[name] for name in step.node.inputs]
        exact[step.output] = REAL_OPS[step.node.op](step, inputs, [np.zeros_like(x) for x in inputs])
    rng = np.random.default_rng(SEED)
    small, large = (_deviations(steps, known, exact, size, rng) for size in (1.0, LAMBDA))
    bounds = {}
    for step in steps:
        value, own = exact[step.output]
        arrived = np.maximum(LAMBDA * small[step.output], large[step.output])
        bounds[step.output] = clamped(step, (value, arrived + own))[1]
    return bounds


def _deviations(
    steps: Sequence[Step], known: Known, exact: Mapping[str, Real], size: float, rng: np.random.Generator
) -> dict[str, Float64]:
    """Estimate from above how much activations deviate, before their clamps, under noise in all earlier ones."""
    squares = {name: np.zeros_like(value) for name, (value, _) in exact.items()}
    for _ in range(PROBES):
        moved = dict(known)
        for step in steps:
            value, own = exact[step.output]
            inputs = [moved[name] for name in step.node.inputs]
            found, _ = REAL_OPS[step.node.op](step, inputs, [np.zeros_like(x) for x in inputs])
            squares[step.output] += (found - value) ** 2
            noise = rng.standard_normal(value.shape) + rng.standard_normal(value.shape[-1:])
            moved[step.output] = np.clip(found + noise * size * np.minimum(own, LARGEST) / UNIFORM, step.low, step.high)
    return {name: np.sqrt(square / CHI_SQUARE_QUANTILE) for name, square in squares.items()}


def output_integer_bounds(
    network: IntegerNetwork,
    inputs: Mapping[str, Activation],
    *,
    model: Model,
    progress: Callable[[float], None] | None = None,
) -> list[Real]:
    """Compute reference and bound of each output, a few samples at a time: as much as fits into memory."""
    parts: list[list[Real]] = [[] for _ in network.graph.outputs]
    elements = sum(math.prod(shape) for shape in infer_shapes(network.graph).values())
    at_once = max(1, ELEMENTS_AT_ONCE // max(1, elements))
    samples = len(next(iter(inputs.values())))
    for start in range(0, samples, at_once):
        some = {name: array[start : start + at_once] for name, array in inputs.items()}
        values, bounds = integer_bounds(network, some, model=model)
        for part, name in zip(parts, network.graph.outputs, strict=True):
            part.append((values[name], bounds[name]))
        if progress:
            progress(min(1.0, (start + at_once) / samples))
    return [(np.concatenate([v for v, _ in part]), np.concatenate([b for _, b in part])) for part in parts]
