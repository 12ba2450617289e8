"""Which call of which layer an input comes from: the inbound nodes, inputs and outputs of a functional Keras model."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from refcompress.errors import ModelError
from refcompress.formats.keras.config import NETWORKS, REBUILD, TENSORFLOW_OPERATORS, Layer, shown

Key = tuple[str, int]  # a layer, and which of its calls
Value = TypeVar("Value")

CONSTANT = "_CONSTANT_VALUE"  # where TensorFlow 2 writes a number in the place of a layer


@dataclass(frozen=True, slots=True)
class Ref:
    """One tensor: an output of one call of a layer.

    Attributes
    ----------
    layer
        The layer's name.
    call
        Which of its calls, from 0.
    output
        Which of what that call returns.

    """

    layer: str
    call: int
    output: int


@dataclass(frozen=True, slots=True, eq=False)
class Inbound:
    """What one call of a layer is given.

    Attributes
    ----------
    args
        By position: lists, numbers, texts and so on in which :class:`Ref` stands for a tensor.
    kwargs
        By name.

    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def refs(self) -> list[Ref]:
        """Return all tensors it reads, in order."""
        found: list[Ref] = []
        _map((list(self.args), dict(self.kwargs)), found.append)
        return found

    def replaced(self, function: Callable[[Ref], Any]) -> Inbound:
        """Return the same call with something else in place of each reference."""
        return Inbound(tuple(_map(item, function) for item in self.args), _map(dict(self.kwargs), function))


def _map(value: Any, function: Callable[[Ref], Any]) -> Any:
    if isinstance(value, Ref):
        return function(value)
    if isinstance(value, list | tuple):
        return [_map(item, function) for item in value]
    if isinstance(value, dict):
        return {key: _map(item, function) for key, item in value.items()}
    return value


def inbound_calls(layer: Layer) -> list[Inbound]:
    """Return what each call of a layer is given, as it stands in the file.

    Raises
    ------
    ModelError
        The entry is malformed.

    """
    if not isinstance(layer.inbound, list):
        raise _malformed(layer, "inbound_nodes", layer.inbound)
    calls = [_call(layer, entry) for entry in layer.inbound]
    for call, entry in zip(calls, layer.inbound, strict=True):
        if not call.refs():
            raise _malformed(layer, "inbound_nodes", entry)
    return calls


def model_refs(model: Layer, option: str) -> list[Ref]:
    """Return the tensors a model lists in ``input_layers`` or ``output_layers``; dictionaries in order of their keys.

    Raises
    ------
    ModelError
        The list is malformed.

    """
    refs: list[Ref] = []
    _collect(model, option, model.config.get(option), refs)
    if not refs:
        raise _malformed(model, option, model.config.get(option))
    return refs


def _collect(model: Layer, option: str, value: Any, refs: list[Ref]) -> None:
    if _is_leaf(value) and len(value) == 3:
        refs.append(_ref(model, option, value))
    elif isinstance(value, list):
        for item in value:
            _collect(model, option, item, refs)
    elif isinstance(value, dict) and "class_name" not in value:
        for key in sorted(value):
            _collect(model, option, value[key], refs)
    else:
        raise _malformed(model, option, value)


def _call(layer: Layer, entry: Any) -> Inbound:
    if isinstance(entry, dict) and "args" in entry:  # Keras 3
        args, kwargs = entry["args"], entry.get("kwargs")
        if not isinstance(args, list) or not isinstance(kwargs, dict | None):
            raise _malformed(layer, "inbound_nodes", entry)
        return Inbound(tuple(_decoded(layer, item) for item in args), _decoded_each(layer, kwargs or {}))
    first, kwargs = _first_argument(layer, entry)
    # around its only input an ordinary layer has one list more than an operator
    if isinstance(first, list) and len(first) == 1 and layer.class_name not in TENSORFLOW_OPERATORS:
        first = first[0]
    return Inbound((first,), _decoded_each(layer, kwargs))


def _first_argument(layer: Layer, entry: Any) -> tuple[Any, dict[str, Any]]:
    """Read ``[layer, call, output, keyword arguments]``, or lists of these, which all have the same arguments."""
    if _is_leaf(entry):
        kwargs = entry[3] if len(entry) == 4 else {}
        if not isinstance(kwargs, dict):
            raise _malformed(layer, "inbound_nodes", kwargs)
        if entry[0] == CONSTANT:
            return _decoded(layer, entry[2]), kwargs
        return _ref(layer, "inbound_nodes", entry[:3]), kwargs
    if not isinstance(entry, list) or not entry or isinstance(entry[0], str):
        raise _malformed(layer, "inbound_nodes", entry)
    items = [_first_argument(layer, item) for item in entry]
    return [item for item, _ in items], items[0][1]


def _is_leaf(value: Any) -> bool:
    return isinstance(value, list) and len(value) in {3, 4} and isinstance(value[0], str)


def _decoded(layer: Layer, value: Any) -> Any:
    """Turn what stands for tensors, arrays, slices and ``...`` into these."""
    if _is_leaf(value) and len(value) == 3 and type(value[1]) is int and type(value[2]) is int:
        return _ref(layer, "inbound_nodes", value)
    if isinstance(value, list):
        return [_decoded(layer, item) for item in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__keras_tensor__" and isinstance(config, dict):
        return _ref(layer, "inbound_nodes", config.get("keras_history"))
    if kind in ("__numpy__", "__tensor__") and isinstance(config, dict):
        return config.get("value")
    part = config if kind == "__slice__" else value
    if isinstance(part, dict) and set(part) == {"start", "stop", "step"}:
        if not all(item is None or type(item) is int for item in part.values()):
            raise _malformed(layer, "inbound_nodes", value)
        return slice(part["start"], part["stop"], part["step"])
    return _decoded_each(layer, value)


def _decoded_each(layer: Layer, value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _decoded(layer, item) for key, item in value.items()}


def _ref(layer: Layer, option: str, value: Any) -> Ref:
    if isinstance(value, list) and len(value) == 3:
        name, call, output = value
        if isinstance(name, str) and type(call) is int and type(output) is int and call >= 0 and output >= 0:
            return Ref(name, call, output)
    raise _malformed(layer, option, value)


def _malformed(layer: Layer, option: str, value: Any) -> ModelError:
    return ModelError(f"{layer}: {option} holds {shown(value)} where a layer's output should be named; {REBUILD}")


def count_from_zero(
    layers: Mapping[str, Layer], reads: Sequence[Inbound], outputs: Sequence[Ref], *, keras3: bool
) -> tuple[list[Inbound], list[Ref]]:
    """Return references in which the calls of nested models count from 0, as those of other layers do.

    A nested model that was made from inputs has one node more in Keras 2, its making, which the file does not list
    but counts. Keras 3 counts it in ``output_layers`` only, and for functional models only. Every call that a
    Keras 2 file lists is read by some other, so the smallest number is the first call.

    Parameters
    ----------
    layers
        Name to layer.
    reads
        What each call in the model is given.
    outputs
        What the model returns.
    keras3
        Whether Keras 3 wrote the file.

    """
    models = {name for name, layer in layers.items() if layer.class_name in NETWORKS}
    if keras3:
        functional = {name: 1 for name in models if layers[name].class_name != "Sequential"}
        return list(reads), [_shift(ref, functional) for ref in outputs]
    first: dict[str, int] = {}
    for ref in [*(ref for call in reads for ref in call.refs()), *outputs]:
        if ref.layer in models:
            first[ref.layer] = min(ref.call, first.get(ref.layer, ref.call), 1)
    return [call.replaced(lambda ref: _shift(ref, first)) for call in reads], [_shift(ref, first) for ref in outputs]


def _shift(ref: Ref, first: Mapping[str, int]) -> Ref:
    return Ref(ref.layer, ref.call - first.get(ref.layer, 0), ref.output)


def in_order(keys: Sequence[Key], reads: Sequence[Sequence[Ref]], known: Iterable[Key]) -> list[int]:
    """Sort the calls of a model so that each comes after those it reads; otherwise as they stand in the file.

    Parameters
    ----------
    keys
        Layer and number of each call.
    reads
        What each of them reads.
    known
        What is there from the start: the inputs.

    Returns
    -------
    list of int
        Indices into ``keys``.

    Raises
    ------
    ModelError
        A call reads one that does not exist, or calls read each other in a circle.

    """
    made_by = {key: index for index, key in enumerate(keys)} | dict.fromkeys(known, -1)
    readers: dict[int, list[int]] = {}
    waits = [0] * len(keys)
    for index, refs in enumerate(reads):
        for source in {find(made_by, ref, f"layer {keys[index][0]!r}") for ref in refs} - {-1}:
            readers.setdefault(source, []).append(index)
            waits[index] += 1
    ready = [index for index, count in enumerate(waits) if not count]
    order: list[int] = []
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers.get(order[-1], []):
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(keys):
        stuck = [keys[index][0] for index, count in enumerate(waits) if count]
        raise ModelError(f"the layers {', '.join(map(repr, stuck[:4]))} read each other in a circle; {REBUILD}")
    return order


def find(table: Mapping[Key, Value], ref: Ref, reader: str) -> Value:
    """Look up the call that a reference means.

    Raises
    ------
    ModelError
        There is no such call.

    """
    if (ref.layer, ref.call) not in table:
        raise ModelError(
            f"{reader} reads call {ref.call} of the layer {ref.layer!r}, which the architecture does not hold; "
            f"{REBUILD}"
        )
    return table[ref.layer, ref.call]
