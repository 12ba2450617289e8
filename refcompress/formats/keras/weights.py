"""Reading the weights of the layers of a Keras checkpoint, whatever its layout, each of them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError
from refcompress.formats.hdf5 import arrays, groups
from refcompress.formats.hdf5.arrays import Stored
from refcompress.formats.hdf5.groups import SAVE_AGAIN
from refcompress.formats.keras import legacy_names, paths
from refcompress.formats.keras.checkpoint import Checkpoint

Path = tuple[str, ...]
Shape = tuple[int, ...]

# state that inference does not read
_TRAINING_ONLY = {
    "count",
    "renorm_mean",
    "renorm_stddev",
    "renorm_stddev_weight",
    "seed",
    "seed_generator_state",
    "StateVar",
}
_TRAINING_GROUPS = {"seed_generator", "random_generator", "_random_generator"}


@dataclass(slots=True, eq=False)
class Weights:
    """The weights of an open checkpoint, and what has been read of them so far.

    Attributes
    ----------
    checkpoint
        The open file.
    layer_names
        Groups that a legacy file lists; empty in others.
    tree
        Where the layers stand, if not under their names.
    root
        The name of the group with all weights, without a slash at its end.
    named
        Group to what the names in its attribute ``weight_names`` stand for.
    owners
        Address of a dataset to what was read from it.
    done
        Names of the datasets that were read, from the root of the file.
    stored_bytes
        What they take in the file.
    groups
        The HDF5 groups that were opened, by layer, and their names.
    parents
        In a legacy file, those that hold the datasets, by layer and name.

    """

    checkpoint: Checkpoint
    layer_names: frozenset[str]
    tree: paths.Tree | None
    root: str = ""
    named: dict[str, list[legacy_names.Named]] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    stored_bytes: int = 0
    groups: dict[Path, tuple[Any, str]] = field(default_factory=dict)
    parents: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The datasets of one weight: one, or several to be put side by side along the last axis.

    Attributes
    ----------
    what
        For messages: whose weight it is.
    names
        Their names from the root of the file.
    stored
        The datasets.
    first
        Whether Keras 1 wrote them.

    """

    what: str
    names: Sequence[str]
    stored: Sequence[Stored]
    first: bool = False


def open_weights(checkpoint: Checkpoint) -> Weights:
    """Read which layers a checkpoint has weights for.

    Raises
    ------
    FormatError
        The file is malformed.

    """
    if not checkpoint.by_name:
        tree = paths.open_tree(checkpoint.model, checkpoint.weights, checkpoint.size_bytes)
        return Weights(checkpoint, frozenset(), tree)
    names = groups.read_names(checkpoint.weights, "layer_names", checkpoint.size_bytes)
    return Weights(checkpoint, frozenset(names), None, str(checkpoint.weights.name).rstrip("/"))


def read(weights: Weights, path: Path, roles: Sequence[str], shape: Shape, *, index: int) -> NDArray[np.float32]:
    """Read one weight of one layer.

    Parameters
    ----------
    weights
        Of the open file.
    path
        Names from the outermost nested model down to what owns the weight. Wrappers count: the layer inside
        TimeDistributed, ``forward_lstm`` and ``backward_lstm`` inside Bidirectional, ``query``, ``key``, ``value``
        and ``attention_output`` inside MultiHeadAttention. A recurrent layer owns the weights of its cell.
    roles
        Keras's names of the weight: ``"kernel"``; several where versions differ. Those of Keras 1 need not be given.
    shape
        The shape that the layer's configuration implies.
    index
        Which of its owner's weights it is, in the order in which Keras creates them.

    Returns
    -------
    ndarray of float32
        Read-only.

    Raises
    ------
    ModelError
        There is no such weight, several could be meant, or it has another shape.
    FormatError
        The file is malformed.

    """
    found = _find(weights, path, roles, index)
    source = weights.checkpoint.source
    for name, stored in zip(found.names, found.stored, strict=True):
        _claim(weights, name, stored, found.what)
    if len(found.stored) == 1:
        return _in_shape(arrays.read(found.stored[0], _file_shape(found, shape), source, found.what), shape)
    part = (*shape[:-1], shape[-1] // len(found.stored)) if shape else shape
    pieces = [arrays.read(stored, part, source, found.what) for stored in found.stored]
    return _in_shape(np.concatenate(pieces, axis=-1), shape)


def shape_of(weights: Weights, path: Path, roles: Sequence[str], *, index: int) -> Shape:
    """Return the shape in which a weight is stored; arguments and errors are those of :func:`read`."""
    found = _find(weights, path, roles, index)
    shapes = [arrays.shape_of(stored, found.what) for stored in found.stored]
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes)) if len(shapes) > 1 and shapes[0] else shapes[0]


def check_all_read(weights: Weights) -> None:
    """Refuse a file with weights that no layer asked for: in a legacy one, in a group of which others were read.

    Raises
    ------
    ModelError
        With the first of them.

    """
    for owner, name in _unread_by_path(weights) if weights.tree is not None else _unread_by_name(weights):
        raise ModelError(
            f"{owner}: the file holds a weight {name!r} that its configuration does not explain; {SAVE_AGAIN}"
        )


def _unread_by_name(weights: Weights) -> Iterator[tuple[str, str]]:
    for group, named in weights.named.items():
        for name in (name for one in named for name in one.names):
            if (
                f"{weights.root}/{group}/{name}" not in weights.done
                and legacy_names.split(name)[1] not in _TRAINING_ONLY
            ):
                yield f"layer {group!r}", name


def _unread_by_path(weights: Weights) -> Iterator[tuple[str, str]]:
    for container in paths.CONTAINERS:
        group = groups.child(weights.checkpoint.weights, container)
        for name in [] if group is None else groups.names_below(group):
            parts = name.split("/")
            if (
                f"/{container}/{name}" in weights.done
                or not _TRAINING_GROUPS.isdisjoint(parts)
                or parts[-2:-1] != ["vars"]
            ):
                continue
            stored = arrays.find(group, name)
            # counters are integers; no array that a layer computes with is of so few
            if stored.address not in weights.owners and not arrays.is_counter(stored):
                yield f"the group {'/'.join([container, *parts[:-2]])!r}", "/".join(parts[-2:])


def _find(weights: Weights, path: Path, roles: Sequence[str], index: int) -> _Found:
    what = f"layer {'/'.join(path)!r}: the weight {roles[0]!r}"
    if weights.tree is not None:
        group, root = _variables(weights, weights.tree, path, what)
        return _Found(what, [f"{root}/{index}"], [arrays.find(group, str(index))])
    group, root = _group(weights, path[0])
    named = legacy_names.find(weights.named[path[0]], path, roles, what)
    stored = [arrays.find(*_parent(weights, path[0], group, name)) for name in named.names]
    return _Found(what, [f"{root}/{name}" for name in named.names], stored, named.first)


def _variables(weights: Weights, tree: paths.Tree, path: Path, what: str) -> tuple[Any, str]:
    """Return the group of a layer's variables, and its name."""
    if path not in weights.groups:
        group = paths.find(tree, path)
        with groups.reading("a group has no name"):
            weights.groups[path] = (group, "" if group is None else str(group.name))
    if weights.groups[path][0] is None:
        raise ModelError(f"{what} is missing; the file holds no weights for this layer; {SAVE_AGAIN}")
    return weights.groups[path]


def _group(weights: Weights, layer: str) -> tuple[Any, str]:
    """Return the group of a layer outside nested models in a legacy file, and its name."""
    if layer not in weights.layer_names:
        held = ", ".join(map(repr, sorted(weights.layer_names)[:8])) or "no layers"
        raise ModelError(
            f"layer {layer!r} has weights, and the file holds none for it (layer_names: {held}); {SAVE_AGAIN}"
        )
    if (layer,) not in weights.groups:
        group = groups.member(weights.checkpoint.weights, layer, group=True)
        names = groups.read_names(group, "weight_names", weights.checkpoint.size_bytes)
        weights.named[layer] = legacy_names.index(names, layer)
        weights.groups[layer,] = (group, f"{weights.root}/{layer}")
    return weights.groups[layer,]


def _parent(weights: Weights, layer: str, group: Any, name: str) -> tuple[Any, str]:
    """Return the group that holds a dataset, opened once for all of them, and what is left of its name."""
    above, _, last = name.rpartition("/")
    if not above:
        return group, name
    if (layer, above) not in weights.parents:
        weights.parents[layer, above] = groups.member(group, above, group=True)
    return weights.parents[layer, above], last


def _claim(weights: Weights, name: str, stored: Stored, what: str) -> None:
    """Note who reads a dataset; another layer may not, and what is read may not take more than the file has."""
    # an object that several models hold is saved once, and found in one place
    claim = what if weights.tree is None else name
    if weights.owners.setdefault(stored.address, claim) != claim:
        raise ModelError(f"{what} would be read from {name!r}, which another weight has been read from; {SAVE_AGAIN}")
    if name not in weights.done:
        weights.done.add(name)
        weights.stored_bytes += stored.stored_bytes
        if weights.stored_bytes > weights.checkpoint.size_bytes:
            raise FormatError(f"{what}: the weights take more bytes than the file has; {SAVE_AGAIN}", 0)


def _file_shape(found: _Found, shape: Shape) -> Shape:
    """Return the shape to read: Keras 1 keeps the kernels of one axis as images one pixel wide."""
    if found.first and found.stored[0].shape == (*shape[:1], 1, *shape[1:]):
        return (*shape[:1], 1, *shape[1:])
    return shape


def _in_shape(array: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    return array if array.shape == shape else array.reshape(shape)
