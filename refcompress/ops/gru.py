"""GRU: the gated recurrent unit, h' = z h + (1 - z) g, with the reset gate before or after the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcompress.ops import gate_functions
from refcompress.ops.base import Array
from refcompress.ops.recurrent import Arithmetic, Cell, State, StepCotangents, Transposed, check_attrs
from refcompress.ops.recurrent_op import recurrent_op

_Kept = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class GRU:
    """Attributes of a GRU.

    Inputs: x (time, channels); then a mask (time,) of 0 and 1 if ``masked``; then the initial state (units,) if
    ``initial_state``. Parameters: weight (channels, 3 * units), recurrent_weight (units, 3 * units), bias and (with
    linear_before_reset only) recurrent_bias, (3 * units,) each or none; their columns are the gates z, r, g (update,
    reset, candidate), as in Keras.

    With linear_before_reset the candidate is ``act(W x + b + r * (U h + recurrent_b))``, otherwise
    ``act(W x + b + U (r * h))``. In the exact order the first one keeps two sums for every gate, of the input and of
    the state, each from its own bias, and then adds them; the second one continues the sum of the input. Then
    ``h' = z * h + (1 - z) * g``, every operation rounded.

    Attributes
    ----------
    activation
        Of the candidate, one of :data:`refcompress.ops.gate_functions.FUNCTIONS`.
    recurrent_activation
        Of the gates z and r.
    linear_before_reset
        Whether the reset gate multiplies the product with the recurrent weight (Keras's reset_after, cuDNN,
        PyTorch), not the state.
    reverse
        Whether time is read backwards; the outputs stand in the order of processing.
    output
        ``"sequence"``: of all steps, (time, units). ``"last"``: of the last step. ``"state"``: the state after it,
        which differs from the output only where steps are masked.
    masked
        Whether there is a mask; steps whose mask is 0 keep the state.
    zero_masked
        Whether the output of masked steps is 0; otherwise it is the previous one (0 before the first).
    initial_state
        Whether the initial state is an input; otherwise it is 0.

    Raises
    ------
    ModelError
        An activation or the output has no such name.

    Examples
    --------
    >>> GRU(linear_before_reset=True).activation
    'tanh'

    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    linear_before_reset: bool = False
    reverse: bool = False
    output: str = "sequence"
    masked: bool = False
    zero_masked: bool = False
    initial_state: bool = False

    def __post_init__(self) -> None:
        check_attrs(self)


def _step(attrs: GRU, arithmetic: Arithmetic, t: int, state: tuple[Any, ...]) -> tuple[tuple[Any, ...], _Kept]:
    (h,) = state
    if attrs.linear_before_reset:
        xz, xr, xg = arithmetic.of_input(t)
        hz, hr, hg = arithmetic.of_state(h)
        sum_z, sum_r = xz + hz, xr + hr
    else:
        sum_z, sum_r = arithmetic.sums(t, h, 0, 2)
    z = arithmetic.apply(attrs.recurrent_activation, sum_z)
    r = arithmetic.apply(attrs.recurrent_activation, sum_r)
    if attrs.linear_before_reset:
        reset, sum_g = hg, xg + r * hg
    else:
        reset = r * h
        (sum_g,) = arithmetic.sums(t, reset, 2, 3)
    g = arithmetic.apply(attrs.activation, sum_g)
    return (arithmetic.blend(z, h, g),), (h, sum_z, sum_r, reset, sum_g, z, r, g)


def _step_vjp(attrs: GRU, kept: tuple[Array, ...], cotangents: State, transposed: Transposed) -> StepCotangents:
    h, sum_z, sum_r, reset, sum_g, z, r, g = kept
    (dh,) = cotangents
    dz = gate_functions.vjp(attrs.recurrent_activation, sum_z, z, dh * (h - g))
    dg = gate_functions.vjp(attrs.activation, sum_g, g, dh * (1 - z))
    if attrs.linear_before_reset:  # reset is U h + recurrent_b, which r multiplies
        dr = gate_functions.vjp(attrs.recurrent_activation, sum_r, r, dg * reset)
        of_state = np.concatenate([dz, dr, dg * r], 1)
        back = dh * z + transposed(of_state, 0, 3)
        return StepCotangents(np.concatenate([dz, dr, dg], 1), (back,), ((h, 0, of_state),))
    d_reset = transposed(dg, 2, 3)  # reset is r * h, which U multiplies
    dr = gate_functions.vjp(attrs.recurrent_activation, sum_r, r, d_reset * h)
    gates = np.concatenate([dz, dr], 1)
    back = dh * z + d_reset * r + transposed(gates, 0, 2)
    return StepCotangents(np.concatenate([gates, dg], 1), (back,), ((h, 0, gates), (reset, 2, dg)))


_CELL = Cell(gates=3, states=1, step=_step, step_vjp=_step_vjp)
OP = recurrent_op("GRU", GRU, _CELL, recurrent_bias=True)
