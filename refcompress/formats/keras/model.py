"""Importing Keras models: Sequential and functional ones, nested in any way."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from refcompress.errors import ModelError, OptionError
from refcompress.formats.hdf5.groups import SAVE_AGAIN
from refcompress.formats.keras import layer_table, lost_calls, weights
from refcompress.formats.keras.call import Builder, Call, Tensor
from refcompress.formats.keras.checkpoint import Architecture, Checkpoint, open_checkpoint
from refcompress.formats.keras.config import (
    NETWORKS,
    Layer,
    Shape,
    read_layer,
    refuse,
    shown,
)
from refcompress.formats.keras.inputs import check_input, static_shape
from refcompress.formats.keras.refs import (
    Inbound,
    Key,
    Ref,
    count_from_zero,
    find,
    in_order,
    inbound_calls,
    model_refs,
)
from refcompress.graph import Graph

MAX_NESTING = 16

Tensors = tuple[str, ...]  # activations, by name


def load(
    path: str | os.PathLike[str],
    *,
    architecture: Architecture | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
) -> Graph:
    """Import a Keras model, from a file of any layout that :mod:`refcompress.formats.keras.checkpoint` opens.

    Nodes are named after the layers, those of nested models ``outer/inner``; a fused activation is a node
    ``layer/relu``; the second call of a layer is ``layer:2``. Parameters are ``layer/kernel``, ``layer/bias`` and so
    on, one for all calls. TensorFlow's padding SAME becomes explicit pads. No code in the file is run or decoded.

    Parameters
    ----------
    path
        The file.
    architecture
        For files of weights only; see :func:`refcompress.formats.load`.
    input_shapes
        Name of an input to its shape without the batch axis, where the file leaves sizes open.

    Returns
    -------
    Graph
        Shapes without the batch axis; weights as dense float32 (float16 is widened, float64 rounded to nearest).

    Raises
    ------
    ModelError
        The model cannot be represented; the message names the layer, the option and what to do.
    FormatError
        The bytes are not what Keras writes.

    """
    with open_checkpoint(path, architecture) as checkpoint:
        _check_origin(checkpoint)
        model = _root(checkpoint.model)
        builder = Builder(
            weights.open_weights(checkpoint),
            _call_inner,
            keras_version=checkpoint.keras_version,
            input_shapes=dict(input_shapes or {}),
            shared=lost_calls.shared_layers(checkpoint.model),
        )
        if model.class_name not in NETWORKS:
            raise ModelError(
                f"the model is of the class {shown(model.class_name)}; allowed are Sequential and functional models; "
                "rebuild it with keras.Sequential or keras.Model(inputs, outputs), set its weights and save it"
            )
        outputs = _call_model(builder, model, "", None)
        _check_shapes_used(builder)
        weights.check_all_read(builder.weights)
        return builder.graph(outputs)


def _check_origin(checkpoint: Checkpoint) -> None:
    if checkpoint.backend == "theano":
        raise ModelError(
            "the file was written with the Theano backend, which flips its kernels; load it in Keras 2 with the "
            "TensorFlow backend and save it again: model.save('model.h5')"
        )


def _root(value: Mapping[str, Any]) -> Layer:
    """Read the outermost model, which has an empty path and may have no name."""
    config = value.get("config")
    named = {"class_name": value.get("class_name"), "config": config, "name": "model"}
    layer = read_layer(named, ())
    return Layer((), layer.class_name, layer.config)


def _layers(model: Layer) -> dict[str, Layer]:
    entries = model.config.get("layers")
    if not isinstance(entries, list) or not entries:
        raise refuse(model, "layers", "a list of layers", SAVE_AGAIN)
    layers: dict[str, Layer] = {}
    for entry in entries:
        layer = read_layer(entry, model.path)
        if layer.name in layers:
            raise ModelError(f"{layer}: two layers have this name; rename one and save the model again")
        layer_table.check_class(layer)
        layers[layer.name] = layer
    if len(model.path) > MAX_NESTING:
        raise ModelError(f"{model}: models are nested deeper than {MAX_NESTING} levels; flatten them")
    return layers


def _call_model(builder: Builder, model: Layer, name: str, inputs: Tensors | None) -> Tensors:
    """Add the nodes of one call of a model; without inputs, it is the outermost one and gets its own."""
    if model.class_name == "Sequential":
        return _call_sequential(builder, model, name, inputs)
    return _call_functional(builder, model, name, inputs)


def _check_shapes_used(builder: Builder) -> None:
    inputs = [spec.name for spec in builder.inputs]
    for name in builder.input_shapes:
        if name not in inputs:
            raise OptionError(f"input_shapes has the name {name!r:.60}; the inputs are {', '.join(map(repr, inputs))}")


def _call_layer(builder: Builder, layer: Layer, name: str, given: Inbound) -> Tensors:
    """Call a layer on arguments in which :class:`Tensor` stands for an activation."""
    builder.count_call(layer)
    inputs = tuple(_flat(given.args[0])) if given.args else ()
    call = Call(layer, name, inputs, builder, args=given.args, kwargs=given.kwargs)
    if layer.class_name in NETWORKS:
        layer_table.check_arguments(call)
        return _call_model(builder, layer, name, inputs)
    if layer.class_name == "InputLayer":
        raise ModelError(f"{layer}: an input stands where a layer is called; {SAVE_AGAIN}")
    made = layer_table.build(call)
    return made if isinstance(made, tuple) else (made,)


def _call_inner(builder: Builder, layer: Layer, name: str, inputs: Tensors) -> Tensors:
    """Call a layer on activations: one in a row, or one inside another."""
    layer_table.check_class(layer)
    tensors = [Tensor(source) for source in inputs]
    return _call_layer(builder, layer, name, Inbound((tensors[0] if len(tensors) == 1 else tensors,), {}))


def _flat(value: Any) -> list[str]:
    """Return the activations in an argument, those of a dictionary in order of its keys."""
    if isinstance(value, Tensor):
        return [value.name]
    items = (
        value if isinstance(value, list) else [value[key] for key in sorted(value)] if isinstance(value, dict) else []
    )
    return [name for item in items for name in _flat(item)]


def _node_name(model_name: str, layer: Layer, call: int = 0) -> str:
    name = f"{model_name}/{layer.name}" if model_name else layer.name
    return f"{name}:{call + 1}" if call else name


def _call_sequential(builder: Builder, model: Layer, name: str, inputs: Tensors | None) -> Tensors:
    layers = list(_layers(model).values())
    if inputs is None:
        inputs = (_sequential_input(builder, model, layers[0]),)
    for layer in layers:
        if layer.class_name == "InputLayer" and layer is layers[0]:
            continue
        inputs = _call_inner(builder, layer, _node_name(name, layer), inputs)
    return inputs


def _sequential_input(builder: Builder, model: Layer, first: Layer) -> str:
    if first.class_name == "InputLayer":
        return builder.add_input(first.name, _input_shape(builder, first))
    name = f"{first.name}_input"  # as Keras calls it
    given = builder.input_shapes.get(name)
    while first.class_name in NETWORKS:
        first = next(iter(_layers(first).values()))
    for layer, option in ((first, "batch_shape"), (first, "batch_input_shape"), (model, "build_input_shape")):
        if layer.config.get(option) is not None:
            return builder.add_input(name, static_shape(layer, option, given))
    if given is not None:
        return builder.add_input(name, tuple(given))
    raise ModelError(
        f"{first}: the model does not say what shape its input has; say it, without the batch axis: "
        f"load(path, input_shapes={{{name!r}: (height, width, channels)}})"
    )


def _input_shape(builder: Builder, layer: Layer) -> Shape:
    check_input(layer)
    option = "batch_shape" if "batch_shape" in layer.config else "batch_input_shape"
    return static_shape(layer, option, builder.input_shapes.get(layer.name))


def _call_functional(builder: Builder, model: Layer, name: str, inputs: Tensors | None) -> Tensors:
    layers = _layers(model)
    found = {(layer.name, call): given for layer in layers.values() for call, given in enumerate(inbound_calls(layer))}
    reads, outputs = count_from_zero(
        layers, [*found.values()], model_refs(model, "output_layers"), keras3=_is_keras3(layers)
    )
    calls: Mapping[Key, Inbound] = dict(zip(found, reads, strict=True))
    if builder.shared:
        calls = lost_calls.restore(layers, calls, outputs, builder.shared)
    made = _model_inputs(builder, model, layers, inputs)
    keys = list(calls)
    for index in in_order(keys, [given.refs() for given in calls.values()], made):
        layer, call = layers[keys[index][0]], keys[index][1]
        given = calls[keys[index]].replaced(functools.partial(_tensor, made, str(layer)))
        made[keys[index]] = _call_layer(builder, layer, _node_name(name, layer, call), given)
    return tuple(_tensor(made, f"the output of {model}", ref).name for ref in outputs)


def _is_keras3(layers: Mapping[str, Layer]) -> bool:
    return any(isinstance(entry, dict) and "args" in entry for layer in layers.values() for entry in layer.inbound)


def _model_inputs(
    builder: Builder, model: Layer, layers: Mapping[str, Layer], inputs: Tensors | None
) -> dict[Key, Tensors]:
    refs = model_refs(model, "input_layers")
    if inputs is not None and len(inputs) != len(refs):
        raise ModelError(f"{model}: it is called on {len(inputs)} inputs and has {len(refs)}; {SAVE_AGAIN}")
    made: dict[Key, Tensors] = {}
    for index, ref in enumerate(refs):
        layer = layers.get(ref.layer)
        if layer is None or layer.class_name != "InputLayer" or layer.inbound:
            raise ModelError(f"{model}: its input {ref.layer!r} is no InputLayer; {SAVE_AGAIN}")
        tensor = inputs[index] if inputs is not None else builder.add_input(layer.name, _input_shape(builder, layer))
        made[layer.name, 0] = (tensor,)
    return made


def _tensor(made: Mapping[Key, Tensors], reader: str, ref: Ref) -> Tensor:
    tensors = find(made, ref, reader)
    if ref.output >= len(tensors):
        raise ModelError(f"{reader} reads output {ref.output} of {ref.layer!r}, which has {len(tensors)}; {SAVE_AGAIN}")
    return Tensor(tensors[ref.output])
