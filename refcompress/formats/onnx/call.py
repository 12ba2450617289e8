"""One node of an ONNX network, and how it adds nodes and parameters to ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.onnx.layout import Atom, Form, Group, Tensor, batch_first, flat, leaves, size
from refcompress.formats.onnx.network import MAX_SPREAD, Array, Constant, Network, Value, compact
from refcompress.formats.onnx.proto import shown
from refcompress.graph import Shape


@dataclass(slots=True, eq=False)
class Call:
    """One node of the ONNX network.

    Attributes
    ----------
    network
        Our network in the making.
    op
        The operator, in ONNX's name.
    name
        The node's name, or that of its first output.
    inputs, outputs
        Names of tensors; empty where an optional one is left out.
    attrs
        Attributes by name.
    read
        Those of the attributes that were looked at; the others are refused.

    """

    network: Network
    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    read: set[str] = field(default_factory=set)

    @property
    def batch(self) -> Atom:
        """The batch axis of our activations."""
        return self.network.batch

    @property
    def samples(self) -> Group:
        """An axis of ONNX's that holds the samples."""
        return self.network.samples

    def one_batch(self, axes: Sequence[Group]) -> None:
        """Refuse axes that have the batch more than once, or not at all."""
        if flat(axes).count(self.batch) != len(self.samples):
            raise ModelError("the batch axis stands in different places of its inputs; samples must not be mixed")

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def wants(self, index: int) -> bool:
        """Whether an output has a name and is read by anything."""
        return index < len(self.outputs) and self.network.uses[self.outputs[index]] > 0

    def value(self, index: int) -> Value:
        """Return an input."""
        if not self.has(index):
            raise ModelError(f"its input {index} is missing")
        name = self.inputs[index]
        if name not in self.network.values:
            raise ModelError(
                f"it reads {shown(name)}, which no earlier node makes, or which is an output that is not supported"
            )
        return self.network.values[name]

    def tensor(self, index: int = 0, kinds: str = "f") -> Tensor:
        """Return an input that is computed."""
        value = self.value(index)
        if isinstance(value, Constant):
            raise ModelError(f"its input {shown(self.inputs[index])} is a constant; it must be computed by the network")
        if value.kind not in kinds:
            found = {"i": "integers", "b": "truth values", "f": "floating point"}[value.kind]
            raise ModelError(f"its input {shown(self.inputs[index])} holds {found}; that is not supported here")
        return value

    def constant(self, index: int) -> Constant:
        """Return an input that is known before the network runs."""
        value = self.value(index)
        if isinstance(value, Tensor):
            raise ModelError(
                f"its input {shown(self.inputs[index])} is computed by the network or given to it; here it must be a "
                "constant (an initializer)"
            )
        return value

    def array(self, index: int) -> Array:
        """Return a constant input that does not depend on the size of the batch."""
        constant = self.constant(index)
        if constant.other is not None:
            raise ModelError(f"its input {shown(self.inputs[index])} depends on the size of the batch")
        array = constant.value
        if array.size > MAX_SPREAD and compact(array).size < array.size:
            raise ModelError(f"its input {shown(self.inputs[index])} repeats few numbers; {array.size} are too many")
        return array

    def floats(self, index: int, shape: Shape) -> Array:
        """Return a constant input of floating point of a given shape."""
        array = self.array(index)
        if array.shape != shape or array.dtype.kind != "f":
            raise ModelError(
                f"its input {shown(self.inputs[index])} is {array.dtype} of shape {array.shape}; it must be floating "
                f"point of shape {shape}"
            )
        return array

    def integers_at(self, index: int) -> list[int]:
        """Return a constant input of integers, for the batch as it is counted while importing."""
        array = self.constant(index).value
        if array.dtype.kind not in "iu" or array.ndim > 1 or array.size > 64:
            raise ModelError(f"its input {shown(self.inputs[index])} must be a short list of integers")
        return [int(n) for n in array.reshape(-1)]

    def _attr(self, name: str, kind: type, default: Any) -> Any:
        self.read.add(name)
        value = self.attrs.get(name, default)
        if value is not None and not isinstance(value, kind):
            raise ModelError(f"its attribute {name!r} is a {type(value).__name__}; it must be a {kind.__name__}")
        return value

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is an integer."""
        return int(self._attr(name, int, default))

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int] | None:
        """Return an attribute that is a list of integers, or the default."""
        value = self._attr(name, list, default if default is None else list(default))
        if value is not None and not all(isinstance(n, int) for n in value):
            raise ModelError(f"its attribute {name!r} is a list of other things than integers")
        return None if value is None else [int(n) for n in value]

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a floating-point number."""
        return float(self._attr(name, float, default))

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a text."""
        return str(self._attr(name, str, default))

    def ignore(self, *names: str) -> None:
        """Count attributes as looked at that mean nothing here."""
        self.read.update(names)

    def only(self, name: str, default: int, allowed: int = 0) -> None:
        """Refuse an integer attribute that is not what is supported."""
        if self.integer(name, default) != allowed:
            raise ModelError(f"its attribute {name!r} is {self.integer(name, default)}; supported is {allowed}")

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from the front."""
        if not -rank <= axis < rank:
            raise ModelError(f"its axis {axis} is none of the {rank} axes there are")
        return axis % rank

    def no_batch(self, group: Group, what: str) -> None:
        """Refuse an operation that would make samples depend on one another."""
        if self.batch in leaves(group):
            raise ModelError(
                f"{what} the batch axis, which is the first of the network's inputs; samples must not depend on one "
                "another; a model without a batch axis is read with batched=False (--no-batch)"
            )

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        part: str = "",
        output: int | None = None,
    ) -> str:
        """Add a node, named after the ONNX node, what it makes after the ONNX tensor.

        Parameters
        ----------
        op, inputs, attrs, params
            Of the node.
        part
            Ending of its name, where it makes only a part of what the ONNX node does.
        output
            Which of the ONNX node's outputs it makes; the first by default, none of them if it makes a part.

        """
        index = output if output is not None else None if part else 0
        made = self.outputs[index] if index is not None and index < len(self.outputs) else ""
        name = f"{self.name}/{part}" if part else self.name
        return self.network.emit(op, name, inputs, attrs, params, made)

    def param(self, role: str, array: Array, source: str = "") -> str:
        """Store a parameter, called as the initializer it was made of, or after the node."""
        return self.network.param(f"{self.name}/{role}", source, array)

    def source(self, index: int) -> str:
        """Return the name of the initializer behind an input, or nothing."""
        value = self.network.values.get(self.inputs[index]) if self.has(index) else None
        return value.name if isinstance(value, Constant) else ""

    def made(self, name: str, axes: Sequence[Group], groups: Sequence[Group], kind: str = "f") -> Tensor:
        """Return a tensor held by an activation."""
        return Tensor(tuple(axes), [Form(name, tuple(groups))], kind)

    def arrange(self, tensor: Tensor, wanted: Sequence[Group]) -> str:
        """Return an activation that holds a tensor in an order of axes."""
        return self.network.arrange(tensor, wanted)

    def activation(self, constant: Constant, axes: Sequence[Group]) -> Tensor:
        """Return a constant as a tensor that is computed, the same for every sample, its axes given."""
        from refcompress.formats.onnx.broadcast import per_sample

        groups = batch_first(axes, self.batch)
        groups = groups if len(groups) > 1 else [*groups, ()]
        array = per_sample(self, constant, axes, groups)
        shape = tuple(map(size, groups[1:]))
        name, zero = constant.name or f"{self.name}/constant", self.network.zero()
        if len(shape) != 1:
            zero = self.network.emit("Reshape", f"{name}/reshape", [zero], {"shape": (1,) * len(shape)})
        if math.prod(shape) > 1:
            zero = self.network.emit("Expand", f"{name}/expand", [zero], {"shape": shape})
        bias = self.param("constant", array, constant.name)
        return self.made(self.network.emit("Affine", f"{name}/add", [zero], {}, {"bias": bias}), axes, groups)
