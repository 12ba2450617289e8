"""Importing whole Keras models from legacy HDF5: Sequential and functional ones, nested in any way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats import keras_hdf5, keras_layers, keras_weights
from refcompress.formats.keras_call import Builder, Call
from refcompress.formats.keras_config import Layer, Shape, flag, float32_only, refuse, shown, static_shape
from refcompress.formats.keras_hdf5 import SAVE_AGAIN, Checkpoint
from refcompress.formats.keras_layers import NETWORKS
from refcompress.formats.keras_refs import (
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


def load(path: str | os.PathLike[str]) -> Graph:
    """Import a Keras model saved whole as HDF5 (Keras 2, tf.keras, and Keras 3's ``model.save("x.h5")``).

    Nodes are named after the layers, those of nested models ``outer/inner``; a fused activation is a node
    ``layer/relu``; the second call of a layer is ``layer:2``. Parameters are ``layer/kernel``, ``layer/bias`` and so
    on, one for all calls. TensorFlow's padding SAME becomes explicit pads. No code in the file is run or decoded.

    Parameters
    ----------
    path
        The file.

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
    with keras_hdf5.open_checkpoint(path) as checkpoint:
        _check_origin(checkpoint)
        model = _layer(checkpoint.model, ())
        builder = Builder(keras_weights.open_weights(checkpoint))
        if model.class_name not in NETWORKS:
            raise ModelError(
                f"the model is of the class {shown(model.class_name)}; allowed are Sequential and functional models; "
                "rebuild it with keras.Sequential or keras.Model(inputs, outputs), set its weights and save it"
            )
        outputs = _call_model(builder, model, "", None)
        keras_weights.check_all_read(builder.weights)
        return builder.graph(outputs)


def _check_origin(checkpoint: Checkpoint) -> None:
    if checkpoint.keras_version.startswith("1."):
        raise ModelError(
            f"the file was written by Keras {checkpoint.keras_version}; Keras 2 and later are supported; "
            "load it in Keras 2 and save it again: model.save('model.h5')"
        )
    if checkpoint.backend == "theano":
        raise ModelError(
            "the file was written with the Theano backend, which flips its kernels; load it in Keras 2 with the "
            "TensorFlow backend and save it again: model.save('model.h5')"
        )


def _layer(value: Any, parents: tuple[str, ...], *, root: bool = True) -> Layer:
    """Read one entry of the architecture; the outermost model has an empty path."""
    entry = value if isinstance(value, dict) else {}
    class_name, config = entry.get("class_name"), entry.get("config")
    if isinstance(config, list):  # a Sequential of early Keras 2
        config = {"layers": config, "name": entry.get("name")}
    if not isinstance(class_name, str) or not isinstance(config, dict):
        where = "/".join(parents) or "the model"
        raise ModelError(f"{where}: a layer is described by {shown(value)}, without class and options; {SAVE_AGAIN}")
    name = entry.get("name") or config.get("name")  # what other layers refer to, where the two differ
    if root:
        return Layer((), class_name, config)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ModelError(
            f"a layer of class {class_name!r} is named {shown(name)}; it needs a printable name; {SAVE_AGAIN}"
        )
    module, registered = (
        text if isinstance(text, str) else "" for text in map(entry.get, ("module", "registered_name"))
    )
    return Layer((*parents, name), class_name, config, entry.get("inbound_nodes", []), (module, registered))


def _layers(model: Layer) -> dict[str, Layer]:
    entries = model.config.get("layers")
    if not isinstance(entries, list) or not entries:
        raise refuse(model, "layers", "a list of layers", SAVE_AGAIN)
    layers: dict[str, Layer] = {}
    for entry in entries:
        layer = _layer(entry, model.path, root=False)
        if layer.name in layers:
            raise ModelError(f"{layer}: two layers have this name; rename one and save the model again")
        keras_layers.check_class(layer)
        layers[layer.name] = layer
    if len(model.path) > MAX_NESTING:
        raise ModelError(f"{model}: models are nested deeper than {MAX_NESTING} levels; flatten them")
    return layers


def _call_model(builder: Builder, model: Layer, name: str, inputs: Tensors | None) -> Tensors:
    """Add the nodes of one call of a model; without inputs, it is the outermost one and gets its own."""
    if model.class_name == "Sequential":
        return _call_sequential(builder, model, name, inputs)
    return _call_functional(builder, model, name, inputs)


def _call_layer(builder: Builder, layer: Layer, name: str, inputs: Tensors) -> Tensors:
    builder.count_call(layer)
    if layer.class_name in NETWORKS:
        return _call_model(builder, layer, name, inputs)
    if layer.class_name == "InputLayer":
        raise ModelError(f"{layer}: an input stands where a layer is called; {SAVE_AGAIN}")
    return (keras_layers.build(Call(layer, name, inputs, builder)),)


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
        inputs = _call_layer(builder, layer, _node_name(name, layer), inputs)
    return inputs


def _sequential_input(builder: Builder, model: Layer, first: Layer) -> str:
    if first.class_name == "InputLayer":
        return builder.add_input(first.name, _input_shape(first))
    name = f"{first.name}_input"  # as Keras calls it
    while first.class_name in NETWORKS:
        first = next(iter(_layers(first).values()))
    for layer, option in ((first, "batch_shape"), (first, "batch_input_shape"), (model, "build_input_shape")):
        if layer.config.get(option) is not None:
            return builder.add_input(name, static_shape(layer, option))
    raise ModelError(
        f"{first}: the model does not say what shape its input has; build it and save it again: "
        "model.build((None, height, width, channels)); model.save('model.h5')"
    )


def _input_shape(layer: Layer) -> Shape:
    float32_only(layer)
    for option in ("sparse", "ragged"):
        if flag(layer, option, default=False):
            raise refuse(layer, option, "false", "rebuild the model on a plain input and save it again")
    return static_shape(layer, "batch_shape" if "batch_shape" in layer.config else "batch_input_shape")


def _call_functional(builder: Builder, model: Layer, name: str, inputs: Tensors | None) -> Tensors:
    layers = _layers(model)
    calls = [(layer, call, refs) for layer in layers.values() for call, refs in enumerate(inbound_calls(layer))]
    keys = [(layer.name, call) for layer, call, _ in calls]
    reads, outputs = count_from_zero(
        layers, [refs for _, _, refs in calls], model_refs(model, "output_layers"), keras3=_is_keras3(layers)
    )
    made = _model_inputs(builder, model, layers, inputs)
    for index in in_order(keys, reads, made):
        layer, call, _ = calls[index]
        read = tuple(_tensor(made, ref, str(layer)) for ref in reads[index])
        made[keys[index]] = _call_layer(builder, layer, _node_name(name, layer, call), read)
    return tuple(_tensor(made, ref, f"the output of {model}") for ref in outputs)


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
        tensor = inputs[index] if inputs is not None else builder.add_input(layer.name, _input_shape(layer))
        made[layer.name, 0] = (tensor,)
    return made


def _tensor(made: Mapping[Key, Tensors], ref: Ref, reader: str) -> str:
    tensors = find(made, ref, reader)
    if ref.output >= len(tensors):
        raise ModelError(f"{reader} reads output {ref.output} of {ref.layer!r}, which has {len(tensors)}; {SAVE_AGAIN}")
    return tensors[ref.output]
