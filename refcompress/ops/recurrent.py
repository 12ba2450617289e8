"""What the recurrent operators share: cells, inputs in the order of processing, the loop over time with its masks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError, did_you_mean
from refcompress.ops import gate_functions, weights
from refcompress.ops.base import Array, Params, Shape

State = tuple[Array, ...]

OUTPUTS = ("sequence", "last", "state")
PRESENT = 0.5  # steps whose mask is above are computed


class Arithmetic(Protocol):
    """What a step is computed with: NumPy, NumPy in the order of the C runtime, or error bounds.

    Its values are (batch, units); they add and multiply one by one with ``+`` and ``*``.
    """

    def sums(self, t: int, h: Any, first: int, last: int) -> tuple[Any, ...]:
        """Return bias + weight x_t + recurrent_weight h, one value for each of the gates first to last - 1."""
        ...

    def of_input(self, t: int) -> tuple[Any, ...]:
        """Return bias + weight x_t, one value for each gate."""
        ...

    def of_state(self, h: Any) -> tuple[Any, ...]:
        """Return recurrent_bias + recurrent_weight h, one value for each gate."""
        ...

    def apply(self, name: str, x: Any) -> Any:
        """Apply an activation."""
        ...

    def blend(self, z: Any, h: Any, g: Any) -> Any:
        """Return z h + (1 - z) g."""
        ...


class Transposed(Protocol):
    """Multiplies cotangents with the recurrent weight."""

    def __call__(self, cotangent: Array, first: int, last: int) -> Array:
        """Return (batch, units) of the cotangent (batch, (last - first) * units) of the gates first to last - 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StepCotangents:
    """What a step passes back.

    Attributes
    ----------
    sums
        (batch, gates * units): of bias + weight x.
    state
        Of the state before the step.
    products
        ``(h, first, cotangent)``: vectors that the recurrent weight was multiplied with, from which gate on, and the
        cotangent of that product.

    """

    sums: Array
    state: State
    products: tuple[tuple[Array, int, Array], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of recurrence.

    Attributes
    ----------
    gates
        Blocks of units in the columns of its weights.
    states
        Vectors that a step hands to the next; the first one is the output.
    step
        ``(attrs, arithmetic, t, state) -> (new state, what step_vjp needs of it)``.
    step_vjp
        ``(attrs, kept, cotangents of the new state, transposed) -> StepCotangents``.

    """

    gates: int
    states: int
    step: Callable[[Any, Arithmetic, int, tuple[Any, ...]], tuple[tuple[Any, ...], tuple[Any, ...]]]
    step_vjp: Callable[[Any, tuple[Array, ...], State, Transposed], StepCotangents]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Inputs in the order of processing.

    Attributes
    ----------
    x
        (time, batch, channels).
    present
        (time, batch, 1), whether a step is computed; None if all are.
    state
        The initial state, (batch, units) each.

    """

    x: Array
    present: NDArray[np.bool_] | None
    state: State


def check_attrs(attrs: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Refuse an activation or a kind of output that does not exist.

    Raises
    ------
    ModelError
        With those there are.

    """
    for name in ("activation", "recurrent_activation"):
        if hasattr(attrs, name):
            gate_functions.check_function(getattr(attrs, name))
    if attrs.output not in outputs:
        raise ModelError(
            f"the output {attrs.output!r}{did_you_mean(attrs.output, outputs)}; there are {', '.join(outputs)}"
        )


def infer_shape(cell: Cell, attrs: Any, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    """Shape rule: (time, units) for a sequence, otherwise (units,)."""
    wanted = 1 + attrs.masked + cell.states * attrs.initial_state
    if len(inputs) != wanted:
        raise ModelError(
            f"{len(inputs)} inputs; with masked={attrs.masked} and initial_state={attrs.initial_state} "
            f"it takes {wanted}"
        )
    x, recurrent = inputs[0], params["recurrent_weight"]
    if len(x) != 2:
        raise ModelError(f"an input of shape {x}; it must be (time, channels)")
    if len(recurrent) != 2 or recurrent[1] != cell.gates * recurrent[0]:
        raise ModelError(f"a recurrent_weight of shape {recurrent}; it must be (units, {cell.gates} * units)")
    units, columns = recurrent
    fitting = {"weight": (x[1], columns), "bias": (columns,), "recurrent_bias": (columns,)}
    for role, shape in fitting.items():
        if params.get(role, shape) != shape:
            raise ModelError(f"a {role} of shape {params[role]}; an input of shape {x} and {units} units take {shape}")
    if "recurrent_bias" in params and not attrs.linear_before_reset:
        raise ModelError("a recurrent_bias, which only linear_before_reset has; add it to the bias")
    if attrs.masked and inputs[1] != x[:1]:
        raise ModelError(f"a mask of shape {inputs[1]}; for an input of shape {x} it must be {x[:1]}")
    for shape in inputs[1 + attrs.masked :]:
        if shape != (units,):
            raise ModelError(f"an initial state of shape {shape}; it must be ({units},)")
    return (x[0], units) if attrs.output == "sequence" else (units,)


def macs(_attrs: Any, inputs: Sequence[Shape], _output: Shape, params: Params) -> int:
    """Count the stored weights of both matrices for every step; products of gates are none with weights."""
    return inputs[0][0] * sum(weights.stored_count(params[role]) for role in ("weight", "recurrent_weight"))


def in_order(attrs: Any) -> slice:
    """Return the order in which the steps are processed."""
    return slice(None, None, -1 if attrs.reverse else 1)


def given(cell: Cell, attrs: Any, inputs: Sequence[Array], params: Params) -> Given:
    """Sort a node's inputs: time first and in the order of processing, zeros for a state that is not given."""
    order = in_order(attrs)
    x = np.ascontiguousarray(inputs[0].transpose(1, 0, 2)[order])
    present = (inputs[1].T[order] > PRESENT)[..., None] if attrs.masked else None
    if attrs.initial_state:
        return Given(x, present, tuple(inputs[1 + attrs.masked :]))
    zeros = np.zeros((x.shape[1], params["recurrent_weight"].shape[0]), x.dtype)
    return Given(x, present, (zeros,) * cell.states)


def unroll(
    cell: Cell, attrs: Any, arithmetic: Arithmetic, start: Given
) -> Iterator[tuple[Array, State, tuple[Array, ...]]]:
    """Yield of every step its output, the state after it, and what the cell keeps for its gradient.

    Where a step is masked the state stays, and the output is the previous one (zeros before the first), or 0 if
    ``attrs.zero_masked``.
    """
    state = start.state
    zeros = previous = np.zeros_like(state[0])
    for t in range(len(start.x)):
        new, kept = cell.step(attrs, arithmetic, t, state)
        output = new[0]
        if start.present is not None:
            here = start.present[t]
            output = np.where(here, output, zeros if attrs.zero_masked else previous)
            new = tuple(np.where(here, after, before) for after, before in zip(new, state, strict=True))
        yield output, new, kept
        state, previous = new, output


def collect(attrs: Any, steps: Iterator[tuple[Array, State, Any]], time: int) -> Array:
    """Run all steps and return the output that the attributes ask for, batch first."""
    if attrs.output == "sequence":
        output, _, _ = next(steps)
        sequence = np.empty((len(output), time, output.shape[1]), output.dtype)
        sequence[:, 0] = output
        for t, (output, _, _) in enumerate(steps, 1):
            sequence[:, t] = output
        return sequence
    output, state, _ = deque(steps, maxlen=1).pop()
    if attrs.output == "last":
        return output
    return state[1 if attrs.output == "cell" else 0]
