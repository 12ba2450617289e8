"""LSTM: long short-term memory, c' = f c + i g and h' = o act(c')."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcompress.ops import gate_functions
from refcompress.ops.base import Array
from refcompress.ops.recurrent import OUTPUTS, Arithmetic, Cell, State, StepCotangents, Transposed, check_attrs
from refcompress.ops.recurrent_op import recurrent_op


@dataclass(frozen=True, slots=True)
class LSTM:
    """Attributes of an LSTM.

    Inputs: x (time, channels); then a mask (time,) of 0 and 1 if ``masked``; then the initial hidden state and the
    initial cell, (units,) each, if ``initial_state``. Parameters: weight (channels, 4 * units), recurrent_weight
    (units, 4 * units), bias (4 * units,) or none; their columns are the gates i, f, g, o (input, forget, candidate,
    output), as in Keras.

    In the exact order ``c' = f * c + i * g`` is two products, rounded, and their sum; ``h' = o * act(c')``.

    Attributes
    ----------
    activation
        Of the candidate and of the cell, one of :data:`refcompress.ops.gate_functions.FUNCTIONS`.
    recurrent_activation
        Of the gates i, f and o.
    reverse
        Whether time is read backwards; the outputs stand in the order of processing.
    output
        ``"sequence"``: of all steps, (time, units). ``"last"``: of the last step. ``"state"`` and ``"cell"``: h and c
        after it; the output differs from h only where steps are masked.
    masked
        Whether there is a mask; steps whose mask is 0 keep the state.
    zero_masked
        Whether the output of masked steps is 0; otherwise it is the previous one (0 before the first).
    initial_state
        Whether the initial states are inputs; otherwise they are 0.

    Raises
    ------
    ModelError
        An activation or the output has no such name.

    Examples
    --------
    >>> LSTM(output="cell").recurrent_activation
    'sigmoid'

    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reverse: bool = False
    output: str = "sequence"
    masked: bool = False
    zero_masked: bool = False
    initial_state: bool = False

    def __post_init__(self) -> None:
        check_attrs(self, (*OUTPUTS, "cell"))


def _step(
    attrs: LSTM, arithmetic: Arithmetic, t: int, state: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    h, c = state
    sums = arithmetic.sums(t, h, 0, 4)
    i, f, o = (arithmetic.apply(attrs.recurrent_activation, sums[gate]) for gate in (0, 1, 3))
    g = arithmetic.apply(attrs.activation, sums[2])
    cell = f * c + i * g
    a = arithmetic.apply(attrs.activation, cell)
    return (o * a, cell), (h, c, *sums, i, f, g, o, cell, a)


def _step_vjp(attrs: LSTM, kept: tuple[Array, ...], cotangents: State, transposed: Transposed) -> StepCotangents:
    h, c, zi, zf, zg, zo, i, f, g, o, cell, a = kept
    dh, dc = cotangents
    dc = dc + gate_functions.vjp(attrs.activation, cell, a, dh * o)
    gate = attrs.recurrent_activation
    parts = (
        gate_functions.vjp(gate, zi, i, dc * g),
        gate_functions.vjp(gate, zf, f, dc * c),
        gate_functions.vjp(attrs.activation, zg, g, dc * i),
        gate_functions.vjp(gate, zo, o, dh * a),
    )
    dz = np.concatenate(parts, 1)
    return StepCotangents(dz, (transposed(dz, 0, 4), dc * f), ((h, 0, dz),))


OP = recurrent_op("LSTM", LSTM, Cell(gates=4, states=2, step=_step, step_vjp=_step_vjp))
