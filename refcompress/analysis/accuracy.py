"""How many samples a network classifies correctly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, run_dequantized
from refcompress.run import run


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Correct answers among all.

    Examples
    --------
    >>> str(Accuracy(93, 100))
    '93.00 % (93 of 100)'

    """

    correct: int
    total: int

    @property
    def share(self) -> float:
        """Correct answers over all answers, 0 to 1."""
        return self.correct / self.total

    def __str__(self) -> str:
        return f"{100 * self.share:.2f} % ({self.correct} of {self.total})"


def accuracy(
    network: Graph | IntegerNetwork,
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    batch_size: int = 64,
    progress: Callable[[float], None] | None = None,
) -> Accuracy:
    """Count the samples whose largest output is that of their label (top 1), computed in float32 or in integers.

    A network with a single output unit answers 1 where that unit is above 0.5.

    Parameters
    ----------
    network
        A network of one input and one output of one axis: a score for each class. An integer network computes with
        the roundings of ``"tflm"``.
    x
        Samples, (n, ...), of any real dtype.
    y
        Labels: integers (n,) or (n, 1), or one row of scores (n, classes) whose largest counts (one-hot).
    batch_size
        Samples at a time.
    progress
        Called with the share of samples done.

    Raises
    ------
    DataError
        The network does not give one score for each class, or the arrays do not fit it.

    """
    graph = network.graph if isinstance(network, IntegerNetwork) else network
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise DataError(
            f"accuracy needs a network of one input and one output; this has {len(graph.inputs)} and "
            f"{len(graph.outputs)}"
        )
    if not len(x) or len(x) != len(y):
        raise DataError(f"{len(x)} samples and {len(y)} labels; give one label for each sample, at least one")
    if x.dtype.kind not in "buif":
        raise DataError(f"samples of dtype {x.dtype}; give real numbers")
    correct, labels = 0, None
    for start in range(0, len(x), batch_size):
        part = x[start : start + batch_size]
        if isinstance(network, IntegerNetwork):
            (scores,) = run_dequantized(network, part, batch_size=batch_size)
        else:
            (scores,) = run(network, part, batch_size=batch_size)
        if scores.ndim != 2:
            raise DataError(
                f"the network's output {graph.outputs[0]!r} has the shape {scores.shape[1:]}; accuracy needs one "
                "score for each class"
            )
        labels = class_labels(y, scores.shape[1]) if labels is None else labels
        answers = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0.5
        correct += int(np.count_nonzero(answers == labels[start : start + batch_size]))
        if progress:
            progress(min(1.0, (start + batch_size) / len(x)))
    return Accuracy(correct, len(x))


def class_labels(y: NDArray[Any], units: int) -> NDArray[np.int64]:
    """Return labels as integers (n,), checked against the number of output units.

    Examples
    --------
    >>> class_labels(np.array([[0.0, 1.0], [1.0, 0.0]]), 2)
    array([1, 0])

    """
    classes = max(2, units)
    if y.ndim == 2 and y.shape[1] == classes and classes > 1 and y.dtype.kind in "buif":
        best: NDArray[np.int64] = y.argmax(axis=1).astype(np.int64)
        return best
    flat = y.reshape(-1) if y.shape in {(len(y),), (len(y), 1)} else None
    if flat is None or flat.dtype.kind not in "buif" or not np.array_equal(flat, np.floor(flat)):
        raise DataError(
            f"labels of shape {y.shape} and dtype {y.dtype}; give integers ({len(y)},) from 0 to {classes - 1}, or "
            f"rows of {classes} scores"
        )
    labels: NDArray[np.int64] = flat.astype(np.int64)
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"labels from {labels.min()} to {labels.max()}; the network's {units} output units know 0 to {classes - 1}"
        )
    return labels
