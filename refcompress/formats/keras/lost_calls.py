"""Calls that TensorFlow's Keras loses when it writes HDF5: those of a layer that several models of a file share.

It describes such a layer once, and each model that lists it then has the calls of the model that was described last.
Those of the others are not in the file: Keras itself does not load it, or computes something else where names happen to
fit. A model holds no call that its outputs do not need: this tells that one is missing, and what it read, where only
one is missing and only one activation is read by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.keras.config import Layer
from refcompress.formats.keras.refs import Inbound, Key, Ref

Listed = tuple[Mapping[str, Any], frozenset[str]]  # a layer's description, and the names of its model's layers
Shared = Mapping[str, Sequence[Listed]]


def shared_layers(architecture: Mapping[str, Any]) -> Shared:
    """Return the descriptions of layers whose names stand in several models, by name.

    Parameters
    ----------
    architecture
        The outermost model, decoded.

    """
    found: dict[str, list[Listed]] = {}
    for entries in _models(architecture):
        names = frozenset(name for name in (entry.get("name") for entry in entries) if isinstance(name, str))
        for entry in entries:
            if isinstance(entry.get("name"), str):
                found.setdefault(entry["name"], []).append((entry, names))
    return {name: listed for name, listed in found.items() if len(listed) > 1}


def restore(
    layers: Mapping[str, Layer], calls: Mapping[Key, Inbound], outputs: Sequence[Ref], shared: Shared
) -> Mapping[Key, Inbound]:
    """Return the calls of a model with the one that was lost.

    Parameters
    ----------
    layers
        Name to layer of the model.
    calls
        Layer and number to what each call in the model is given.
    outputs
        What the model returns.
    shared
        From :func:`shared_layers`.

    Raises
    ------
    ModelError
        More than one call was lost, or it cannot be told what it read.

    """
    lost = _lost(layers, calls, outputs, shared)
    if not lost:
        return calls
    (name, given), *others = lost.items()
    kept = {key: given for key, given in calls.items() if key[0] not in lost}
    read = _read(kept.values(), outputs)
    inputs = [(name, 0) for name, layer in layers.items() if layer.class_name == "InputLayer"]
    unread = [key for key in (*inputs, *kept) if key not in read]
    is_one = not others and {key for key in read if key[0] == name} == {(name, 0)}
    if not is_one or len(unread) != 1 or len(given.refs()) != 1 or given.kwargs:
        raise ModelError(
            f"{layers[name]}: the file describes its calls in another model in place of those in this one, as "
            "TensorFlow's Keras does when models share a layer; save the model as an archive where it was made: "
            "model.save('model.keras')"
        )
    return {**kept, (name, 0): given.replaced(lambda _: Ref(*unread[0], 0))}


def _lost(
    layers: Mapping[str, Layer], calls: Mapping[Key, Inbound], outputs: Sequence[Ref], shared: Shared
) -> Mapping[str, Inbound]:
    """Return the layers that have calls of another model, with the first of these."""
    first: dict[str, Inbound] = {}
    for (name, _), given in calls.items():
        if name in shared:
            first.setdefault(name, given)
    strange = {name: given for name, given in first.items() if any(ref.layer not in layers for ref in given.refs())}
    if strange:
        return {name: given for name, given in strange.items() if _places(layers[name], shared) > 0}
    if not first or _read(calls.values(), outputs).issuperset(calls):
        return {}
    # what these calls read exists here too, by chance, but something else is read by nobody
    return {name: given for name, given in first.items() if _places(layers[name], shared) > 1}


def _read(calls: Iterable[Inbound], outputs: Sequence[Ref]) -> set[Key]:
    return {(ref.layer, ref.call) for ref in (*(ref for given in calls for ref in given.refs()), *outputs)}


def _places(layer: Layer, shared: Shared) -> int:
    """Return how many models list a layer with these calls and hold what they read."""
    names = {*_names(layer.inbound)}
    described = (layer.class_name, layer.config, layer.inbound)
    return sum(
        bool(names) and names <= held and described == tuple(map(entry.get, ("class_name", "config", "inbound_nodes")))
        for entry, held in shared[layer.name]
    )


def _models(entry: Any) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the layers of a model and of those inside it."""
    config = entry.get("config") if isinstance(entry, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    if isinstance(layers, list):
        yield [one for one in layers if isinstance(one, dict)]
        for one in layers:
            yield from _models(one)


def _names(inbound: Any) -> Iterator[str]:
    """Yield the layers that calls read, as Keras 2 writes them: ``[name, call, output, arguments]``."""
    if isinstance(inbound, list) and inbound and isinstance(inbound[0], str):
        yield inbound[0]
    elif isinstance(inbound, list):
        for item in inbound:
            yield from _names(item)
