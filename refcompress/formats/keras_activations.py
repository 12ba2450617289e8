"""Keras's activations, as layers and as the ``activation`` option of others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from refcompress.formats.keras_call import Call
from refcompress.formats.keras_config import number, refuse

# name -> operator and attributes; linear is no operator
ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]] | None] = MappingProxyType(
    {
        "linear": None,
        "relu": ("Relu", {}),
        "relu6": ("Clip", {"min": 0.0, "max": 6.0}),
        "sigmoid": ("Sigmoid", {}),
        "softmax": ("Softmax", {}),
        "tanh": ("Tanh", {}),
    }
)


def activation(call: Call) -> str:
    """Layer Activation."""
    return _emit(call, _named(call))


def fused(call: Call, output: str) -> str:
    """Apply the option ``activation`` of a layer to what it made, as a node named after both."""
    name = _named(call)
    return _emit(call.then(output, part=name), name)


def relu(call: Call) -> str:
    """Layer ReLU: a Clip if it has a maximum."""
    for option in ("negative_slope", "threshold"):
        if number(call.layer, option, 0.0) != 0:
            raise refuse(call.layer, option, "0 (a plain ReLU)", "replace the layer by a plain ReLU and train on")
    if call.layer.config.get("max_value") is None:
        return call.emit("Relu")
    largest = number(call.layer, "max_value", 0.0)
    if largest < 0:
        raise refuse(call.layer, "max_value", "a number of at least 0")
    return call.emit("Clip", {"min": 0.0, "max": largest})


def softmax(call: Call) -> str:
    """Layer Softmax, over the last axis."""
    axis = call.layer.config.get("axis", -1)
    if axis not in (-1, len(call.shape), [-1], [len(call.shape)]):
        raise refuse(call.layer, "axis", "-1 (the last axis)")
    return call.emit("Softmax")


def _emit(call: Call, name: str) -> str:
    found = ACTIVATIONS[name]
    return call.inputs[0] if found is None else call.emit(*found)


def _named(call: Call) -> str:
    value = call.layer.config.get("activation")
    if isinstance(value, dict) and value.get("class_name") == "function":  # how Keras 3 writes a plain function
        value = value.get("config")
    value = "linear" if value is None else value
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise refuse(
            call.layer,
            "activation",
            f"one of {', '.join(ACTIVATIONS)}",
            "choose one of these and train again",
        )
    return value
