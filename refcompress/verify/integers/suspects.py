"""The usual suspects of int8: what else a layer may have computed, so that its integers are explained.

First what only integers can get wrong, tried on the step itself; then, on the layer in real numbers, all that layers
in float32 get wrong too (:mod:`refcompress.verify.causes`): padding, kernels, channels, functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcompress.errors import RefcompressError
from refcompress.graph import Node
from refcompress.integer import IntegerNetwork
from refcompress.integer.quantization import Quantization
from refcompress.integer.step import Step, clamp_range, weight_scales
from refcompress.ops import make_attrs
from refcompress.ops.windows import pad_plane
from refcompress.run import run_all
from refcompress.verify.causes import variants, with_variant
from refcompress.verify.integers.bounds import bounded, carried, clamped
from refcompress.verify.integers.kernels import turned_weights
from refcompress.verify.integers.operators import FUNCTION, REAL_OPS, Real
from refcompress.verify.precision import Float64
from refcompress.verify.verdict import MEANINGFUL

Known = Mapping[str, Float64]
Evaluate = Callable[[Sequence[Float64], Sequence[Float64]], Real]

CIRCLE = 256  # integers of 8 bits wrap around
SIX = Node("Clip", "ReLU6", ("x",), "y", attrs=make_attrs("Clip", {"min": 0.0, "max": 6.0}))
RELU = Node("Relu", "ReLU", ("x",), "y", attrs=make_attrs("Relu", {}))


@dataclass(frozen=True, slots=True)
class Trial:
    """What a step may have been instead.

    Attributes
    ----------
    text
        Completes "with ... it agrees".
    evaluate
        ``(inputs, errors) -> (value, bound)`` in steps of the output.
    wraps
        Whether its integers wrap around instead of saturating.

    """

    text: str
    evaluate: Evaluate
    wraps: bool = False


def explain(
    network: IntegerNetwork, part: IntegerNetwork, known: Known, theirs: Float64, *, samples: Sequence[int]
) -> str:
    """Re-run a layer under the usual suspects and say under which one it agrees within its bound.

    Parameters
    ----------
    network
        The whole network.
    part
        The layer, or what lies between two known activations, as a network of one output.
    known
        The runtime's inputs to it, by name.
    theirs
        What the runtime made of them.
    samples
        Those that a suspect must explain before it is tried on all.

    Returns
    -------
    str
        Completes "with ... it agrees"; empty if no suspect explains the integers.

    """
    few = {name: array[list(samples)] for name, array in known.items()}
    for step in part.steps:
        for trial in _trials(network, step):
            for some, array in ((few, theirs[list(samples)]), (known, theirs)):
                real = _carried_with(part.steps, step, trial.evaluate, some)
                if not _agrees(array, real, wraps=trial.wraps and step is part.steps[-1]):
                    break
            else:
                return trial.text if len(part.steps) == 1 else f"{trial.text} in {step.node.name!r}"
    return _explained_in_reals(network, part, known, theirs, samples)


def _carried_with(steps: Sequence[Step], changed: Step, evaluate: Evaluate, known: Known) -> Real:
    """Carry integers through steps, one of which computes something else."""
    values = dict(known)
    bounds = {name: np.zeros_like(value) for name, value in known.items()}
    for step in steps:
        read = [values[name] for name in step.node.inputs], [bounds[name] for name in step.node.inputs]
        value, bound = evaluate(*read) if step is changed else bounded(step, *read)
        values[step.output], bounds[step.output] = value, np.broadcast_to(bound, value.shape)
    return values[steps[-1].output], bounds[steps[-1].output]


def _agrees(theirs: Float64, real: Real, *, wraps: bool = False) -> bool:
    value, bound = real
    if value.shape != theirs.shape:
        return False
    difference = np.abs(theirs - value)
    if wraps:
        difference = np.abs((theirs - value + CIRCLE / 2) % CIRCLE - CIRCLE / 2)
    bound = np.maximum(bound, 0.5)
    return bool((difference <= bound).all() and np.median(bound) <= MEANINGFUL * CIRCLE)


def _trials(network: IntegerNetwork, step: Step) -> Iterator[Trial]:
    for suspect in SUSPECTS:
        yield from suspect(step)
    for text, other in turned_weights(network.graph, step):
        yield _as(other, text)


def _changed(step: Step, text: str, **fields: Any) -> Trial:
    """Change fields of the step."""
    return _as(dataclasses.replace(step, **fields), text)


def _as(other: Step, text: str) -> Trial:
    return Trial(text, lambda values, errors: bounded(other, values, errors))


def _of_real(step: Step, text: str, change: Callable[[Float64, Float64], Real], *, wraps: bool = False) -> Trial:
    """Change what the step gives before its clamp; what wraps has no clamp."""

    def evaluate(values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
        real = change(*REAL_OPS[step.node.op](step, values, errors))
        return real if wraps else clamped(step, real)

    return Trial(text, evaluate, wraps)


def _without(quantization: Quantization) -> Quantization:
    return dataclasses.replace(quantization, zero_point=0)


def zero_points(step: Step) -> Iterator[Trial]:
    """Try zero points that are left out, of the inputs, of the padding, of the output."""
    bare = tuple(map(_without, step.inputs))
    if bare != step.inputs:
        yield _changed(step, "the zero point of the input ignored", inputs=bare)
    if len(bare) > 1:
        for index, name in enumerate(step.node.inputs):
            some = tuple(bare[i] if i == index else step.inputs[i] for i in range(len(bare)))
            yield _changed(step, f"the zero point of its input {name!r} ignored", inputs=some)
    if step.node.op == "Conv" and any(step.attrs.pads) and bare != step.inputs:
        yield _zeros_around(step)
    if step.result.zero_point:
        text = "padding by the integer 0" if step.node.op == "Pad" else "the zero point of the output left out"
        yield _changed(step, text, result=_without(step.result))


def _zeros_around(step: Step) -> Trial:
    pads = step.attrs.pads
    attrs = dataclasses.replace(step.attrs, pads=(0, 0, 0, 0))
    inside = dataclasses.replace(step, node=dataclasses.replace(step.node, attrs=attrs))
    text = "padding by the integer 0 instead of the zero point"
    return Trial(text, lambda values, errors: bounded(inside, *([pad_plane(x[0], pads)] for x in (values, errors))))


def scales(step: Step) -> Iterator[Trial]:
    """Try one weight scale for all channels, the neighbour's, and factors that are off by a power of two."""

    def by(text: str, ratio: Float64 | float) -> Trial:
        zero_point, more = step.result.zero_point, np.maximum(ratio, 1.0)
        return _of_real(step, text, lambda value, error: (zero_point + (value - zero_point) * ratio, error * more))

    own = weight_scales(step.params["weight"]).astype(np.float64) if "weight" in step.params else np.ones(1)
    if len(own) > 1:
        yield by("the weight scale of the first channel for all channels", own[0] / own)
        yield by("the largest weight scale for all channels", own.max() / own)
        yield by("the mean weight scale for all channels", own.mean() / own)
        yield by("the weight scales one channel off", np.roll(own, 1) / own)
        yield by("the weight scales one channel off", np.roll(own, -1) / own)
    yield by("a factor twice as large (shifted by one bit)", 2.0)
    yield by("a factor half as large (shifted by one bit)", 0.5)
    if len(step.inputs) == 2 and step.inputs[0] != step.inputs[1]:
        yield _changed(step, "the quantizations of its inputs exchanged", inputs=step.inputs[::-1])


def bias(step: Step) -> Iterator[Trial]:
    """Try a bias that is missing or doubled."""
    if step.bias is not None and step.bias.any():
        yield _changed(step, "no bias", bias=None)
        yield _changed(step, "the bias added twice", bias=2 * step.bias.astype(np.int64))


def functions(step: Step) -> Iterator[Trial]:
    """Try another activation function fused with the step, none, or one too many."""
    quantization, found = step.result, (step.low, step.high)
    for text, node in (("no activation", None), ("ReLU", RELU), ("ReLU6", SIX)):
        low, high = clamp_range(node, quantization)
        if low <= high and (low, high) != found:
            yield _changed(step, text if node is None else f"the activation {text}", low=low, high=high)


def roundings(step: Step) -> Iterator[Trial]:
    """Try results that are cut off instead of rounded."""
    # means are taken of the integers themselves
    zero_point = 0 if step.node.op == "AveragePool" else step.result.zero_point
    yield _of_real(step, "results rounded down (shifted without rounding)", lambda v, e: (v - 0.5, e))
    yield _of_real(
        step,
        "results truncated (rounded towards zero)",
        lambda value, error: (value - 0.5 * np.sign(value - zero_point), error),
    )
    yield _of_real(step, "results rounded up", lambda v, e: (v + 0.5, e))


def saturation(step: Step) -> Iterator[Trial]:
    """Try integers that wrap around, or are 128 off."""
    yield _of_real(step, "no saturation (integers wrap around)", lambda v, e: (v, e), wraps=True)
    if step.low > step.result.low:
        text = "the activation, but no saturation above it (integers wrap around)"
        yield _of_real(step, text, lambda v, e: (np.maximum(v, step.low), e), wraps=True)

    def shifted(values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
        value, error = bounded(step, values, errors)
        return value + CIRCLE / 2, error

    yield Trial("integers 128 off (uint8 for int8)", shifted, wraps=True)
    yield Trial(
        "the bytes of the input read as uint8",
        lambda values, errors: bounded(step, [np.where(x < 0, x + CIRCLE, x) for x in values], errors),
    )


SUSPECTS = (zero_points, scales, bias, functions, roundings, saturation)


def _explained_in_reals(
    network: IntegerNetwork, part: IntegerNetwork, known: Known, theirs: Float64, samples: Sequence[int]
) -> str:
    """Try what layers in float32 get wrong, in real numbers, then brought to steps and clamped to the range of int8."""
    graph, few = part.graph, list(samples)
    reals = {name: _real(array, part.quantizations[name]) for name, array in known.items()}
    some = {name: array[few] for name, array in reals.items()}
    result = part.quantizations[graph.outputs[0]]
    made = _real(theirs[few], result)
    values = {name: np.asarray(value, np.float64) for name, value in run_all(graph, some, dtype=np.float64).items()}
    limit = _limit(part, known)
    for node in graph.nodes:
        mine = made if node.output == graph.outputs[0] else None
        for variant in variants(network.graph, node, values, mine):
            changed = with_variant(graph, node, variant)
            if changed is None:
                continue
            try:
                for inputs, array in ((some, theirs[few]), (reals, theirs)):
                    (found,) = (run_all(changed, inputs, dtype=np.float64)[name] for name in graph.outputs)
                    steps = np.clip(found / result.scale + result.zero_point, result.low, result.high)
                    if not _agrees(array, (steps, np.full(steps.shape, limit * variant.slack))):
                        break
                else:
                    return variant.text if len(part.steps) == 1 else f"{variant.text} in {node.name!r}"
            except RefcompressError:
                continue
    return ""


def _limit(part: IntegerNetwork, known: Known) -> float:
    """Bound a layer that reads and rounds as this one does; weights and biases are rounded to float32 besides."""
    _, bounds = carried(part.steps, known)
    return float(bounds[part.graph.outputs[0]].max(initial=0.5)) + FUNCTION


def _real(integers: Float64, quantization: Quantization) -> Float64:
    return (integers - quantization.zero_point) * quantization.scale
