"""One call of a layer on its inputs, and how it adds nodes and parameters to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress import ops
from refcompress.encodings import Encoding, encode
from refcompress.errors import ModelError
from refcompress.formats import keras_weights
from refcompress.formats.keras_config import Layer, Shape
from refcompress.formats.keras_weights import Weights
from refcompress.graph import Graph, Node, TensorSpec

MAX_CALLS = 20_000  # nested models called twice at each level would otherwise grow a network without end

Array = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Builder:
    """A network in the making.

    Attributes
    ----------
    weights
        Of the open checkpoint.
    inputs, nodes, params
        Those of the graph.
    shapes
        Activation to its shape, without the batch axis.
    calls
        How many layers have been called.
    read
        Path of a layer to how many of its weights have been read.

    """

    weights: Weights
    inputs: list[TensorSpec] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    params: dict[str, Encoding] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    calls: int = 0
    read: dict[tuple[str, ...], int] = field(default_factory=dict)

    def count_call(self, layer: Layer) -> None:
        """Count one call of a layer; refuse more than :data:`MAX_CALLS`."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise ModelError(f"{layer}: the architecture calls layers more than {MAX_CALLS} times; it is malformed")

    def add_input(self, name: str, shape: Shape) -> str:
        """Add an input of the network."""
        self.inputs.append(TensorSpec(name, shape))
        self.shapes[name] = shape
        return name

    def graph(self, outputs: Sequence[str]) -> Graph:
        """Return the finished network, its names and shapes checked."""
        graph = Graph(tuple(self.inputs), tuple(outputs), tuple(self.nodes), self.params)
        ops.infer_shapes(graph)
        return graph


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a layer.

    Attributes
    ----------
    layer
        The layer.
    name
        Name of the node: the layer's path, with ``:2`` where it is called a second time.
    inputs
        Activations it reads.
    builder
        The network in the making.
    part
        Ending of the names of nodes and parameters, where a layer becomes several nodes.

    """

    layer: Layer
    name: str
    inputs: tuple[str, ...]
    builder: Builder
    part: str = ""

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of its inputs, without the batch axis."""
        return [self.builder.shapes[name] for name in self.inputs]

    @property
    def shape(self) -> Shape:
        """Shape of its only input."""
        return self.shapes[0]

    def then(self, output: str, part: str = "") -> Call:
        """Return the same layer's next step, which reads what the last one made."""
        return replace(self, inputs=(output,), part=part)

    def param(
        self, name: str, roles: Sequence[str], shape: Shape, convert: Callable[[Array], Array] | None = None
    ) -> str:
        """Read a weight of the layer and return its parameter's name; calls of one layer share it.

        Parameters
        ----------
        name
            What the parameter is called below the layer's path.
        roles
            What Keras calls it, one name for each generation that differs.
        shape
            Its shape in the file.
        convert
            From Keras's layout to ours, where they differ.

        """
        full = "/".join((*self.layer.path, self.part, name) if self.part else (*self.layer.path, name))
        if full not in self.builder.params:
            index = self.builder.read.setdefault(self.layer.path, 0)
            self.builder.read[self.layer.path] += 1
            array = keras_weights.read(self.builder.weights, self.layer.path, roles, shape, index=index)
            self.builder.params[full] = encode(convert(array) if convert else array)
        return full

    def emit(self, op: str, attrs: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None) -> str:
        """Add a node and return the activation it makes.

        Raises
        ------
        ModelError
            The operator refuses its attributes or its inputs' shapes; the layer is named.

        """
        name = f"{self.name}/{self.part}" if self.part else self.name
        params = params or {}
        row = ops.OPS[op]
        try:
            typed = ops.make_attrs(op, attrs or {})
            stored = {role: self.builder.params[key].shape for role, key in params.items()}
            shape = row.infer_shape(typed, self.shapes, stored)
        except ModelError as error:
            raise ModelError(f"{self.layer}: {error}") from error
        if name in self.builder.shapes:
            raise ModelError(f"{self.layer}: two layers make {name!r}; rename one and save the model again")
        self.builder.nodes.append(Node(op, name, self.inputs, name, params, typed))
        self.builder.shapes[name] = shape
        return name
