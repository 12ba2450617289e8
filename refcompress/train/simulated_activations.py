"""Activations rounded to the integers of an integer network while training computes with real numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.graph import Graph, Node
from refcompress.integer import Quantization
from refcompress.integer.quantization import round_half_away
from refcompress.integer.spans import COPYING, Span
from refcompress.ops import find_op
from refcompress.ops.base import Array, Cotangents, Op, Params
from refcompress.ops.elementwise import pass_where

Ends = dict[str, tuple[float, float]]
Ranges = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedActivations:
    """Which activations are rounded, and how their ranges move.

    The network computes with ``scale * (integer - zero point)`` in place of every activation that exists as integers
    (Jacob et al. 2018, section 3). Gradients pass through the rounding as if there were none (a straight-through
    estimate, Bengio et al. 2013, section 4), and not through what saturates.

    After each step a range moves towards what the activation was in the batch: ``range = memory * range + (1 -
    memory) * [least, largest value]`` (section 3.1 of the former). With a memory of 1 ranges stay what they are.
    Those of the network's inputs always do: what is fed does not change while weights learn.

    Attributes
    ----------
    spans
        The activations, and the ranges to begin with.
    memory
        0 to 1.

    Raises
    ------
    OptionError
        The memory is out of range.

    """

    spans: tuple[Span, ...]
    memory: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.memory <= 1:
            raise OptionError(f"a memory of the ranges of {self.memory}; it must be from 0 to 1")

    def start(self) -> dict[str, NDArray[np.float64]]:
        """Return the first ranges: the first member of a span to least and largest value."""
        return {each.members[0]: np.array([each.low, each.high]) for each in self.spans if each.given is None}

    def quantizations(self, ranges: Ranges) -> dict[str, Quantization]:
        """Return the quantization of each activation."""
        found: dict[str, Quantization] = {}
        for each in self.spans:
            low, high = (each.low, each.high) if each.given else ranges[each.members[0]].tolist()
            found.update(dict.fromkeys(each.members, replace(each, low=low, high=high).quantization))
        return found

    def operators(
        self, graph: Graph, ranges: Ranges, others: Mapping[str, Op], seen: Ends | None = None
    ) -> dict[str, Op]:
        """Return operators that round what they read of the network's inputs, and what they make.

        Parameters
        ----------
        graph
            The network.
        ranges
            Of now.
        others
            Operators that replace those of nodes, by the name of the node; they are kept where nothing is rounded.
        seen
            Where the least and the largest value of activations are noted when the network runs.

        """
        known = self.quantizations(ranges)
        fed = {spec.name for spec in graph.inputs}
        found = dict(others)
        for node in graph.nodes:
            reads = tuple(known[name] if name in fed else None for name in node.inputs)
            makes = None if node.op in COPYING else known.get(node.output)
            if makes is not None or any(reads):
                found[node.name] = _rounded(others.get(node.name) or find_op(node.op), node, reads, makes, seen)
        return found

    def follow(self, graph: Graph, ranges: Ranges, seen: Ends) -> Ranges:
        """Move the ranges towards those of a batch."""
        if self.memory == 1:
            return ranges
        fed = {spec.name for spec in graph.inputs}
        moved = dict(ranges)
        for each in self.spans:
            ends = [seen[name] for name in each.sources if name in seen]
            if each.given is None and ends and not fed.intersection(each.sources):
                now = np.array([min(low for low, _ in ends), max(high for _, high in ends)])
                moved[each.members[0]] = self.memory * ranges[each.members[0]] + (1 - self.memory) * now
        return moved


def fake_quantize(values: Array, quantization: Quantization) -> Array:
    """Return real numbers rounded to those that integers stand for.

    Examples
    --------
    >>> fake_quantize(np.array([0.3, -9.0, 99.0], np.float32), Quantization(0.5, 0))
    array([  0.5,  -9. ,  63.5], dtype=float32)

    """
    return _real(_steps(values, quantization), quantization)


def within(values: Array, quantization: Quantization) -> NDArray[np.bool_]:
    """Say which real numbers an integer stands for without saturating: those that gradients pass.

    Examples
    --------
    >>> within(np.array([-64.3, -64.2, 63.6, 63.8], np.float32), Quantization(0.5, 0))
    array([False,  True,  True, False])

    """
    return _inside(_steps(values, quantization), quantization)


def _steps(values: Array, quantization: Quantization) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(round_half_away(values / values.dtype.type(quantization.scale)))


def _real(steps: Array, quantization: Quantization) -> Array:
    real = steps.clip(*_limits(quantization))
    real *= steps.dtype.type(quantization.scale)
    return real


def _inside(steps: Array, quantization: Quantization) -> NDArray[np.bool_]:
    low, high = _limits(quantization)
    return np.asarray((steps >= low) & (steps <= high))


def _limits(quantization: Quantization) -> tuple[int, int]:
    return quantization.low - quantization.zero_point, quantization.high - quantization.zero_point


def _rounded(
    op: Op, node: Node, reads: Sequence[Quantization | None], makes: Quantization | None, seen: Ends | None
) -> Op:
    """Return an operator that rounds; between forward and backward it keeps what it computed with."""
    kept: list[tuple[list[Array], Array, Array]] = []

    def forward(attrs: Any, inputs: Sequence[Array], params: Params) -> Array:
        taken = [x if each is None else fake_quantize(x, each) for x, each in zip(inputs, reads, strict=True)]
        made = op.forward(attrs, taken, params)
        steps = made if makes is None else _steps(made, makes)
        kept[:] = [(taken, made, steps)]
        if makes is None:
            return made
        if seen is not None:
            seen[node.output] = float(made.min(initial=0)), float(made.max(initial=0))
        return _real(steps, makes)

    def passed(steps: Array, cotangent: Array) -> Array:
        return cotangent if makes is None else pass_where(_inside(steps, makes), cotangent)

    def vjp(attrs: Any, _inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array) -> Cotangents:
        taken, made, steps = kept[0]
        return op.vjp(attrs, taken, params, made, passed(steps, cotangent))

    own = op.param_vjp
    if own is None:
        return replace(op, forward=forward, vjp=vjp)

    def param_vjp(
        attrs: Any, _inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
    ) -> dict[str, Array]:
        taken, made, steps = kept[0]
        return own(attrs, taken, params, made, passed(steps, cotangent))

    return replace(op, forward=forward, vjp=vjp, param_vjp=param_vjp)
