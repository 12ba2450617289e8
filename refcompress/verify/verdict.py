"""What a comparison finds: a verdict on each tensor, and on the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from refcompress.integer import Agreement
from refcompress.verify.bounds import Model
from refcompress.verify.precision import FLOAT32, PRECISIONS, Float64, Format, Precision

State = Literal["within", "lower precision", "wrong", "not comparable"]
Bounded = tuple[Float64, Float64]  # reference and bound
Runs = Callable[[str, Sequence[int]], Bounded]  # precision and samples to that

# A bound of a quarter of the values or more lets nearly anything pass: it explains nothing.
MEANINGFUL = 0.25


@dataclass(frozen=True, slots=True)
class TensorVerdict:
    """How one tensor compares: an output of the network, or what one layer made.

    Attributes
    ----------
    name
        The output's name in the graph; of a layer, the node's name.
    array
        Name of the array it was compared with.
    state
        ``"within"`` the bound of the precision asked for; explainable only by a ``"lower precision"``; ``"wrong"``;
        ``"not comparable"``: the layer was given arrays of shapes that it cannot take.
    precision
        Highest precision within whose bound it lies; empty if there is none.
    cause
        What it agrees with, if a cause was found, or why it cannot be compared; else empty.
    nodes
        Of a layer: the names of the nodes that were run, more than one where the framework's arrays between them
        are not known. Of an output: empty.
    ops
        Their operators.
    max_difference
        Largest absolute difference from our float64 reference; infinite where an element is not finite.
    max_ratio
        Largest difference relative to its bound; at most 1 if all are within.
    worst
        Position of the element with the largest ratio, the sample first; empty if the shapes differ.
    max_bound
        Largest bound; the comparison means something where it is small beside `max_value`.
    max_value
        Largest magnitude of our reference.
    agreements
        Of integers: how far they agree with what each known runtime computes. Then all differences, bounds and values
        count in steps of the tensor's quantization. Of real numbers: empty.

    """

    name: str
    array: str
    state: State
    precision: str
    cause: str
    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    max_difference: float
    max_ratio: float
    worst: tuple[int, ...]
    max_bound: float
    max_value: float
    agreements: Mapping[str, Agreement] = field(default_factory=dict)

    @property
    def follows(self) -> tuple[str, ...]:
        """Runtimes that compute exactly these integers."""
        return tuple(name for name, found in self.agreements.items() if found.equal == found.total)

    @property
    def within(self) -> bool:
        """Whether every element is finite and within its bound."""
        return self.state == "within"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How all tensors compare.

    Attributes
    ----------
    tensors
        One verdict for each output of the graph, in order; or one for each layer, in topological order.
    layers
        Whether layers were compared, each fed the framework's own inputs to it.
    unseen
        Of layers: nodes whose effect on anything that was given is unknown.
    reference
        Suffix of the reference that counted; empty for arrays without one.
    model
        The error model.
    precision
        The precision asked for.

    """

    tensors: tuple[TensorVerdict, ...]
    layers: bool
    unseen: tuple[str, ...]
    reference: str
    model: Model
    precision: str

    @property
    def within(self) -> bool:
        """Whether all tensors are within their bounds."""
        return all(tensor.within for tensor in self.tensors)

    @property
    def bad(self) -> tuple[TensorVerdict, ...]:
        """Those that are not: the wrong ones first, in order, then those of lower precision, then the others."""
        states: tuple[State, ...] = ("wrong", "lower precision", "not comparable")
        return tuple(tensor for state in states for tensor in self.tensors if tensor.state == state)

    @property
    def first_bad(self) -> str | None:
        """Name of the first wrong tensor, of the first one in lower precision if none is wrong, or None."""
        return self.bad[0].name if self.bad else None


def judge(name: str, array_name: str, array: Float64, bounded: Bounded, precision: str) -> TensorVerdict:
    """Compare an array with its reference: ``"within"`` or ``"wrong"``.

    Examples
    --------
    >>> judge("y", "y0", np.array([1.0, 2.5]), (np.array([1.0, 2.0]), np.array([0.1, 0.1])), "float32").max_ratio
    5.0

    """
    value, bound = bounded
    ratio, difference = _ratios(array, value, bound)
    worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
    within = bool((ratio <= 1).all())
    return TensorVerdict(
        name=name,
        array=array_name,
        state="within" if within else "wrong",
        precision=precision if within else "",
        cause="",
        nodes=(),
        ops=(),
        max_difference=float(difference.max()),
        max_ratio=float(ratio.max()),
        worst=tuple(int(i) for i in worst),
        max_bound=float(bound.max()),
        max_value=float(np.abs(value).max()),
    )


def _ratios(array: Float64, value: Float64, bound: Float64) -> Bounded:
    """Return differences relative to their bounds, and the differences; infinite where an element is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(array - value)
        bad = ~np.isfinite(difference)
        difference[bad] = np.inf
        ratio = difference / bound
    ratio[difference == 0] = 0
    ratio[bad] = np.inf
    return ratio, difference


def with_precision(tensor: TensorVerdict, array: Float64, bounded: Runs, asked: str, *, stored: bool) -> TensorVerdict:
    """Say which precision lower than the one asked for explains an array that is wrong in that one, if any does.

    A bound that is no smaller than a quarter of the values explains nothing. An array whose every element is a value
    of a low precision was rounded to it: then that is the only precision that can explain it.

    Parameters
    ----------
    tensor
        The verdict so far.
    array
        The framework's array.
    bounded
        ``(precision, samples) -> reference and bound`` of those samples.
    asked
        The precision asked for.
    stored
        Whether the array is as the layer left it, so that a precision of storage shows in it; a network's output
        may have been widened and computed on.

    """
    everything = range(len(array))
    few = tensor.worst[:1] or everything  # what fails on the worst sample need not run on all
    grid = grid_of(array)
    for row in _lower_than(asked):
        if not _could_be(row, grid, stored=stored):
            continue
        largest = MEANINGFUL if grid is None else 1.0
        if all(_explains(array[list(some)], bounded(row.name, some), largest) for some in (few, everything)):
            return replace(tensor, state="lower precision", precision=row.name)
    return tensor


def _lower_than(asked: str) -> list[Precision]:
    rows = list(PRECISIONS.values())
    return rows[list(PRECISIONS).index(asked) + 1 :]


def grid_of(array: Float64) -> Format | None:
    """Return the coarsest of the low formats of which every element of an array is a value, if there is one.

    Examples
    --------
    >>> grid_of(np.array([0.5, 0.333251953125])).name, grid_of(np.array([0.1]))
    ('float16', None)

    """
    formats = sorted({row.storage for row in PRECISIONS.values()} - {FLOAT32}, key=lambda row: row.bits)
    return next((row for row in formats if row.holds(array)), None)


def _could_be(row: Precision, grid: Format | None, *, stored: bool) -> bool:
    if grid is not None:
        return row.storage is grid
    return row.storage is FLOAT32 or (row.sums is FLOAT32 and not stored)


def _explains(array: Float64, bounded: Bounded, largest: float) -> bool:
    """Whether an array is within bounds that are small enough beside the values to mean something."""
    value, bound = bounded
    ratio, _ = _ratios(array, value, bound)
    finite = np.isfinite(bound)
    if not finite.any() or not (ratio <= 1).all():
        return False
    return bool(np.median(bound[finite]) <= largest * np.abs(value[finite]).max())


def worst_samples(array: Float64, bounded: Bounded, count: int) -> Sequence[int]:
    """Return the samples in which an array is farthest outside its bounds, in order, at most ``count``."""
    ratio, _ = _ratios(array, *bounded)
    by_sample = ratio.reshape(len(ratio), -1).max(1)
    return sorted(int(i) for i in np.argsort(-by_sample, kind="stable")[:count])
