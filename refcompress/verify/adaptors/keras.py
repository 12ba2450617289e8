"""Keras: every layer's output, recorded while the model runs eagerly."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, FormatError, MissingToolError, ModelError, RefcompressError
from refcompress.graph import Graph, Node
from refcompress.ops import infer_shapes
from refcompress.verify.adaptors import matching

Array = NDArray[Any]
Path = tuple[str, ...]  # of a layer, from the outermost model down

LIBRARIES = ("keras", "tf_keras")


def load(path: str | os.PathLike[str]) -> Any:
    """Load a saved model with the generation of Keras that wrote it, where that is installed, else with the other.

    Raises
    ------
    MissingToolError
        Neither Keras nor tf_keras is installed.
    FormatError
        Neither can read the file.

    """
    from refcompress.formats.keras import written_by

    version = ""
    with contextlib.suppress(RefcompressError):
        version = written_by(path)
    names = LIBRARIES if version.startswith("3") or not version else LIBRARIES[::-1]
    problems, missing = [], 0
    for name in names:
        try:
            keras = matching.library(name, f"{name} tensorflow")
            return keras.models.load_model(os.fspath(path), compile=False)
        except MissingToolError as error:
            missing += 1
            problems.append(str(error))
        except Exception as error:  # noqa: BLE001 - Keras raises whatever its layers raise
            problems.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    if missing == len(names):
        raise MissingToolError("; ".join(problems))
    raise FormatError(f"{os.fspath(path)} cannot be loaded by Keras: {'; '.join(problems)}", 0)


def outputs(model: Any, inputs: Mapping[str, Array], graph: Graph) -> tuple[Array, ...]:
    """Run ``model.predict``."""
    made = model.predict(_arguments(model, inputs, graph), verbose=0)
    arrays = [np.asarray(array) for array in _flat(made)]
    return matching.in_order(arrays, graph, matching.our_activations(graph, matching.plain(inputs)))


def capture(model: Any, inputs: Mapping[str, Array], graph: Graph) -> dict[str, Array]:
    """Run a model eagerly and record what each of its layers returns.

    Nodes of an imported network have the names of Keras's layers, ``outer/inner`` in nested models, ``layer:2`` for
    a second call, and parts such as ``layer/relu``: a layer's output is that of its last node.

    Parameters
    ----------
    model
        A Keras model (Keras 3 on any backend, or tf_keras).
    inputs
        The network's inputs by name.
    graph
        The network that the model is compared with.

    Returns
    -------
    dict
        Activation of the graph to array, the inputs included. Layers that the graph does not have are left out.

    Raises
    ------
    DataError
        No layer of the model has the name of a node.

    """
    calls = _record(model, _arguments(model, inputs, graph))
    given = matching.plain(inputs)
    references = matching.our_activations(graph, given)
    found: dict[str, Array] = dict(given)
    # inner layers first: what a nested model returns, its last layer has returned before
    for path, arrays in sorted(calls.items(), key=lambda item: -len(item[0])):
        for output, array in _outputs_of(graph, "/".join(path), arrays, references):
            found.setdefault(output, array)
    if len(found) == len(given):
        names = ", ".join("/".join(path) for path in list(calls)[:5])
        raise DataError(f"no layer of the Keras model ({names}, ...) is a node of the network; is it the same model?")
    return found


def _arguments(model: Any, inputs: Mapping[str, Array], graph: Graph) -> Any:
    """Put the inputs into the order of the model's, by name where they have ours, else as they stand."""
    given = matching.plain(inputs)
    arrays = [given[spec.name] for spec in graph.inputs]
    names = [str(getattr(tensor, "name", "")).split(":")[0] for tensor in _flat(model.inputs)]
    if set(names) == set(given):
        arrays = [given[name] for name in names]
    shaped = [_in_their_layout(array, tensor.shape) for array, tensor in zip(arrays, _flat(model.inputs), strict=True)]
    return shaped[0] if len(shaped) == 1 else shaped


def _in_their_layout(array: Array, shape: Any) -> Array:
    """Move the channels to the front where the model has them there."""
    sizes = tuple(shape)
    if matching.fits(array, sizes) or array.ndim < 3:
        return array
    moved = matching.channels_first(array)
    return moved if matching.fits(moved, sizes) else array


@dataclass(slots=True)
class _Recorder:
    """Paths of the layers that are running, and what those that have run returned."""

    to_numpy: Any
    stack: list[str] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    calls: dict[Path, list[Array]] = field(default_factory=dict)

    def enter(self, name: str) -> None:
        """Begin a call; the second one of a layer in its model is named ``layer:2``."""
        count = 1
        if self.counts:
            count = self.counts[-1][name] = self.counts[-1].get(name, 0) + 1
        self.stack.append(name if count == 1 else f"{name}:{count}")
        self.counts.append({})

    def leave(self, returned: Any) -> None:
        """End a call."""
        path = tuple(self.stack[1:])  # the outermost model gives no name
        self.stack.pop()
        self.counts.pop()
        if path:
            self.calls[path] = [array for value in _flat(returned) if (array := self.to_numpy(value)) is not None]


def _record(model: Any, arguments: Any) -> dict[Path, list[Array]]:
    """Run a model with the call of every layer wrapped."""
    keras = _library_of(model)
    recorder = _Recorder(lambda value: _numpy(keras, value))
    with _wrapped(keras.layers.Layer, recorder):
        model(arguments, training=False)
    return recorder.calls


@contextlib.contextmanager
def _wrapped(layer_class: Any, recorder: _Recorder) -> Iterator[None]:
    original = layer_class.__call__

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        recorder.enter(layer.name)
        returned = None
        try:
            returned = original(layer, *args, **kwargs)
        finally:
            recorder.leave(returned)
        return returned

    layer_class.__call__ = call
    try:
        yield
    finally:
        layer_class.__call__ = original


def _library_of(model: Any) -> Any:
    for kind in type(model).__mro__:
        root = kind.__module__.split(".")[0]
        if root in LIBRARIES:
            return matching.library(root, root)
    raise ModelError(f"{type(model).__name__} is no Keras model; give a keras.Model")


def _numpy(keras: Any, value: Any) -> Array | None:
    """Return an array of float32 (float16 and bfloat16 widened), None for what is no array."""
    try:
        array = keras.ops.convert_to_numpy(value) if hasattr(keras, "ops") else value.numpy()
        return np.asarray(array).astype(np.float32)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [item for part in value.values() for item in _flat(part)]
    if isinstance(value, list | tuple):
        return [item for part in value for item in _flat(part)]
    return [] if value is None else [value]


def _outputs_of(
    graph: Graph, name: str, arrays: list[Array], references: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """Match what a layer returned with the activations that its nodes leave to others."""
    nodes = _last_nodes(graph, name)
    shapes = infer_shapes(graph)
    if len(nodes) == len(arrays) == 1:
        output = nodes[0].output
        # an array of another shape is the framework's mistake, which the comparison will show
        ours = matching.in_our_layout(arrays[0], shapes[output], references.get(output))
        yield output, arrays[0] if ours is None else ours
        return
    left = list(nodes)
    for array in arrays:
        fitting = [
            (matching.distance(ours, references[node.output]), index, ours)
            for index, node in enumerate(left)
            if (ours := matching.in_our_layout(array, shapes[node.output], references[node.output])) is not None
        ]
        if fitting:
            _, index, ours = min(fitting, key=lambda item: item[:2])
            yield left.pop(index).output, ours


def _last_nodes(graph: Graph, name: str) -> list[Node]:
    """Nodes of a layer that no other node of it reads."""
    own = [node for node in graph.nodes if node.name == name or re.match(re.escape(name) + "/", node.name)]
    read = {output for node in own for output in node.inputs}
    return [node for node in own if node.output not in read]
