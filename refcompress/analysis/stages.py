"""What each step of a recipe with training left: how good the network is, and how many weights it has."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from refcompress.encodings import decode
from refcompress.graph import Graph
from refcompress.passes.rules import weights_of

Measure = Literal["error rate", "loss"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A network after a step of a recipe.

    Attributes
    ----------
    name
        Of the step; ``"as given"`` before the first one, ``"encoded"`` for the network that the file holds.
    validation
        Score of the validation samples, the smaller the better; infinite where outputs are not finite.
    measure
        What the score is: ``"error rate"``, 0 to 1, or ``"loss"``.
    nonzero, weights
        Weights of Conv and Gemm nodes (not their biases) that are not zero, and all of them; shared ones once.
    epochs, best_epoch
        Epochs that the step trained, and the one whose network it is, from 1; 0 for a pass, and where a method went
        back to the network before it.

    Examples
    --------
    >>> Stage("train.fine_tune", 0.02, "error rate", 25, 100, 10, 8).density
    0.25

    """

    name: str
    validation: float
    measure: Measure
    nonzero: int
    weights: int
    epochs: int = 0
    best_epoch: int = 0

    @property
    def density(self) -> float:
        """Share of the weights that are not zero; 1.0 without any."""
        return self.nonzero / self.weights if self.weights else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the stage in types that JSON knows."""
        return {**asdict(self), "density": self.density}


def count_weights(graph: Graph) -> tuple[int, int]:
    """Count the weights of Conv and Gemm nodes: those that are not zero, and all.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w", "bias": "b"}),)
    >>> params = {"w": encode([[1.0, 0.0]]), "b": encode([1.0, 1.0])}
    >>> count_weights(Graph((TensorSpec("x", (1,)),), ("y",), nodes, params))
    (1, 2)

    """
    encodings = [weight.encoding for weight in weights_of(graph)]
    nonzero = sum(int(np.count_nonzero(decode(encoding))) for encoding in encodings)
    return nonzero, sum(math.prod(encoding.shape) for encoding in encodings)
