"""A network in the making, while an ONNX model is imported."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress import ops
from refcompress.encodings import Encoding, encode
from refcompress.errors import ModelError, OptionError
from refcompress.formats.onnx.layout import Atom, Form, Group, Groups, Tensor, flat, leaves, size
from refcompress.graph import Graph, Node, Shape, TensorSpec

Array = NDArray[Any]

MAX_NAME = 200
MAX_ELEMENTS = 2**31 - 1  # of an activation, without the batch
MAX_SPREAD = 1 << 26  # elements of a parameter that repeats fewer, so that a small file cannot fill the memory
MAX_NODES = 100_000
BATCHES = (7919, 7927)  # two primes that stand for a batch of any size in arithmetic with shapes


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A tensor that is known before the network runs.

    Attributes
    ----------
    value
        The array.
    other
        What it would be for another size of the batch, where that changes it; else None.
    name
        Of the initializer it was read from; empty if it was computed.

    """

    value: Array
    other: Array | None = None
    name: str = ""

    @property
    def variants(self) -> tuple[Array, ...]:
        """The array for each of the two sizes of the batch, or the only one."""
        return (self.value,) if self.other is None else (self.value, self.other)


Value = Tensor | Constant


def compact(array: Array) -> Array:
    """Return an array whose axes along which it repeats itself, by strides of 0, have the length 1.

    Examples
    --------
    >>> compact(np.broadcast_to(np.arange(3), (10**6, 3))).shape
    (1, 3)

    """
    axes = zip(array.shape, array.strides, strict=True)
    return array[tuple(slice(0, 1) if n and not step else slice(None) for n, step in axes)]


@dataclass(slots=True, eq=False)
class Network:
    """A network in the making.

    Attributes
    ----------
    batch
        The batch axis of our activations; its size is that of the file, or :data:`BATCHES`[0] if the file leaves it
        open.
    samples
        What axes of ONNX's tensors hold it, ``(batch,)``; or nothing, where the model computes one sample: then it
        is applied to each of our samples by itself, whatever it does with its first axis.
    batches
        Sizes of the batch for which constants are computed: one, or two where the file leaves it open.
    opset
        Version of ONNX's operators.
    uses
        How often each tensor is read, the network's outputs included.
    inputs, nodes, params
        Those of the graph.
    values
        ONNX's name of a tensor to what it is.
    shapes
        Activation to its shape, without the batch axis.

    """

    batch: Atom
    samples: Group
    batches: tuple[int, ...]
    opset: int
    uses: Counter[str]
    inputs: list[TensorSpec] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    params: dict[str, Encoding] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _shared: dict[tuple[str, str], tuple[str, Array]] = field(default_factory=dict)
    _zero: str = ""
    _spread: int = 0

    def unique(self, wanted: str) -> str:
        """Return a name that nothing has, printable and not too long, as close as possible to the one wanted."""
        name = cleaned(wanted)
        count, result = 1, name
        while result in self._names:
            count += 1
            result = f"{name}:{count}"
        self._names.add(result)
        return result

    def add_input(self, name: str, axes: Groups, batch: int, kind: str) -> Tensor:
        """Add an input whose array has ONNX's order of axes, that of the batch (-1: none) moved to the front."""
        groups = ((self.batch,), *(group for axis, group in enumerate(axes) if axis != batch))
        spec = TensorSpec(self.unique(name), tuple(map(size, groups[1:])))
        self.inputs.append(spec)
        self.shapes[spec.name] = spec.shape
        return Tensor(axes, [Form(spec.name, groups)], kind)

    def emit(
        self,
        op: str,
        name: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        output: str = "",
    ) -> str:
        """Add a node and return the activation it makes.

        Parameters
        ----------
        op, inputs, attrs, params
            Of the node; every attribute of the operator is given.
        name
            What the node is to be called; changed if the name is taken.
        output
            What the activation is to be called; as the node by default.

        """
        params, row = params or {}, ops.find_op(op)
        typed = ops.make_attrs(op, attrs or {})
        stored = {role: self.params[key].shape for role, key in params.items()}
        shape = row.infer_shape(typed, [self.shapes[key] for key in inputs], stored)
        if any(n < 1 for n in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise ModelError(f"it makes the shape {shape}; allowed are axes of at least 1 and {MAX_ELEMENTS} elements")
        if len(self.nodes) >= MAX_NODES:
            raise ModelError(f"the network takes more than {MAX_NODES} nodes")
        called = self.unique(name)
        made = self.unique(output) if output and output != name else called
        self.nodes.append(Node(op, called, tuple(inputs), made, dict(params), typed))
        self.shapes[made] = shape
        return made

    def param(self, name: str, source: str, array: Array) -> str:
        """Store a parameter and return its name; equal arrays made of one initializer are stored once.

        Parameters
        ----------
        name
            What it is called if no initializer gives it a name.
        source
            The initializer it was made of, or empty.
        array
            Its values; rounded to float32.

        """
        if compact(array).size < array.size:
            self._spread += array.size
        if self._spread > MAX_SPREAD:
            raise ModelError(f"parameters that repeat few numbers would hold more than {MAX_SPREAD} elements")
        with np.errstate(all="ignore"):
            values = np.ascontiguousarray(array, np.float32)
        key = (source, repr(values.shape))
        if source and key in self._shared:
            known, same = self._shared[key]
            if np.array_equal(same, values):
                return known
        called = self.unique(source or name)
        try:
            self.params[called] = encode(values)
        except OptionError as error:
            raise ModelError(str(error)) from error
        if source:
            self._shared[key] = (called, values)
        return called

    def arrange(self, tensor: Tensor, wanted: Sequence[Group]) -> str:
        """Return an activation that holds a tensor in an order of axes, making one if there is none.

        Raises
        ------
        ModelError
            The first of these axes is not the batch, or another one holds it too.

        """
        groups = tuple(map(leaves, wanted))
        if not groups or groups[0] != (self.batch,) or self.batch in flat(groups[1:]):
            raise ModelError(
                "it mixes the batch axis, which is the first of the network's inputs, with another axis; samples must "
                "not depend on one another"
            )
        order = flat(groups)
        for form in tensor.forms:
            if tuple(map(leaves, form.groups)) == groups:
                return form.name
        for form in tensor.forms:
            if flat(form.groups) == order:
                return self._reshaped(tensor, form.name, groups)
        form = tensor.forms[0]
        pieces = _movable(tensor.groups, order)
        name = form.name if pieces == tensor.groups else self._reshaped(tensor, form.name, pieces)
        moved = _moved(pieces, groups)
        perm = _permutation(pieces, moved)
        made = self.emit("Transpose", f"{form.name}/transpose", [name], {"perm": perm})
        tensor.forms.append(Form(made, moved))
        return made if moved == groups else self._reshaped(tensor, made, groups)

    def _reshaped(self, tensor: Tensor, name: str, groups: Groups) -> str:
        shape = tuple(map(size, groups[1:]))
        if len(shape) == 1:
            made = self.emit("Flatten", f"{name}/flatten", [name])
        else:
            made = self.emit("Reshape", f"{name}/reshape", [name], {"shape": shape})
        tensor.forms.append(Form(made, groups))
        return made

    def zero(self) -> str:
        """Return an activation of shape (1,) that is 0 for every sample, made of the first input."""
        if not self._zero:
            if not self.inputs:
                raise ModelError("the network has no input")
            flattened = self.emit("Flatten", "zero/flatten", [self.inputs[0].name])
            first = self.emit(
                "Slice", "zero/slice", [flattened], {"axes": (1,), "starts": (0,), "ends": (1,), "steps": (1,)}
            )
            self._zero = self.emit("Clip", "zero", [first], {"min": 0.0, "max": 0.0})
        return self._zero

    def rename(self, changed: Mapping[str, str]) -> None:
        """Give activations other names."""
        self.nodes = [
            replace(
                node,
                inputs=tuple(changed.get(name, name) for name in node.inputs),
                output=changed.get(node.output, node.output),
            )
            for node in self.nodes
        ]
        self.shapes = {changed.get(name, name): shape for name, shape in self.shapes.items()}

    def graph(self, outputs: Sequence[str]) -> Graph:
        """Return the finished network, without what no output needs, its names and shapes checked."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                kept.append(node)
        used = {name for node in kept for name in node.params.values()}
        params = {name: array for name, array in self.params.items() if name in used}
        graph = Graph(tuple(self.inputs), tuple(outputs), tuple(reversed(kept)), params)
        ops.infer_shapes(graph)
        return graph


def cleaned(name: str) -> str:
    """Return a name of the file as we can use it: printable, and not too long or empty."""
    return "".join(c if c.isprintable() else "_" for c in name[:MAX_NAME]) or "node"


def _movable(groups: Groups, order: Group) -> Groups:
    """Return axes that a transposition can bring into an order: those there are if none needs to be taken apart."""
    place = {leaf: i for i, leaf in enumerate(order)}
    pieces: list[Group] = []
    for group in groups:
        whole = all(place[b] == place[a] + 1 for a, b in pairwise(group))
        pieces.extend([group] if whole else [(leaf,) for leaf in group])
    return tuple(pieces)


def _moved(pieces: Groups, wanted: Groups) -> Groups:
    """Order pieces as they stand in the axes wanted, axes of length 1 where they are wanted, else at the end."""
    first = {group[0]: group for group in pieces if group}
    spare = pieces.count(())
    moved: list[Group] = []
    for axis in wanted:
        moved.extend(first[leaf] for leaf in axis if leaf in first)
        if not axis and spare:
            moved.append(())
            spare -= 1
    moved.extend(() for _ in range(spare))
    return tuple(moved)


def _permutation(pieces: Groups, moved: Groups) -> tuple[int, ...]:
    """Return where each of the moved pieces stood."""
    units = iter([i for i, group in enumerate(pieces) if not group])
    place = {group[0]: i for i, group in enumerate(pieces) if group}
    return tuple(place[group[0]] if group else next(units) for group in moved)
