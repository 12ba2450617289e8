"""An imported ONNX model: the network, and which activation holds which of the model's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from refcompress.graph import Graph


@dataclass(frozen=True, slots=True)
class Layout:
    """How an activation holds a tensor of the ONNX model.

    Attributes
    ----------
    activation
        Its name in the graph.
    split
        The ONNX tensor's shape, axes that are several of the activation's taken apart; -1 is the batch, put in
        front where the array is one sample.
    perm
        For each axis after that, in the activation's order, which one of ``split`` it is.
    shape
        Shape of the activation, the batch (-1) first.

    """

    activation: str
    split: tuple[int, ...]
    perm: tuple[int, ...]
    shape: tuple[int, ...]

    def to_activation(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array as ONNX has it in the order of the activation.

        Examples
        --------
        >>> import numpy as np
        >>> Layout("conv", (-1, 3, 8, 8), (0, 2, 3, 1), (-1, 8, 8, 3)).to_activation(np.zeros((2, 3, 8, 8))).shape
        (2, 8, 8, 3)

        """
        return array.reshape(self.split).transpose(self.perm).reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """An imported ONNX model.

    Attributes
    ----------
    graph
        The network.
    inputs, outputs
        ONNX's names of its inputs and outputs, in the order of the graph's, and which axis is the batch: arrays of
        the graph have it first, the other axes in ONNX's order. -1 where the whole array is one sample.
    layouts
        ONNX's name of a tensor to how an activation holds it, for all tensors that one does.

    """

    graph: Graph
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    layouts: Mapping[str, Layout]
