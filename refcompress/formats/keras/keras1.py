"""Architectures of Keras 1 said in the words of Keras 2: the same layers under other names, with other options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refcompress.errors import ModelError

_CONV = {"nb_filter": "filters", "border_mode": "padding", "subsample": "strides", "bias": "use_bias"}
_POOL_1D = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
_CONV_1D = {**_CONV, "filter_length": "kernel_size", "subsample_length": "strides"}
_DENSE = {"output_dim": "units", "bias": "use_bias"}
_RNN = {"output_dim": "units", "inner_activation": "recurrent_activation"}
_RATE = {"p": "rate"}

# class of Keras 1 to that of Keras 2, and the options that are called otherwise
_CLASSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "AtrousConvolution1D": ("Conv1D", {**_CONV_1D, "atrous_rate": "dilation_rate"}),
    "AtrousConvolution2D": ("Conv2D", {**_CONV, "atrous_rate": "dilation_rate"}),
    "AveragePooling1D": ("AveragePooling1D", _POOL_1D),
    "AveragePooling2D": ("AveragePooling2D", {"border_mode": "padding"}),
    "Convolution1D": ("Conv1D", _CONV_1D),
    "Convolution2D": ("Conv2D", _CONV),
    "Dense": ("Dense", _DENSE),
    "Dropout": ("Dropout", _RATE),
    "Embedding": ("Embedding", {}),
    "GRU": ("GRU", _RNN),
    "GaussianDropout": ("GaussianDropout", _RATE),
    "GaussianNoise": ("GaussianNoise", {"sigma": "stddev"}),
    "LSTM": ("LSTM", _RNN),
    "MaxPooling1D": ("MaxPooling1D", _POOL_1D),
    "MaxPooling2D": ("MaxPooling2D", {"border_mode": "padding"}),
    "SeparableConvolution2D": ("SeparableConv2D", _CONV),
    "SimpleRNN": ("SimpleRNN", _RNN),
    "SpatialDropout1D": ("SpatialDropout1D", _RATE),
    "SpatialDropout2D": ("SpatialDropout2D", _RATE),
    "TimeDistributedDense": ("Dense", _DENSE),  # a dense layer acts on the last axis anyway
}
_MERGES = {"sum": "Add", "ave": "Average", "mul": "Multiply", "max": "Maximum", "concat": "Concatenate"}

# how weights begin and are trained; what the shapes of the weights say as well
_DROPPED = {"init", "inner_init", "forget_bias_init", "consume_less", "dropout_W", "dropout_U", "input_dim", "dropout"}
_ONLY_FIRST = {"nb_filter", "border_mode", "dim_ordering", "output_dim", "inner_activation", "subsample_length"}

REMEDY = "load the model in Keras 2 and save it again: model.save('model.h5')"


def speaks(model: Mapping[str, Any]) -> bool:
    """Whether an architecture is one of Keras 1, seen by the options of its layers.

    Examples
    --------
    >>> speaks({"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"output_dim": 4}}]})
    True

    """
    return any(_says_so(entry) or speaks(entry) for entry in _entries(model))


def translate(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an architecture of Keras 1 as Keras 2 would describe it.

    Layers that Keras 2 does not have keep their class, and are refused by whoever looks for it.

    Raises
    ------
    ModelError
        A layer means something that Keras 2 cannot say, or that cannot be known from the file.

    Examples
    --------
    >>> layer = {"class_name": "Dense", "config": {"name": "d", "output_dim": 4, "init": "uniform", "bias": True}}
    >>> translate({"class_name": "Sequential", "config": [layer]})["config"]["layers"][0]["config"]
    {'name': 'd', 'units': 4, 'use_bias': True}

    """
    config = model.get("config")
    if isinstance(config, list):
        config = {"name": model.get("name") or "sequential", "layers": config}
    if not isinstance(config, dict):
        return model
    if isinstance(config.get("layers"), list) and model.get("class_name") != "Merge":
        layers = [translate(entry) if isinstance(entry, dict) else entry for entry in config["layers"]]
        return {**model, "config": {**config, "layers": layers}}
    if isinstance(config.get("layer"), dict):
        return {**model, "config": {**config, "layer": translate(config["layer"])}}
    return {**model, **_layer(str(model.get("class_name")), config)}


def _says_so(entry: Mapping[str, Any]) -> bool:
    class_name, config = str(entry.get("class_name")), entry.get("config")
    # an embedding has an output_dim in every version
    known = class_name in _CLASSES and class_name != "Embedding"
    return known and isinstance(config, dict) and not _ONLY_FIRST.isdisjoint(config)


def _entries(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    config = model.get("config")
    if isinstance(config, dict):
        found = config.get("layers")
        return [*_dicts(found), *_dicts([config.get("layer")])]
    return _dicts(config)


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _layer(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    name = f"layer {config.get('name')!r} ({class_name})"
    if class_name == "Merge":
        return _merge(name, config)
    if class_name == "BatchNormalization" and config.get("mode", 0) != 0:
        raise ModelError(f"{name}: the option 'mode' is {config['mode']}; allowed is 0; {REMEDY}")
    new, renamed = _CLASSES.get(class_name, (class_name, {}))
    dropped = _DROPPED - ({"input_dim"} if class_name == "Embedding" else set()) | {"mode"}
    options = {renamed.get(key, key): value for key, value in config.items() if key not in dropped}
    if "nb_row" in options:
        options["kernel_size"] = [options.pop("nb_row"), options.pop("nb_col", None)]
    if options.get("input_length", 0) is not None and class_name != "Embedding":
        options.pop("input_length", None)
    if "dim_ordering" in options:
        options["data_format"] = _data_format(name, new, options.pop("dim_ordering"))
    padding = options.get("padding")
    if class_name == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        options["padding"] = [padding[:2], padding[2:]]
    return {"class_name": new, "config": options}


def _merge(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    mode = config.get("mode")
    if not isinstance(mode, str) or mode not in _MERGES or config.get("layers"):
        raise ModelError(f"{name}: the option 'mode' is {str(mode)[:40]!r}; allowed are {', '.join(_MERGES)}; {REMEDY}")
    options = {"name": config.get("name"), "trainable": True}
    if mode == "concat":
        options["axis"] = config.get("concat_axis", -1)
    return {"class_name": _MERGES[mode], "config": options}


def _data_format(name: str, class_name: str, ordering: Any) -> str:
    if ordering == "th" and "Conv" in class_name:
        raise ModelError(
            f"{name}: the option 'dim_ordering' is 'th'; whether Theano, which flips kernels, wrote the file is not in "
            f"it; allowed is 'tf'; {REMEDY}"
        )
    return "channels_first" if ordering == "th" else "channels_last"
