"""The inputs that an ONNX model declares: their shapes, and which axis of each is the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refcompress.errors import ModelError, OptionError
from refcompress.formats.onnx.proto import kind_of, shown

RECURRENT = ("GRU", "LSTM", "RNN")


@dataclass(frozen=True, slots=True)
class Input:
    """An input as the model declares it.

    Attributes
    ----------
    kind
        ``"f"``, ``"i"`` or ``"b"``, as in :class:`refcompress.formats.onnx.layout.Tensor`.
    shape
        Its shape; None for the batch if that is open.
    batch
        Which axis is the batch; -1 if none is.

    """

    kind: str
    shape: tuple[int | None, ...]
    batch: int


def input_shapes(
    graph: Any, given: Sequence[Any], wanted: Mapping[str, Sequence[int]], *, batched: bool
) -> dict[str, Input]:
    """Read the declared shapes, lengths that are open replaced by those that are wanted."""
    for name in wanted:
        if name not in {value.name for value in given}:
            raise OptionError(f"there is no input {name!r}; there are {', '.join(value.name for value in given)[:500]}")
    result: dict[str, Input] = {}
    for value in given:
        what = f"the input {shown(value.name)}"
        kind = kind_of(value.type.tensor_type.elem_type)
        if value.type.WhichOneof("value") != "tensor_type" or kind is None:
            raise ModelError(f"{what} is no tensor of real numbers; supported are floats, integers and truth values")
        if value.name in result or not value.name:
            raise ModelError(f"{what} stands there twice, or has no name")
        dims = list(value.type.tensor_type.shape.dim) if value.type.tensor_type.HasField("shape") else None
        sizes = None if dims is None else [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        batch = 0 if batched else -1
        if batched and dims is not None:
            batch = _batch_axis(graph, value.name, [dim.dim_param for dim in dims])
        result[value.name] = Input(kind, _completed(what, sizes, batch, wanted.get(value.name)), batch)
    return result


def _batch_axis(graph: Any, name: str, symbols: Sequence[str]) -> int:
    """Return which axis of an input is the batch: the first, unless the model says otherwise."""
    named = [axis for axis, symbol in enumerate(symbols) if symbol.lower().startswith("batch")]
    if len(named) == 1:
        return named[0]
    readers = [(node, i) for node in graph.node for i, used in enumerate(node.input) if used == name]
    if readers and all(
        node.op_type in RECURRENT
        and i in {0, 5, 6}
        and not any(attribute.name == "layout" and attribute.i for attribute in node.attribute)
        for node, i in readers
    ):
        return 1
    return 0


def _completed(
    what: str, sizes: Sequence[int | None] | None, batch: int, wanted: Sequence[int] | None
) -> tuple[int | None, ...]:
    if wanted is not None:
        lengths = [int(n) for n in wanted]
        full: list[int | None] = list(lengths)
        if batch >= 0:
            full.insert(batch, sizes[batch] if sizes is not None and batch < len(sizes) else None)
        known = full if sizes is None else sizes
        if len(known) != len(full) or any(a not in {None, b} for a, b in zip(known, full, strict=True)):
            raise OptionError(
                f"{what} has the shape {sizes}, which the wanted {tuple(wanted)} does not fit (without batch)"
            )
        sizes = full
    if sizes is None or any(n is None for i, n in enumerate(sizes) if i != batch):
        raise ModelError(
            f"{what} has the shape {sizes}, with lengths that are open besides the batch (axis {batch}); say them: "
            "input_shapes={name: shape without the batch}"
        )
    if not batch < len(sizes) <= 16 or any(n is not None and not 1 <= n < 2**31 for n in sizes):
        raise ModelError(f"{what} has the shape {tuple(sizes)}; it needs a batch axis, and every axis at least 1 long")
    return tuple(sizes)
