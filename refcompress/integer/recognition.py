"""Recognizing whose rounding integer outputs follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.errors import DataError
from refcompress.integer.network import IntegerNetwork
from refcompress.integer.run import run_integer
from refcompress.integer.runtimes import RUNTIMES, Runtime
from refcompress.integer.step import Activation
from refcompress.run import Inputs


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far outputs agree with those of a runtime.

    Attributes
    ----------
    equal, total
        How many elements agree, of how many.
    largest_difference
        In integer steps.

    """

    equal: int
    total: int
    largest_difference: int


def compare_runtimes(
    network: IntegerNetwork, inputs: Inputs, outputs: ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
) -> dict[str, Agreement]:
    """Compare integer outputs with what each runtime computes.

    Parameters
    ----------
    network
        The network.
    inputs
        As :func:`refcompress.integer.run_integer` takes them.
    outputs
        Integers: one array, a sequence in the order of the network's outputs, or a mapping from their names.

    Returns
    -------
    dict
        Name of the runtime to agreement, in the order of RUNTIMES.

    Raises
    ------
    DataError
        Inputs or outputs do not fit the network.

    """
    expected = by_runtime(network, inputs)
    given = _outputs(network, outputs, [array.shape for array in next(iter(expected.values()))])
    found: dict[str, Agreement] = {}
    for runtime, arrays in expected.items():
        parts = [agreement(ours, theirs) for ours, theirs in zip(arrays, given, strict=True)]
        largest = max(part.largest_difference for part in parts)
        found[runtime] = Agreement(sum(part.equal for part in parts), sum(part.total for part in parts), largest)
    return found


def by_runtime(network: IntegerNetwork, inputs: Inputs) -> dict[str, tuple[Activation, ...]]:
    """Return the outputs that each runtime computes; those with the same roundings are computed once."""
    done: dict[Runtime, tuple[Activation, ...]] = {}
    for name, row in RUNTIMES.items():
        if row not in done:
            done[row] = run_integer(network, inputs, runtime=name)
    return {name: done[row] for name, row in RUNTIMES.items()}


def agreement(ours: NDArray[np.integer], theirs: NDArray[np.integer]) -> Agreement:
    """Compare two arrays of integers of one shape.

    Examples
    --------
    >>> agreement(np.array([1, 2, 3]), np.array([1, 2, 5]))
    Agreement(equal=2, total=3, largest_difference=2)

    """
    difference = np.abs(ours.astype(np.int64) - theirs)
    return Agreement(int(np.count_nonzero(difference == 0)), difference.size, int(difference.max(initial=0)))


def which_runtime(
    network: IntegerNetwork, inputs: Inputs, outputs: ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
) -> tuple[str, ...]:
    """Return the runtimes whose roundings give exactly these outputs; none if the tuple is empty.

    Parameters and errors are those of :func:`compare_runtimes`. Several runtimes agree on many networks: where
    nothing stands in the network in which they differ, all are named.
    """
    agreements = compare_runtimes(network, inputs, outputs)
    return tuple(name for name, agreement in agreements.items() if agreement.equal == agreement.total)


def _outputs(network: IntegerNetwork, outputs: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    names = network.graph.outputs
    if isinstance(outputs, Mapping):
        if set(outputs) != set(names):
            raise DataError(f"outputs named {sorted(map(str, outputs))}; the network's are {list(names)}")
        outputs = [outputs[name] for name in names]
    elif not isinstance(outputs, list | tuple) or len(names) == 1 != len(outputs):
        outputs = [outputs]
    if len(outputs) != len(names):
        raise DataError(f"{len(outputs)} output arrays; the network has {len(names)}: {list(names)}")
    arrays = [np.asarray(array) for array in outputs]
    for name, array, shape in zip(names, arrays, shapes, strict=True):
        if array.shape != shape or array.dtype.kind not in "iu":
            raise DataError(
                f"the output {name!r} is {array.dtype} {array.shape}; it must hold integers of the shape {shape}"
            )
    return [array.astype(np.int64) for array in arrays]
