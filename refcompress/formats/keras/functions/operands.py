"""What a function in the place of a layer is given: operands, activations or constants, and options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Array, Call, Tensor
from refcompress.formats.keras.config import MAX_NUMBER, is_int, shown

REMEDY = "replace the call by a layer that does the same, set the weights from this model and save it"


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One call of a function.

    Attributes
    ----------
    call
        Of the layer that stands for it.
    name
        Of the function, as the file has it.
    operands
        What it works on, in order: :class:`Tensor`, numbers, lists of these.
    options
        Everything else, by name.

    """

    call: Call
    name: str
    operands: Sequence[Any]
    options: Mapping[str, Any]

    def refuse(self, what: str) -> ModelError:
        """Build the error for a call that cannot be represented."""
        return ModelError(f"{self.call.layer}: the function {self.name} {what}; {REMEDY}")

    def operand(self, index: int) -> Any:
        """Return an operand.

        Raises
        ------
        ModelError
            There are fewer.

        """
        if index >= len(self.operands):
            raise self.refuse(f"is called with {len(self.operands)} operands and takes more")
        return self.operands[index]

    def tensor(self, index: int = 0) -> str:
        """Return the activation that an operand is.

        Raises
        ------
        ModelError
            It is something else.

        """
        value = self.operand(index)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, Tensor):
            raise self.refuse(f"is called on {shown(value)} in the place of an activation")
        return value.name

    def tensors(self) -> tuple[str, ...]:
        """Return the activations in the list that the first operand is."""
        first = self.operand(0)
        items = first if isinstance(first, list) else self.operands
        if not all(isinstance(item, Tensor) for item in items):
            raise self.refuse("is called on a list in which not all are activations")
        return tuple(item.name for item in items)

    def on(self, *names: str, part: str = "") -> Call:
        """Return the layer's next step on these activations, by default on its first operand."""
        return self.call.then(*(names or (self.tensor(),)), part=part)

    def option(self, *names: str, default: Any = None) -> Any:
        """Return the first of some options that is given."""
        return next((self.options[name] for name in names if self.options.get(name) is not None), default)

    def number(self, *names: str, default: float | None = None) -> float:
        """Return an option that is a number."""
        value = self.option(*names, default=default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_NUMBER:
            raise self.refuse(f"is called with {names[0]} = {shown(value)}; allowed is a finite number")
        return float(value)

    def flag(self, *names: str) -> bool:
        """Return an option that is true or false; false if it is not given."""
        value = self.option(*names, default=False)
        if not isinstance(value, bool | int) or value not in {0, 1}:
            raise self.refuse(f"is called with {names[0]} = {shown(value)}; allowed is true or false")
        return bool(value)

    def integers(self, *names: str) -> list[int] | None:
        """Return an option that is one integer or a list of them; None if it is not given."""
        value = self.option(*names)
        if value is None:
            return None
        found = value if isinstance(value, list) else [value]
        if not all(map(is_int, found)):
            raise self.refuse(f"is called with {names[0]} = {shown(value)}; allowed are integers")
        return found

    def axes(self, *names: str, rank: int, new: int = 0) -> list[int] | None:
        """Return axes, counted from the front; None if none is given.

        Parameters
        ----------
        names
            What the option may be called.
        rank
            Axes of the operand, the batch included.
        new
            How many axes the result has more.

        Raises
        ------
        ModelError
            One is the batch, or there is none such.

        """
        given = self.integers(*names)
        if given is None:
            return None
        found = [axis + rank + new if axis < 0 else axis for axis in given]
        if not found or min(found) < 1 or max(found) >= rank + new or len(set(found)) < len(found):
            raise self.refuse(f"works along the axes {shown(given)}; allowed are axes other than the batch, of {rank}")
        return found

    def check(self, *known: str) -> None:
        """Refuse options that are given and not among those known.

        Raises
        ------
        ModelError
            With the first such option.

        """
        for name, value in self.options.items():
            if value is not None and value is not False and name not in known:
                raise self.refuse(f"is called with {name} = {shown(value)}, which is not known here")


def constant(function: Function, value: Any) -> Array:
    """Return a constant operand: a number or nested lists of numbers."""
    try:
        array = np.asarray(value, np.float32)
    except (ValueError, TypeError, OverflowError):
        array = np.asarray(np.nan, np.float32)
    if not array.size or not bool((np.abs(array) <= MAX_NUMBER).all()):
        raise function.refuse(f"is called with the constant {shown(value)}; allowed are finite numbers")
    return array


def spread(function: Function, name: str, array: Array) -> tuple[str, Array]:
    """Make an activation and a constant broadcast to the activation's shape.

    A constant may have a batch axis of 1; an activation may have to be repeated.
    """
    shape = function.call.builder.shapes[name]
    if array.ndim == len(shape) + 1 and len(array) == 1:
        array = array[0]
    try:
        wanted = np.broadcast_shapes(shape, array.shape)
    except ValueError:
        raise function.refuse(f"is called on the shapes {shape} and {array.shape}, which do not fit") from None
    if array.ndim > len(shape):
        raise function.refuse(f"is called on the shapes {shape} and {array.shape}, which gives the batch other axes")
    if wanted != shape:
        name = function.on(name, part="expanded").emit("Expand", {"shape": wanted})
    return name, array


def count(shape: Sequence[int]) -> int:
    """Return how many elements an activation of some shape has."""
    return math.prod(shape)
