"""Gradients of recurrent operators: back-propagation through time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refcompress.ops import weights
from refcompress.ops.base import Array, Cotangents, Params, batch_sum
from refcompress.ops.recurrent import Cell, Given, State, StepCotangents, given, in_order, unroll
from refcompress.ops.recurrent_arithmetic import plain


def vjp(
    cell: Cell, attrs: Any, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    """Cotangents of the inputs and the parameters; that of a mask is 0."""
    start = given(cell, attrs, inputs, params)
    steps = _steps_back(cell, attrs, start, params, cotangent)
    rows = weights.dense_rows(params["weight"], cotangent.dtype)
    by_step = np.stack([step.sums @ rows for step in steps], 1)
    by_input: list[Array] = [by_step[:, in_order(attrs)]]
    if attrs.masked:
        by_input.append(np.zeros_like(inputs[1]))
    if attrs.initial_state:
        by_input.extend(steps[0].state)
    return tuple(by_input), _by_role(start, params, steps)


def param_vjp(
    cell: Cell, attrs: Any, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> dict[str, Array]:
    """Cotangents of the parameters alone."""
    start = given(cell, attrs, inputs, params)
    return _by_role(start, params, _steps_back(cell, attrs, start, params, cotangent))


def _by_role(start: Given, params: Params, steps: Sequence[StepCotangents]) -> dict[str, Array]:
    sums = np.concatenate([step.sums for step in steps])
    encoding = params["recurrent_weight"]
    units = encoding.shape[0]
    recurrent = np.zeros(encoding.shape, sums.dtype)
    for step in steps:
        for h, first, cotangent in step.products:
            recurrent[:, first * units : first * units + cotangent.shape[1]] += h.T @ cotangent
    by_role = {"weight": start.x.reshape(len(sums), start.x.shape[2]).T @ sums, "recurrent_weight": recurrent}
    if "bias" in params:
        by_role["bias"] = batch_sum(sums)
    if "recurrent_bias" in params:  # then a step has one product, of all gates
        by_role["recurrent_bias"] = batch_sum(np.concatenate([step.products[0][2] for step in steps]))
    return by_role


def _steps_back(cell: Cell, attrs: Any, start: Given, params: Params, cotangent: Array) -> list[StepCotangents]:
    """Cotangents of every step, in the order of processing; ``state`` is that of the state before the step."""
    kept = [of_step for _, _, of_step in unroll(cell, attrs, plain(start.x, params), start)]
    units = params["recurrent_weight"].shape[0]
    rows = weights.dense_rows(params["recurrent_weight"], cotangent.dtype)

    def transposed(cotangent: Array, first: int, last: int) -> Array:
        return cotangent @ rows[first * units : last * units]

    zeros = np.zeros_like(start.state[0])
    state: State = (zeros,) * cell.states
    if attrs.output in {"state", "cell"}:
        which = int(attrs.output == "cell")
        state = tuple(cotangent if i == which else zeros for i in range(cell.states))
    later = cotangent if attrs.output == "last" else zeros  # of this step's output, from masked steps that repeat it
    steps = []
    for t in range(len(kept) - 1, -1, -1):
        output = later + cotangent[:, t] if attrs.output == "sequence" else later
        # where a step was masked, nothing goes through it
        here = True if start.present is None else start.present[t]
        h, *rest = (np.where(here, d, zeros) for d in state)
        step = cell.step_vjp(attrs, kept[t], (h + np.where(here, output, zeros), *rest), transposed)
        state = tuple(a + np.where(here, zeros, d) for a, d in zip(step.state, state, strict=True))
        steps.append(replace(step, state=state))
        later = zeros if attrs.zero_masked else np.where(here, zeros, output)
    return steps[::-1]
