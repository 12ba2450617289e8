"""The Keras layers that can be imported: LAYERS maps each class to the nodes it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from refcompress.errors import ModelError
from refcompress.formats import keras_activations, keras_windows
from refcompress.formats.keras_activations import fused
from refcompress.formats.keras_call import Call
from refcompress.formats.keras_config import (
    MAX_SIZE,
    Layer,
    channels_last,
    check_options,
    flag,
    float32_only,
    integer,
    number,
    refuse,
)


def dense(call: Call) -> str:
    """Layer Dense: a matrix product over the last axis."""
    units = integer(call.layer, "units")
    params = {"weight": call.param("kernel", ["kernel"], (call.shape[-1], units))}
    if flag(call.layer, "use_bias", default=True):
        params["bias"] = call.param("bias", ["bias"], (units,))
    return fused(call, call.emit("Gemm", params=params))


def batch_normalization(call: Call) -> str:
    """Layer BatchNormalization over the last axis, with the statistics of its training."""
    axis = call.layer.config.get("axis", -1)
    if axis not in (-1, len(call.shape), [-1], [len(call.shape)]):
        raise refuse(call.layer, "axis", f"-1 or {len(call.shape)} (the last axis)")
    size = (call.shape[-1],)
    params = {}
    if flag(call.layer, "scale", default=True):
        params["scale"] = call.param("gamma", ["gamma"], size)
    if flag(call.layer, "center", default=True):
        params["bias"] = call.param("beta", ["beta"], size)
    params["mean"] = call.param("moving_mean", ["moving_mean"], size)
    params["var"] = call.param("moving_variance", ["moving_variance"], size)
    return call.emit("BatchNormalization", {"epsilon": number(call.layer, "epsilon", 1e-3)}, params)


def flatten(call: Call) -> str:
    """Layer Flatten."""
    if len(call.shape) > 1:
        channels_last(call.layer)
    return call.emit("Flatten")


def reshape(call: Call) -> str:
    """Layer Reshape; one size may be -1, whatever is left."""
    target = call.layer.config.get("target_shape")
    sizes = target if isinstance(target, list) else []
    if not all(isinstance(size, int) and -1 <= size <= MAX_SIZE for size in sizes) or not sizes or sizes.count(-1) > 1:
        raise refuse(call.layer, "target_shape", "a list of sizes, of which one may be -1")
    total, known = math.prod(call.shape), math.prod(size for size in sizes if size != -1)
    if known < 1 or total % known or (-1 not in sizes and total != known):
        raise refuse(call.layer, "target_shape", f"a shape of the {total} numbers of its input {call.shape}")
    return call.emit("Reshape", {"shape": tuple(total // known if size == -1 else int(size) for size in sizes)})


def dropout(call: Call) -> str:
    """Layer Dropout: nothing at inference; kept for training on."""
    return call.emit("Dropout", {"ratio": number(call.layer, "rate", 0.5)})


def identity(call: Call) -> str:
    """Layers that do something in training only: no node."""
    return call.inputs[0]


def add(call: Call) -> str:
    """Layer Add."""
    return call.emit("Add")


def concatenate(call: Call) -> str:
    """Layer Concatenate; its axis counts the batch as 0."""
    axis, rank = integer(call.layer, "axis", -1, least=-MAX_SIZE), len(call.shape) + 1
    position = axis + rank if axis < 0 else axis
    if not 1 <= position < rank:
        raise refuse(call.layer, "axis", f"1 to {rank - 1}, or negative down to {1 - rank}")
    return call.emit("Concat", {"axis": position})


@dataclass(frozen=True, slots=True)
class Rule:
    """How a class of layers is imported.

    Attributes
    ----------
    build
        Adds the nodes of one call and returns what they make.
    options
        Options that ``build`` looks at, or that are known to mean nothing at inference.
    merges
        Whether it takes two or more inputs instead of one.

    """

    build: Callable[[Call], str]
    options: frozenset[str] = frozenset()
    merges: bool = False


_CONV = {"kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias"}
_POOL = frozenset({"pool_size", "strides", "padding", "data_format"})
_GLOBAL = frozenset({"data_format", "keepdims"})
# the later ones speak of how training updates the statistics
_NORM = frozenset(
    {
        "axis",
        "epsilon",
        "center",
        "scale",
        "momentum",
        "fused",
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
    }
    | {"synchronized", "virtual_batch_size"}
)
_NORM_RULE = Rule(batch_normalization, _NORM)

NETWORKS = ("Functional", "Model", "Sequential")  # models inside models

LAYERS: Mapping[str, Rule] = MappingProxyType(
    {
        "Activation": Rule(keras_activations.activation, frozenset({"activation"})),
        "ActivityRegularization": Rule(identity, frozenset({"l1", "l2"})),
        "Add": Rule(add, merges=True),
        "AveragePooling2D": Rule(keras_windows.average_pooling2d, _POOL),
        "BatchNormalization": _NORM_RULE,
        "BatchNormalizationV1": _NORM_RULE,  # TensorFlow 1.14 and 2.0
        "BatchNormalizationV2": _NORM_RULE,
        "Concatenate": Rule(concatenate, frozenset({"axis"}), merges=True),
        "Conv2D": Rule(keras_windows.conv2d, frozenset({*_CONV, "filters", "groups"})),
        "Dense": Rule(dense, frozenset({"units", "activation", "use_bias"})),
        "DepthwiseConv2D": Rule(keras_windows.depthwise_conv2d, frozenset({*_CONV, "groups", "depth_multiplier"})),
        "Dropout": Rule(dropout, frozenset({"rate", "noise_shape"})),
        "Flatten": Rule(flatten, frozenset({"data_format"})),
        "GaussianDropout": Rule(identity, frozenset({"rate"})),
        "GaussianNoise": Rule(identity, frozenset({"stddev"})),
        "GlobalAveragePooling2D": Rule(keras_windows.global_average_pooling2d, _GLOBAL),
        "GlobalMaxPooling2D": Rule(keras_windows.global_max_pooling2d, _GLOBAL),
        "MaxPooling2D": Rule(keras_windows.max_pooling2d, _POOL),
        "ReLU": Rule(keras_activations.relu, frozenset({"max_value", "negative_slope", "threshold"})),
        "Reshape": Rule(reshape, frozenset({"target_shape"})),
        "SeparableConv2D": Rule(
            keras_windows.separable_conv2d, frozenset({*_CONV, "groups", "filters", "depth_multiplier"})
        ),
        "Softmax": Rule(keras_activations.softmax, frozenset({"axis"})),
        "SpatialDropout2D": Rule(identity, frozenset({"rate", "noise_shape", "data_format"})),
        "ZeroPadding2D": Rule(keras_windows.zero_padding2d, frozenset({"padding", "data_format"})),
    }
)


def build(call: Call) -> str:
    """Add the nodes of one call of a layer and return the activation they make.

    Raises
    ------
    ModelError
        An option or the inputs cannot be represented; the message names the layer and the remedy.

    """
    layer = call.layer
    rule = LAYERS[layer.class_name]
    float32_only(layer)
    check_options(layer, rule.options)
    if (len(call.inputs) < 2) if rule.merges else (len(call.inputs) != 1):
        allowed = "two or more" if rule.merges else "one"
        raise ModelError(
            f"{layer}: it is called on {len(call.inputs)} inputs; it takes {allowed}; save the model again"
        )
    return rule.build(call)


def check_class(layer: Layer) -> None:
    """Refuse a layer whose class cannot be imported.

    Raises
    ------
    ModelError
        With what to do.

    """
    if layer.class_name not in (*LAYERS, *NETWORKS, "InputLayer") or _is_foreign(layer):
        raise ModelError(_unsupported(layer))


def _is_foreign(layer: Layer) -> bool:
    """Whether a class of somebody else's has taken the name of one of Keras's."""
    module, registered = layer.origin
    keras = module.partition(".")[0] in {"", "keras", "tf_keras", "tensorflow", "tensorflow_core"}
    return not keras or ">" in registered


def _unsupported(layer: Layer) -> str:
    if layer.class_name == "Lambda":
        return (
            f"{layer}: Lambda layers hold Python bytecode, which is never executed here; replace it by the "
            "layers that do the same (Activation, ReLU, Reshape, Concatenate, ...), set the weights from this "
            "model and save it"
        )
    if layer.class_name in {"TFOpLambda", "TensorFlowOpLayer", "SlicingOpLambda"}:
        return (
            f"{layer}: TensorFlow operators called directly cannot be represented; replace the call by the layer that "
            "does the same (Add, Activation, Reshape, ...), set the weights from this model and save it"
        )
    supported = ", ".join(("InputLayer", *NETWORKS, *LAYERS))
    return f"{layer}: this class cannot be represented; rebuild it from those that can: {supported}"
