"""One call of a layer on its inputs, and how it adds nodes and parameters to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress import ops
from refcompress.encodings import Encoding, decode, encode
from refcompress.errors import ModelError
from refcompress.formats.keras import weights
from refcompress.formats.keras.config import Layer, Shape
from refcompress.formats.keras.lost_calls import Shared
from refcompress.formats.keras.weights import Weights
from refcompress.graph import Graph, Node, TensorSpec

MAX_CALLS = 20_000  # nested models called twice at each level would otherwise grow a network without end

# on single elements, whatever their order; the second ones on several inputs of one shape
_UNARY = frozenset(
    {"Abs", "Celu", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish"}
    | {"NotEqual", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh"}
    | {"ThresholdedRelu", "Dropout"}
)
_MERGES = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})

Array = NDArray[np.float32]
Made = str | tuple[str, ...]  # what a call returns: activations, by name


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation among the arguments of a call."""

    name: str


@dataclass(frozen=True, slots=True)
class View:
    """An activation that holds the elements of another one in another order or shape.

    Attributes
    ----------
    source
        The other one.
    op, attrs
        What made it of that: Transpose or Reshape, which the importer added.

    """

    source: str
    op: str
    attrs: Any


@dataclass(slots=True, eq=False)
class Builder:
    """A network in the making.

    Attributes
    ----------
    weights
        Of the open checkpoint.
    call_layer
        Calls a layer inside another one: ``(builder, layer, node name, inputs) -> what it makes``.
    keras_version
        What wrote it; some functions mean something else in other generations.
    input_shapes
        Input to its shape without the batch axis, as the user says.
    shared
        Layers whose names stand in several models of the file.
    inputs, nodes, params
        Those of the graph.
    shapes
        Activation to its shape, without the batch axis.
    masks
        Activation to the mask that belongs to it: 1 where a time step counts, 0 where it does not.
    views
        Activation to what it is a view of.
    calls
        How many layers have been called.
    read
        Path of a layer to how many of its weights have been read.
    """

    weights: Weights
    call_layer: Callable[[Builder, Layer, str, tuple[str, ...]], tuple[str, ...]]
    keras_version: str = ""
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    shared: Shared = field(default_factory=dict)
    inputs: list[TensorSpec] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    params: dict[str, Encoding] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    calls: int = 0
    read: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def keras3(self) -> bool:
        """Whether Keras 3 wrote the file."""
        return self.keras_version.startswith("3")

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

    def add_node(
        self,
        layer: Layer,
        name: str,
        op: str,
        inputs: tuple[str, ...],
        attrs: Mapping[str, Any],
        params: Mapping[str, str],
    ) -> str:
        """Add a node for a layer and return the activation it makes, which has the node's name.

        Raises
        ------
        ModelError
            The operator refuses its attributes or its inputs' shapes, or the name is taken; the layer is named.

        """
        try:
            row = ops.find_op(op)
            typed = ops.make_attrs(op, attrs)
            stored = {role: self.params[key].shape for role, key in params.items()}
            shape = row.infer_shape(typed, [self.shapes[source] for source in inputs], stored)
        except ModelError as error:
            raise ModelError(f"{layer}: {error}") from error
        if name in self.shapes:
            raise ModelError(f"{layer}: two layers make {name!r}; rename one and save the model again")
        self.nodes.append(Node(op, name, inputs, name, params, typed))
        self.shapes[name] = shape
        return name

    def graph(self, outputs: Sequence[str]) -> Graph:
        """Return the finished network, its names and shapes checked, without what no output needs.

        Nobody may need the states of a recurrent layer, a mask, or an image in another order.
        """
        needed = set(outputs)
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if node.output in needed:
                nodes.append(node)
                needed.update(node.inputs)
        used = {name for node in nodes for name in node.params.values()}
        params = {name: encoding for name, encoding in self.params.items() if name in used}
        graph = Graph(tuple(self.inputs), tuple(outputs), tuple(reversed(nodes)), params)
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
    args, kwargs
        Everything the layer is given: JSON values in which :class:`Tensor` stands for an activation.

    """

    layer: Layer
    name: str
    inputs: tuple[str, ...]
    builder: Builder
    part: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of its inputs, without the batch axis."""
        return [self.builder.shapes[name] for name in self.inputs]

    @property
    def shape(self) -> Shape:
        """Shape of its only input."""
        return self.shapes[0]

    @property
    def mask(self) -> str | None:
        """The mask it is given, or else that of its first input: an activation, or None."""
        given = self.kwargs.get("mask")
        return given.name if isinstance(given, Tensor) else self.builder.masks.get(self.inputs[0])

    def then(self, *outputs: str, part: str = "") -> Call:
        """Return the same layer's next step, which reads what earlier ones made."""
        return replace(self, inputs=outputs, part=part)

    def inside(self, name: str) -> Call:
        """Return the same call as that of a layer inside this one, which owns weights itself."""
        return replace(self, layer=replace(self.layer, path=(*self.layer.path, name)), name=f"{self.name}/{name}")

    def param(
        self,
        name: str,
        roles: Sequence[str],
        shape: Shape,
        convert: Callable[[Array], Array] | None = None,
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
        full = self._param_name(name)
        if full not in self.builder.params:
            index = self.builder.read.setdefault(self.layer.path, 0)
            self.builder.read[self.layer.path] += 1
            array = weights.read(self.builder.weights, self.layer.path, roles, shape, index=index)
            self.builder.params[full] = encode(convert(array) if convert else array)
        return full

    def stored_shape(self, roles: Sequence[str], shapes: Sequence[Shape], *, index: int) -> Shape:
        """Return which of some shapes a weight has in the file.

        Parameters
        ----------
        roles
            As for :meth:`param`.
        shapes
            Those it may have, by the layer's configuration.
        index
            Which of the layer's weights it is, in the order in which Keras creates them.

        """
        if len(shapes) == 1:
            return shapes[0]
        found = weights.shape_of(self.builder.weights, self.layer.path, roles, index=index)
        return found if found in shapes else shapes[0]  # which reading it refuses

    def value(self, name: str) -> Array:
        """Return the array of a parameter."""
        return decode(self.builder.params[name])

    def constant(self, name: str, value: Any) -> str:
        """Add a parameter that the file holds no weight for, and return its name; a number has the shape (1,)."""
        array = np.atleast_1d(np.asarray(value, np.float32))
        full = wanted = self._param_name(name)
        number = 1
        while full in self.builder.params:
            stored = decode(self.builder.params[full])
            if np.array_equal(stored, array):
                return full
            number += 1
            full = f"{wanted}:{number}"
        self.builder.params[full] = encode(array)
        return full

    def _param_name(self, name: str) -> str:
        return "/".join((*self.layer.path, self.part, name) if self.part else (*self.layer.path, name))

    def emit(self, op: str, attrs: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None) -> str:
        """Add a node and return the activation it makes.

        On views, an operator on single elements is applied to what is viewed, so that layers in a row whose
        channels stand first need two transpositions and not two for each.

        Raises
        ------
        ModelError
            The operator refuses its attributes or its inputs' shapes; the layer is named.

        """
        name = f"{self.name}/{self.part}" if self.part else self.name
        seen = self._seen(op, params)
        if seen is None:
            return self.builder.add_node(self.layer, name, op, self.inputs, attrs or {}, params or {})
        if op == "Concat" and attrs is not None:
            attrs = {"axis": seen[0].attrs.perm[attrs["axis"]]}
        made = self.builder.add_node(self.layer, name, op, tuple(view.source for view in seen), attrs or {}, {})
        again = self.then(made, part=self.part)
        if seen[0].op == "Transpose":
            return again.transpose(seen[0].attrs.perm)
        return again.reshape(seen[0].attrs.shape)

    def transpose(self, perm: Sequence[int]) -> str:
        """Return its only input with other axes; counted with the batch axis, which stays the first."""
        source, perm = self.inputs[0], tuple(perm)
        view = self.builder.views.get(source)
        if view is not None and view.op == "Transpose":
            source, perm = view.source, tuple(view.attrs.perm[axis] for axis in perm)
        if perm == tuple(range(len(perm))):
            return source
        return self._view(source, "Transpose", {"perm": perm}, "transposed")

    def reshape(self, shape: Shape) -> str:
        """Return its only input in another shape, without the batch axis."""
        source = self.inputs[0]
        view = self.builder.views.get(source)
        if view is not None and view.op == "Reshape":
            source = view.source
        if self.builder.shapes[source] == shape:
            return source
        return self._view(source, "Reshape", {"shape": shape}, "reshaped")

    def affine(self, scale: float | None = None, bias: float | None = None) -> str:
        """Return its only input times a number plus a number."""
        given = {"scale": scale, "bias": bias}
        params = {role: self.constant(role, value) for role, value in given.items() if value is not None}
        return self.emit("Affine", params=params)

    def _seen(self, op: str, params: Mapping[str, str] | None) -> list[View] | None:
        """Return the views it reads, if the operator may be applied to their sources instead."""
        views = [self.builder.views.get(name) for name in self.inputs]
        found = [view for view in views if view is not None]
        if params or not found or len(found) < len(views) or len({(view.op, view.attrs) for view in found}) > 1:
            return None
        if op in _UNARY and len(found) == 1:
            return found
        ranks = {len(self.builder.shapes[view.source]) for view in found}
        if op == "Concat":
            return found if found[0].op == "Transpose" and len(ranks) == 1 else None
        shapes = {self.builder.shapes[view.source] for view in found}
        alike = len(ranks) == 1 if found[0].op == "Transpose" else len(shapes) == 1
        return found if op in _MERGES and alike else None

    def _view(self, source: str, op: str, attrs: Mapping[str, Any], what: str) -> str:
        wanted = name = f"{self.name}/{self.part}/{what}" if self.part else f"{self.name}/{what}"
        number = 1
        while name in self.builder.shapes:
            number += 1
            name = f"{wanted}:{number}"
        made = self.builder.add_node(self.layer, name, op, (source,), attrs, {})
        self.builder.views[made] = View(source, op, self.builder.nodes[-1].attrs)
        return made
