"""Reading the weights of the layers of a Keras checkpoint, whatever its layout, each of them once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
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

MAX_AHEAD = 4096  # an open dataset takes memory, and a malformed file may list any number

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
_OWNERS = {"layers", "layer", "cell"}
_TRAINING_GROUPS = {"seed_generator", "random_generator", "_random_generator"}


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a legacy file holds for a layer outside nested models.

    Attributes
    ----------
    group
        Its HDF5 group.
    named
        What the names in the group's attribute ``weight_names`` stand for.
    parents
        The groups below it that hold datasets, by name.
    stored
        The datasets that were looked up, by name.

    """

    group: Any
    named: list[legacy_names.Named]
    parents: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)


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
    held
        In a legacy file, layer to what it holds for it, for layers that were looked at.
    groups
        In others, path of a layer to the HDF5 group of its variables and the group's name.
    owners
        Address of a dataset to what was read from it.
    done
        Names of the datasets that were read, from the root of the file.
    stored_bytes
        What they take in the file.

    """

    checkpoint: Checkpoint
    layer_names: frozenset[str]
    tree: paths.Tree | None
    root: str = ""
    held: dict[str, Held] = field(default_factory=dict)
    groups: dict[Path, tuple[Any, str]] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    stored_bytes: int = 0


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
    weights = Weights(checkpoint, frozenset(names), None, str(checkpoint.weights.name).rstrip("/"))
    _look_ahead(weights)
    return weights


def _look_ahead(weights: Weights) -> None:
    """Look up the datasets of a legacy file before any array displaces HDF5 from the processor's cache.

    What is wrong with one of them is said when a layer of the network asks for it.
    """
    count = 0
    with contextlib.suppress(FormatError):
        for layer in _with_weights(weights.checkpoint.model):
            if layer in weights.layer_names:
                held = _held(weights, layer)
                names = dict.fromkeys(name for one in held.named for name in one.names)
                count += 1 + len(names)
                if count > MAX_AHEAD:
                    return
                for name in names:
                    _stored(held, name)


def _with_weights(model: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of layers that seem to have weights: models, wrappers, and those that say how weights begin."""
    config = model.get("config")
    entries = config.get("layers") if isinstance(config, dict) else config
    for entry in entries if isinstance(entries, list) else ():
        options = entry.get("config") if isinstance(entry, dict) else None
        if isinstance(options, dict):
            name = entry.get("name") or options.get("name")
            if isinstance(name, str) and any(key in _OWNERS or key.endswith("_initializer") for key in options):
                yield name


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
    for layer, held in weights.held.items():
        names = [name for one in held.named for name in one.names]
        unread = [name for name in names if f"{weights.root}/{layer}/{name}" not in weights.done]
        for name in unread if len(unread) < len(names) else ():
            if legacy_names.split(name)[1] not in _TRAINING_ONLY:
                yield f"layer {layer!r}", name


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
    held = _held(weights, path[0])
    named = legacy_names.find(held.named, path, roles, what)
    names = [f"{weights.root}/{path[0]}/{name}" for name in named.names]
    return _Found(what, names, [_stored(held, name) for name in named.names], named.first)


def _variables(weights: Weights, tree: paths.Tree, path: Path, what: str) -> tuple[Any, str]:
    """Return the group of a layer's variables, and its name."""
    if path not in weights.groups:
        group = paths.find(tree, path)
        with groups.reading("a group has no name"):
            weights.groups[path] = (group, "" if group is None else str(group.name))
    if weights.groups[path][0] is None:
        raise ModelError(f"{what} is missing; the file holds no weights for this layer; {SAVE_AGAIN}")
    return weights.groups[path]


def _held(weights: Weights, layer: str) -> Held:
    """Return what a legacy file holds for a layer outside nested models."""
    if layer not in weights.held:
        if layer not in weights.layer_names:
            shown = ", ".join(map(repr, sorted(weights.layer_names)[:8])) or "no layers"
            raise ModelError(
                f"layer {layer!r} has weights, and the file holds none for it (layer_names: {shown}); {SAVE_AGAIN}"
            )
        group = groups.member(weights.checkpoint.weights, layer, group=True)
        names = groups.read_names(group, "weight_names", weights.checkpoint.size_bytes)
        weights.held[layer] = Held(group, legacy_names.index(names, layer))
    return weights.held[layer]


def _stored(held: Held, name: str) -> Stored:
    """Look up a dataset in a legacy file, and the group that holds it, once."""
    if name not in held.stored:
        above, _, last = name.rpartition("/")
        if above and above not in held.parents:
            held.parents[above] = groups.member(held.group, above, group=True)
        held.stored[name] = arrays.find(held.parents[above], last) if above else arrays.find(held.group, name)
    return held.stored[name]


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
