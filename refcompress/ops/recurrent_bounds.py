"""Error bounds of recurrent operators, carried from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refcompress.ops import affine_errors, weights
from refcompress.ops.affine_errors import CANCELLED, Uncertain, box, extent, moved, smaller, tightest
from refcompress.ops.base import SMALLEST_NORMAL, Array, Params
from refcompress.ops.gemm import multiply
from refcompress.ops.recurrent import PRESENT, Cell, Given, collect, given, in_order
from refcompress.ops.recurrent_arithmetic import gates_of

BLOCK_BYTES = 1 << 24  # of slopes at a time
MOST_PRODUCTS = 1 << 34  # multiply-adds that the ellipsoids of one sample may cost; beyond, signs are forgotten


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Steps with error bounds; an :class:`refcompress.ops.recurrent.Arithmetic` of :class:`Uncertain` values.

    Attributes
    ----------
    projected, from_input
        (time, batch, gates * units): bias + weight x, and what errors of x make of it.
    size
        The same of absolute values: |bias| + |weight| (|x| + errors).
    rows, magnitudes
        (gates * units, units): the recurrent weight and its absolute values.
    recurrent_bias
        (gates * units,).
    terms
        Most that one sum may have, biases included.
    gamma
        Relative error of so many roundings.
    errors, ellipsoid
        A box and an ellipsoid that contain the errors of the state before the step, see
        :func:`refcompress.ops.affine_errors.tightest`.

    """

    projected: Array
    from_input: Array
    size: Array
    rows: Array
    magnitudes: Array
    recurrent_bias: Array
    terms: int
    gamma: Callable[[int], float]
    errors: Array
    ellipsoid: Array

    def sums(self, t: int, h: Uncertain, first: int, last: int) -> tuple[Uncertain, ...]:
        """Return the sums of some gates, whose terms may be added in any order."""
        units = self.rows.shape[1]
        part = slice(first * units, last * units)
        rows, magnitudes = self.rows[part], self.magnitudes[part]
        total = Uncertain(
            self.projected[t][:, part] + h.value @ rows.T,
            self.from_input[t][:, part] + h.bound @ magnitudes.T,
            rows @ h.slopes,
            self.from_input[t][:, part] + h.rest @ magnitudes.T,
            self.gamma,
        )
        return self._rounded(total, self.size[t][:, part] + h.size @ magnitudes.T)

    def of_input(self, t: int) -> tuple[Uncertain, ...]:
        """Return what the input adds to each gate; its terms may stand anywhere in a sum with those of the state."""
        value, bound = self.projected[t], self.from_input[t]
        return self._rounded(Uncertain(value, bound, np.zeros((1, len(self.rows), 1)), bound, self.gamma), self.size[t])

    def of_state(self, h: Uncertain) -> tuple[Uncertain, ...]:
        """Return what the state adds to each gate."""
        total = Uncertain(
            self.recurrent_bias + h.value @ self.rows.T,
            h.bound @ self.magnitudes.T,
            self.rows @ h.slopes,
            h.rest @ self.magnitudes.T,
            self.gamma,
        )
        return self._rounded(total, np.abs(self.recurrent_bias) + h.size @ self.magnitudes.T)

    def apply(self, name: str, x: Uncertain) -> Uncertain:
        """Apply an activation."""
        return replace(x, bound=tightest(x, self.errors, self.ellipsoid)).apply(name)

    def blend(self, z: Uncertain, h: Uncertain, g: Uncertain) -> Uncertain:
        """Return z h + (1 - z) g."""
        return affine_errors.blend(z, h, g)

    def _rounded(self, total: Uncertain, size: Array) -> tuple[Uncertain, ...]:
        """Add the roundings of a sum whose terms amount to ``size``: a product is rounded once, then in each sum."""
        rounding = self.gamma(self.terms + 1) * size + 2 * (self.terms + 1) * SMALLEST_NORMAL
        units = self.rows.shape[1]
        parts = (
            gates_of(total.value, units),
            gates_of(total.bound + rounding, units),
            gates_of(total.slopes, units),
            gates_of(total.rest + rounding, units),
        )
        return tuple(Uncertain(*part, self.gamma) for part in zip(*parts, strict=True))


def error_bound(
    cell: Cell,
    attrs: Any,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound the output of any float32 computation, whatever the order of its sums and however products are fused.

    The errors of the state are carried on as bounds of each element and, with their signs, as an ellipsoid for each
    sample; where a step bends (activations, products of two errors) the departure from its tangent is added, so that
    the bound is certain for errors of any size. Ellipsoids are left out where they would cost more than
    :data:`MOST_PRODUCTS`. A mask must be certain: where an error may change it, the sample's bound is infinite.
    """
    time, units = inputs[0].shape[1], params["recurrent_weight"].shape[0]
    width = cell.states * units
    if time * width**3 * 2 > MOST_PRODUCTS:
        width = 0
    samples = max(1, BLOCK_BYTES // (8 * units * max(width, 1) * cell.gates))
    bound = np.empty(output.shape)
    for first in range(0, len(bound), samples):
        block = slice(first, first + samples)
        parts = [x[block] for x in inputs], [e[block] for e in errors]
        bound[block] = _block(cell, attrs, *parts, params, gamma, width)
    if attrs.masked:
        unsure = np.where(inputs[1] == 0, errors[1] > 0, errors[1] >= np.abs(inputs[1] - PRESENT))
        bound[unsure.any(1)] = np.inf
    return bound


def _block(
    cell: Cell,
    attrs: Any,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    gamma: Callable[[int], float],
    width: int,
) -> Array:
    start = given(cell, attrs, inputs, params)
    x_errors = errors[0].transpose(1, 0, 2)[in_order(attrs)]
    state_errors = np.zeros((start.x.shape[1], cell.states * start.state[0].shape[1]))
    if attrs.initial_state:
        state_errors = np.concatenate(errors[1 + attrs.masked :], 1)
    arithmetic = _bounds(start.x, x_errors, params, gamma, state_errors, width)
    return collect(attrs, _unroll(cell, attrs, arithmetic, start, state_errors), len(start.x))


def _bounds(
    x: Array, errors: Array, params: Params, gamma: Callable[[int], float], state_errors: Array, width: int
) -> Bounds:
    rows = weights.weight(params["weight"], np.float64)
    magnitudes = weights.magnitude(rows)
    recurrent = weights.dense_rows(params["recurrent_weight"], np.float64)
    bias, recurrent_bias = (
        weights.array(params[role], np.float64) if role in params else np.zeros(len(recurrent))
        for role in ("bias", "recurrent_bias")
    )
    from_input = multiply(errors, magnitudes)
    return Bounds(
        projected=multiply(x, rows) + bias,
        from_input=from_input,
        size=multiply(np.abs(x), magnitudes) + from_input + np.abs(bias),
        rows=recurrent,
        magnitudes=np.abs(recurrent),
        recurrent_bias=recurrent_bias,
        terms=weights.longest_sum(rows) + weights.longest_sum(recurrent) + 2,
        gamma=gamma,
        errors=state_errors[:, :width],
        ellipsoid=box(state_errors[:, :width]),
    )


def _unroll(
    cell: Cell, attrs: Any, arithmetic: Bounds, start: Given, errors: Array
) -> Iterator[tuple[Array, tuple[Array, ...], None]]:
    """Yield bounds of every step's output and of the state after it, as :func:`refcompress.ops.recurrent.unroll`.

    ``errors`` (batch, states * units) are those of the initial state.
    """
    units = start.state[0].shape[1]
    values = np.concatenate(start.state, 1)
    zeros = previous = np.zeros_like(errors[:, :units])
    for t in range(len(start.x)):
        new, _ = cell.step(attrs, arithmetic, t, _state(values, errors, arithmetic))
        after, ellipsoid = _after(new, arithmetic)
        here = np.ones((1, 1), np.bool_) if start.present is None else start.present[t]
        values = np.where(here, np.concatenate([part.value for part in new], 1), values)
        previous = np.where(here, after[:, :units], zeros if attrs.zero_masked else previous)
        errors = np.where(here, after, errors)
        ellipsoid = np.where(here[..., None], ellipsoid, arithmetic.ellipsoid)
        arithmetic = replace(arithmetic, errors=errors[:, : ellipsoid.shape[2]], ellipsoid=ellipsoid)
        yield previous, gates_of(errors, units), None


def _after(new: Sequence[Uncertain], arithmetic: Bounds) -> tuple[Array, Array]:
    """Return a box and an ellipsoid that contain the errors of a new state."""
    before = arithmetic.ellipsoid
    bounds = np.concatenate([tightest(part, arithmetic.errors, before) for part in new], 1)
    if not before.size:
        return bounds, before
    slopes = np.concatenate([part.slopes for part in new], 1)
    rest = np.concatenate([part.rest + CANCELLED * part.bound for part in new], 1)
    ellipsoid = smaller(moved(before, slopes, rest), box(bounds))
    return np.fmin(bounds, extent(ellipsoid)), ellipsoid


def _state(values: Array, errors: Array, arithmetic: Bounds) -> tuple[Uncertain, ...]:
    """Describe a state as a function of its own errors, if their signs are followed."""
    units, width = arithmetic.rows.shape[1], arithmetic.errors.shape[1]
    parts = (
        gates_of(values, units),
        gates_of(errors, units),
        gates_of(np.eye(values.shape[1])[None, :, :width], units),
        gates_of(np.zeros_like(errors) if width else errors, units),
    )
    return tuple(Uncertain(*part, arithmetic.gamma) for part in zip(*parts, strict=True))
