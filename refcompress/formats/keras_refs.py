"""Which call of which layer an input comes from: the inbound nodes, inputs and outputs of a functional Keras model."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from refcompress.errors import ModelError
from refcompress.formats.keras_config import Layer, shown
from refcompress.formats.keras_hdf5 import SAVE_AGAIN
from refcompress.formats.keras_layers import NETWORKS

Key = tuple[str, int]  # a layer, and which of its calls
Value = TypeVar("Value")


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


def inbound_calls(layer: Layer) -> list[list[Ref]]:
    """Return what each call of a layer reads, as it stands in the file.

    Raises
    ------
    ModelError
        The entry is malformed, or the layer is called with arguments that cannot be represented.

    """
    if not isinstance(layer.inbound, list):
        raise _malformed(layer, "inbound_nodes", layer.inbound)
    return [_call(layer, entry) for entry in layer.inbound]


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


def _call(layer: Layer, entry: Any) -> list[Ref]:
    refs: list[Ref] = []
    if isinstance(entry, dict) and "args" in entry:  # Keras 3
        _collect(layer, "inbound_nodes", entry["args"], refs)
        _check_kwargs(layer, entry.get("kwargs"))
    else:
        _collect(layer, "inbound_nodes", entry, refs)
    if not refs:
        raise _malformed(layer, "inbound_nodes", entry)
    return refs


def _collect(layer: Layer, option: str, value: Any, refs: list[Ref]) -> None:
    if isinstance(value, list) and value and isinstance(value[0], str):
        if len(value) not in {3, 4}:
            raise _malformed(layer, option, value)
        if len(value) == 4:
            _check_kwargs(layer, value[3])
        refs.append(_ref(layer, option, value[:3]))
    elif isinstance(value, list):
        for item in value:
            _collect(layer, option, item, refs)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        refs.append(_ref(layer, option, config.get("keras_history") if isinstance(config, dict) else None))
    elif isinstance(value, dict) and "class_name" not in value and option != "inbound_nodes":
        for key in sorted(value):
            _collect(layer, option, value[key], refs)
    else:
        raise _malformed(layer, option, value)


def _ref(layer: Layer, option: str, value: Any) -> Ref:
    if isinstance(value, list) and len(value) == 3:
        name, call, output = value
        if isinstance(name, str) and type(call) is int and type(output) is int and call >= 0 and output >= 0:
            return Ref(name, call, output)
    raise _malformed(layer, option, value)


def _check_kwargs(layer: Layer, kwargs: Any) -> None:
    if kwargs is not None and not isinstance(kwargs, dict):
        raise _malformed(layer, "inbound_nodes", kwargs)
    for name, value in (kwargs or {}).items():
        # "not given" is null, and training=False is what inference is
        if value is not None and value is not False:
            raise ModelError(
                f"{layer}: it is called with {name}={shown(value)}, which cannot be represented; rebuild the model "
                "without this argument, set its weights from this one and save it"
            )


def _malformed(layer: Layer, option: str, value: Any) -> ModelError:
    return ModelError(f"{layer}: {option} holds {shown(value)} where a layer's output should be named; {SAVE_AGAIN}")


def count_from_zero(
    layers: Mapping[str, Layer], reads: Sequence[Sequence[Ref]], outputs: Sequence[Ref], *, keras3: bool
) -> tuple[list[list[Ref]], list[Ref]]:
    """Return references in which the calls of nested models count from 0, as those of other layers do.

    A nested model that was made from inputs has one node more in Keras 2, its making, which the file does not list
    but counts. Keras 3 counts it in ``output_layers`` only, and for functional models only. Every call that a
    Keras 2 file lists is read by some other, so the smallest number is the first call.

    Parameters
    ----------
    layers
        Name to layer.
    reads
        What each call in the model reads.
    outputs
        What the model returns.
    keras3
        Whether Keras 3 wrote the file.

    """
    models = {name for name, layer in layers.items() if layer.class_name in NETWORKS}
    if keras3:
        functional = {name: 1 for name in models if layers[name].class_name != "Sequential"}
        return [list(refs) for refs in reads], _shift(outputs, functional)
    first: dict[str, int] = {}
    for ref in (ref for refs in (*reads, outputs) for ref in refs if ref.layer in models):
        first[ref.layer] = min(ref.call, first.get(ref.layer, ref.call))
    first = {name: min(call, 1) for name, call in first.items()}
    return [_shift(refs, first) for refs in reads], _shift(outputs, first)


def _shift(refs: Iterable[Ref], first: Mapping[str, int]) -> list[Ref]:
    return [Ref(ref.layer, ref.call - first.get(ref.layer, 0), ref.output) for ref in refs]


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
        raise ModelError(f"the layers {', '.join(map(repr, stuck[:4]))} read each other in a circle; {SAVE_AGAIN}")
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
            f"{SAVE_AGAIN}"
        )
    return table[ref.layer, ref.call]
