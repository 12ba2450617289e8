"""Which dataset of a Keras checkpoint belongs to which weight of which layer: by name, never by position alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError
from refcompress.formats import keras_hdf5
from refcompress.formats.keras_hdf5 import SAVE_AGAIN, Checkpoint

Path = tuple[str, ...]
Key = tuple[str, str]

_NUMBER = re.compile(r"_[0-9]+$")

# state that inference does not read
_TRAINING_ONLY = {"renorm_mean", "renorm_stddev", "renorm_stddev_weight", "StateVar", "seed_generator_state"}


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The group ``model_weights``, and what has been read of it so far.

    Attributes
    ----------
    checkpoint
        The open file.
    layer_names
        Groups that the file lists.
    names
        Group to the names in its attribute ``weight_names``, keyed by the ends of their layers' names and roles.
    owners
        (group, weight name) to the weight that was read from it.
    addresses
        Where the datasets stand that were read.

    """

    checkpoint: Checkpoint
    layer_names: frozenset[str]
    names: dict[str, dict[Key, list[str]]] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    addresses: set[int] = field(default_factory=set)


def open_weights(checkpoint: Checkpoint) -> Weights:
    """Read the list of groups."""
    names = keras_hdf5.read_names(checkpoint.weights, "layer_names", checkpoint.size_bytes)
    return Weights(checkpoint, frozenset(names))


def read(
    weights: Weights, path: Path, roles: Sequence[str], shape: tuple[int, ...], *, index: int
) -> NDArray[np.float32]:
    """Read one weight of one layer.

    Parameters
    ----------
    weights
        Of the open file.
    path
        Names from the outermost nested model down to the layer; the first one names the HDF5 group.
    roles
        Keras's names of the weight: ``"kernel"``; several where versions differ.
    shape
        The shape that the layer's configuration implies.
    index
        Which of the layer's weights it is, in the order in which Keras creates them.

    Raises
    ------
    ModelError
        There is no such weight, several could be meant, or it has another shape.
    FormatError
        The file is malformed.

    """
    what = f"layer {'/'.join(path)!r}: the weight {roles[0]!r}"
    group = _group(weights, path[0])
    name = _find(weights.names[path[0]], path, roles, what)
    owner = weights.owners.setdefault((path[0], name), what)
    dataset = keras_hdf5.member(group, name)
    where = keras_hdf5.address(dataset)
    if owner != what or where in weights.addresses:
        raise ModelError(f"{what} would be read from {name!r}, which another weight has been read from; {SAVE_AGAIN}")
    weights.addresses.add(where)
    return keras_hdf5.read_array(dataset, shape, weights.checkpoint.size_bytes, what)


def check_all_read(weights: Weights) -> None:
    """Refuse a file with weights that no layer asked for, in a group of which others were read.

    Raises
    ------
    ModelError
        With the first of them.

    """
    for group, index in weights.names.items():
        for name in (name for names in index.values() for name in names):
            if (group, name) not in weights.owners and _split(name)[1] not in _TRAINING_ONLY:
                raise ModelError(
                    f"layer {group!r}: the file holds a weight {name!r} that its configuration does not explain; "
                    f"{SAVE_AGAIN}"
                )


def _group(weights: Weights, layer: str) -> Any:
    if layer not in weights.layer_names:
        raise ModelError(f"layer {layer!r} has weights, and the file holds none for it (layer_names); {SAVE_AGAIN}")
    group = keras_hdf5.member(weights.checkpoint.weights, layer, group=True)
    if layer not in weights.names:
        weights.names[layer] = _index(
            keras_hdf5.read_names(group, "weight_names", weights.checkpoint.size_bytes), layer
        )
    return group


def _index(names: Sequence[str], group: str) -> dict[Key, list[str]]:
    """Key each name, from which ``:0`` is cut, by the last part of its layer's name and by its role."""
    if len(set(names)) != len(names):
        raise FormatError(f"the group {group!r} lists a weight twice; {SAVE_AGAIN}", 0)
    index: dict[Key, list[str]] = {}
    for name in names:
        layer, role = _split(name)
        index.setdefault((layer.rpartition("/")[2], role), []).append(name)
    return index


def _split(name: str) -> tuple[str, str]:
    """Layer and role of a weight's name.

    >>> _split("encoder/c1/kernel:0")
    ('encoder/c1', 'kernel')
    """
    layer, _, role = re.sub(r":[0-9]+$", "", name).rpartition("/")
    return layer, role


def _find(index: Mapping[Key, list[str]], path: Path, roles: Sequence[str], what: str) -> str:
    for found in _candidates(index, path, roles):
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(
                f"{what} may be any of {', '.join(map(repr, found[:4]))}; give the layers of nested models names "
                "of their own, and save again"
            )
    names = [name for names in index.values() for name in names]
    shown = ", ".join(map(repr, names[:8])) or "none"
    raise ModelError(f"{what} is missing; the group {path[0]!r} holds {shown}; {SAVE_AGAIN}")


def _candidates(index: Mapping[Key, list[str]], path: Path, roles: Sequence[str]) -> Iterator[list[str]]:
    """Yield names that may be meant, the most telling first.

    A layer outside nested models has a group of its own, in which the role tells. The group of a nested model
    holds the weights of all its layers, under names that may begin with those of the models around, and that
    early versions made unique by a number after the layer's name.
    """
    if len(path) == 1:
        yield [name for (_, role), names in index.items() if role in roles for name in names]
        yield [name for (_, role), names in index.items() if _NUMBER.sub("", role) in roles for name in names]
        return
    last = path[-1].rpartition("/")[2]
    tails = ["/".join(path[start:]) for start in range(len(path))]
    same = [(name, _split(name)[0]) for role in roles for name in index.get((last, role), [])]
    numbered = [
        (name, _NUMBER.sub("", _split(name)[0]))
        for (layer, role), names in index.items()
        if not same and role in roles and layer != last and _NUMBER.sub("", layer) == last
        for name in names
    ]
    for named in (same, numbered):
        yield from ([name for name, layer in named if layer == tail] for tail in tails)
        yield from ([name for name, layer in named if layer.endswith("/" + tail)] for tail in tails)
