"""RNN: the simple recurrence h' = act(W x + U h + b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refcompress.ops import gate_functions
from refcompress.ops.base import Array
from refcompress.ops.recurrent import Arithmetic, Cell, State, StepCotangents, Transposed, check_attrs
from refcompress.ops.recurrent_op import recurrent_op


@dataclass(frozen=True, slots=True)
class RNN:
    """Attributes of a simple recurrence.

    Inputs: x (time, channels); then a mask (time,) of 0 and 1 if ``masked``; then the initial state (units,) if
    ``initial_state``. Parameters: weight (channels, units), recurrent_weight (units, units), bias (units,) or none.

    Attributes
    ----------
    activation
        One of :data:`refcompress.ops.gate_functions.FUNCTIONS`.
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
        The activation or the output has no such name.

    Examples
    --------
    >>> RNN("relu", output="last").masked
    False

    """

    activation: str = "tanh"
    reverse: bool = False
    output: str = "sequence"
    masked: bool = False
    zero_masked: bool = False
    initial_state: bool = False

    def __post_init__(self) -> None:
        check_attrs(self)


def _step(
    attrs: RNN, arithmetic: Arithmetic, t: int, state: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    (h,) = state
    (z,) = arithmetic.sums(t, h, 0, 1)
    y = arithmetic.apply(attrs.activation, z)
    return (y,), (h, z, y)


def _step_vjp(attrs: RNN, kept: tuple[Array, ...], cotangents: State, transposed: Transposed) -> StepCotangents:
    h, z, y = kept
    dz = gate_functions.vjp(attrs.activation, z, y, cotangents[0])
    return StepCotangents(dz, (transposed(dz, 0, 1),), ((h, 0, dz),))


OP = recurrent_op("RNN", RNN, Cell(gates=1, states=1, step=_step, step_vjp=_step_vjp))
