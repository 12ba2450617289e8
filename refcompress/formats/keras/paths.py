"""Where Keras 3, and tf.keras since 2.12, keep the weights of each layer: under the path of the object, not its name.

A model's group holds ``layers/dense``, ``layers/dense_1`` and so on, counted for each class in the order of the
model's layers, whatever these are called; a wrapper's holds ``layer`` or ``forward_layer`` and ``backward_layer``; the
weights themselves are ``vars/0``, ``vars/1``, ... TensorFlow 2.12 and 2.13 write ``_layer_checkpoint_dependencies`` for
``layers`` and count layers with weights twice. Keras 3.8 and later note the layer's name beside its weights, which
then decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.hdf5.groups import child, read_text, reading
from refcompress.formats.keras.config import shown

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")

# what a layer calls the layers inside it, by the name that their weights have in legacy files
_INSIDE: Mapping[str, tuple[str, ...]] = {
    "query": ("query_dense", "_query_dense"),
    "key": ("key_dense", "_key_dense"),
    "value": ("value_dense", "_value_dense"),
    "attention_output": ("output_dense", "_output_dense"),
}

Path = tuple[str, ...]

OTHER_ARCHITECTURE = "give the architecture that these weights were saved from"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one layer stands.

    Attributes
    ----------
    entry
        Its description in the architecture; empty for layers that this does not list.
    group
        Its HDF5 group; None where the file has none, as for some layers without weights.

    """

    entry: Mapping[str, Any]
    group: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Container:
    """The layers of one model.

    Attributes
    ----------
    entries
        Name to description.
    of_class
        Class, as it is written in paths, to the descriptions of its layers in order.
    group
        The HDF5 group that holds their groups; None if there is none.
    members
        The same class to the names of its groups, in the order of their numbers.
    groups
        Class to the groups of its layers by name, for classes that were looked for.

    """

    entries: Mapping[str, Mapping[str, Any]]
    of_class: Mapping[str, Sequence[Mapping[str, Any]]]
    group: Any
    members: Mapping[str, Sequence[str]]
    groups: dict[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A model and the file with its weights; groups are opened when their layers are looked for.

    Attributes
    ----------
    root
        The outermost model.
    limit_bytes
        Length of the file.
    first
        Class and name to the path and the options of the first such layer, in the order in which Keras saves.
    containers
        Path of a model to its layers, for models that were looked into.

    """

    root: Place
    limit_bytes: int
    first: Mapping[tuple[str, str], tuple[Path, Any]]
    containers: dict[Path, _Container] = field(default_factory=dict)


def open_tree(model: Mapping[str, Any], root: Any, limit_bytes: int) -> Tree:
    """Prepare to look for layers.

    Parameters
    ----------
    model
        The decoded architecture.
    root
        The HDF5 group of the outermost model.
    limit_bytes
        Length of the file.

    """
    first: dict[tuple[str, str], tuple[Path, Any]] = {}
    _note_first(model, (), first)
    return Tree(Place(model, root), limit_bytes, first)


def find(tree: Tree, path: Path) -> Any:
    """Return the HDF5 group with the variables of a layer, None if the file has none.

    Parameters
    ----------
    tree
        From :func:`open_tree`.
    path
        Names from the outermost nested model down to what owns the weights; wrappers count.

    Raises
    ------
    ModelError
        The file holds other layers than the architecture.
    FormatError
        The file is malformed.

    """
    group = _place(tree, path).group
    for owner in (_child(group, "cell"), group):  # recurrent layers keep their weights in a cell
        variables = _child(owner, "vars")
        if _count(variables):
            return variables
    return None


def _place(tree: Tree, path: Path) -> Place:
    place = tree.root
    for depth, name in enumerate(path):
        place = _inside(tree, place, path[:depth], name)
    return place


def _inside(tree: Tree, place: Place, path: Path, name: str) -> Place:
    config = place.entry.get("config")
    if _layers_of(place.entry) is not None:
        container = tree.containers.get(path)
        if container is None:
            container = tree.containers[path] = _open_container(place)
        entry = container.entries.get(name, {})
        group = _group_of(tree, container, path, entry) if entry else None
        if group is None and (before := _before(tree, path, entry)) is not None:
            return _place(tree, before)
        return Place(entry, group)
    if isinstance(config, dict) and isinstance(config.get("layer"), dict):
        if place.entry.get("class_name") != "Bidirectional":
            return Place(config["layer"], _child(place.group, "layer"))
        other = config.get("backward_layer")  # in Keras 3, one that was given keeps its name
        given = other.get("config") if isinstance(other, dict) else None
        backward = name.startswith("backward") or (isinstance(given, dict) and given.get("name") == name)
        side = "backward_layer" if backward else "forward_layer"
        return Place(config.get(side) or config["layer"], _child(place.group, side))
    return Place({}, _member_called(place.group, name, tree.limit_bytes))


def _member_called(group: Any, name: str, limit_bytes: int) -> Any:
    """Return what a layer holds under a name: an attribute of it, or a layer that the file says is called so."""
    for key in (name, f"_{name}", *_INSIDE.get(name, ())):
        if key != "vars" and (found := _child(group, key)) is not None:
            return found
    for key in () if group is None else _names(group):
        found = _child(group, key)
        if key != "vars" and _name_of(found, limit_bytes) == name:
            return found
    return None


def _note_first(entry: Any, path: Path, first: dict[tuple[str, str], tuple[Path, Any]]) -> None:
    """Walk the architecture in the order in which Keras saves."""
    if not isinstance(entry, dict):
        return
    config = entry.get("config")
    if path:
        first.setdefault((str(entry.get("class_name")), path[-1]), (path, config))
    for one in _layers_of(entry) or ():
        _note_first(one, (*path, _layer_name(one) if isinstance(one, dict) else ""), first)
    for side in ("layer", "backward_layer"):
        inner = config.get(side) if isinstance(config, dict) else None
        _note_first(inner, (*path, _layer_name(inner) if isinstance(inner, dict) else ""), first)


def _before(tree: Tree, path: Path, entry: Mapping[str, Any]) -> Path | None:
    """Return where an equal layer stands that is saved before this one; None if there is none.

    One object may belong to several models. Keras saves it where it meets it first, and does not reliably note in the
    architecture that the others are the same.
    """
    name = _layer_name(entry)
    first, config = tree.first.get((str(entry.get("class_name")), name), ((), None))
    if not first or first == (*path, name):
        return None
    return first if _unnumbered(config) == _unnumbered(entry.get("config")) else None


def _unnumbered(value: Any) -> Any:
    """Return options without the numbers that Keras gives to what it has described before."""
    if isinstance(value, dict):
        return {key: _unnumbered(inner) for key, inner in value.items() if key != "shared_object_id"}
    return [_unnumbered(inner) for inner in value] if isinstance(value, list) else value


def _layers_of(entry: Mapping[str, Any]) -> list[Any] | None:
    config = entry.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config  # a list in early versions of Keras 2
    return layers if isinstance(layers, list) else None


def _open_container(place: Place) -> _Container:
    layers = _layers_of(place.entry) or []
    entries = [entry for entry in layers if isinstance(entry, dict) and not _is_operation(entry)]
    if place.entry.get("class_name") == "Sequential" and entries and entries[0].get("class_name") == "InputLayer":
        entries = entries[1:]  # no layer of the model in Keras's eyes
    of_class: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        of_class.setdefault(_snake_case(entry.get("class_name")), []).append(entry)
    group = next((found for name in CONTAINERS if (found := _child(place.group, name)) is not None), None)
    members: dict[str, list[tuple[int, str]]] = {}
    for name in [] if group is None else _names(group):
        for snake, number in _readings(name):
            members.setdefault(snake, []).append((number, name))
    ordered = {snake: [name for _, name in sorted(found)] for snake, found in members.items()}
    return _Container({_layer_name(entry): entry for entry in entries}, of_class, group, ordered)


def _group_of(tree: Tree, container: _Container, path: Path, entry: Mapping[str, Any]) -> Any:
    snake = _snake_case(entry.get("class_name"))
    if snake not in container.groups:
        entries = container.of_class[snake]
        groups = {name: _child(container.group, name) for name in container.members.get(snake, ())}
        if len(groups) < len(entries):
            own = [_layer_name(one) for one in entries if _before(tree, path, one) is None]
        else:
            own = [_layer_name(one) for one in entries]
        names = [_layer_name(one) for one in entries]
        container.groups[snake] = _match(snake, names, own, groups, tree.limit_bytes)
    return container.groups[snake].get(_layer_name(entry))


def _match(
    snake: str, names: Sequence[str], own: Sequence[str], groups: Mapping[str, Any], limit_bytes: int
) -> Mapping[str, Any]:
    """Match the layers of one class with its groups; by name where the file has names.

    Parameters
    ----------
    snake
        The class.
    names, own
        Of all its layers in the order of the architecture, and of those that cannot have been saved before.
    groups
        Its groups, in the order of their numbers.
    limit_bytes
        Length of the file.

    """
    noted = {name: _name_of(group, limit_bytes) for name, group in groups.items() if _has_weights(group)}
    called = {note: name for name, note in noted.items() if note is not None}
    if noted and None not in noted.values():
        if len(called) == len(noted) and called.keys() <= set(names):
            return {layer: groups[name] for layer, name in called.items()}
        strange = [name for name in (*own, *called) if snake not in dict(_readings(name))]
        if strange or len(own) != len(groups):
            raise ModelError(
                f"the file holds layers of the class {snake!r} called {shown(list(called))}, the architecture "
                f"{shown(list(own))}; {OTHER_ARCHITECTURE}"
            )
    if len(own) == len(groups):
        return dict(zip(own, groups.values(), strict=True))
    counted = {f"{snake}_{number}" if number else snake: layer for number, layer in enumerate(names)}
    if not noted.keys() <= counted.keys():
        raise ModelError(
            f"the file holds {len(groups)} layers of the class {snake!r}, the architecture {len(own)}; "
            f"{OTHER_ARCHITECTURE}"
        )
    return {layer: groups[name] for name, layer in counted.items() if name in groups}


def _layer_name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return name if isinstance(name, str) else ""


def _is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether this is a function that Keras 3 lists among the layers, though it is none of them."""
    module = entry.get("module")
    return isinstance(module, str) and module.startswith(("keras.src.ops.", "keras.ops"))


def _snake_case(class_name: Any) -> str:
    """Return how Keras writes a class in a path.

    >>> _snake_case("Conv2D"), _snake_case("TFOpLambda"), _snake_case("ReLU")
    ('conv2d', 'tf_op_lambda', 're_lu')
    """
    name = str(class_name)
    name = re.sub(r"\W+", "", "Functional" if name == "Model" else name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _readings(name: str) -> list[tuple[str, int]]:
    """Return the classes, and the number within the class, that a group of this name may stand for.

    >>> _readings("dense_2"), _readings("conv2d")
    ([('dense_2', 0), ('dense', 2)], [('conv2d', 0)])
    """
    head, _, number = name.rpartition("_")
    counted = head and number.isascii() and number.isdigit() and len(number) < 10
    return [(name, 0), (head, int(number))] if counted else [(name, 0)]


def _has_weights(group: Any) -> bool:
    """Whether a group holds more than the empty list of variables of a layer without weights."""
    names = [] if group is None else _names(group)
    return any(name != "vars" or _count(_child(group, name)) for name in names)


def _name_of(group: Any, limit_bytes: int) -> str | None:
    variables = _child(group, "vars")
    return None if variables is None else read_text(variables, "name", limit_bytes)


def _names(group: Any) -> list[str]:
    with reading(f"the names in {group.name!r} cannot be read"):
        return list(group)


def _count(group: Any) -> int:
    if group is None:
        return 0
    with reading(f"the members of {group.name!r} cannot be counted"):
        return len(group)


def _child(group: Any, name: str) -> Any:
    """Return a group below another one, None if there is none."""
    return None if group is None else child(group, name)
