"""Keras's activations, as layers, as the option ``activation`` of others, and as operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import Layer, axes, check_options, flag, number, refuse

SMALLEST = -3.0e38  # for a Clip without lower end: float32 has no smaller numbers of use
FAR = 1e9  # what Keras takes off the score of a masked place

Step = tuple[str, Mapping[str, Any]]


def _leaky(slope: float) -> Step:
    return "LeakyRelu", {"alpha": slope}


HARD_SIGMOID: Step = ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})
# before Keras 3
HARD_SIGMOID_FIFTH: Step = ("HardSigmoid", {"alpha": 0.2, "beta": 0.5})

# name -> operator and attributes; linear is no operator
ACTIVATIONS: Mapping[str, Step | None] = MappingProxyType(
    {
        "celu": ("Celu", {"alpha": 1.0}),
        "elu": ("Elu", {"alpha": 1.0}),
        "exponential": ("Exp", {}),
        "gelu": ("Gelu", {"approximate": "none"}),
        "hard_sigmoid": HARD_SIGMOID,
        "hard_silu": ("HardSwish", {}),
        "hard_swish": ("HardSwish", {}),
        "hard_tanh": ("Clip", {"min": -1.0, "max": 1.0}),
        "leaky_relu": _leaky(0.2),
        "linear": None,
        "log_softmax": ("LogSoftmax", {}),
        "mish": ("Mish", {}),
        "relu": ("Relu", {}),
        "relu6": ("Clip", {"min": 0.0, "max": 6.0}),
        "selu": ("Selu", {}),
        "sigmoid": ("Sigmoid", {}),
        "silu": ("Swish", {}),
        "softmax": ("Softmax", {}),
        "softplus": ("Softplus", {}),
        "softsign": ("Softsign", {}),
        "swish": ("Swish", {}),
        "tanh": ("Tanh", {}),
    }
)


def activation(call: Call) -> str:
    """Layer Activation."""
    return apply(call, call.layer.config.get("activation"))


def fused(call: Call, output: str) -> str:
    """Apply the option ``activation`` of a layer to what it made, as a node named after both."""
    value = call.layer.config.get("activation")
    return apply(call.then(output, part=_part(value)), value)


def apply(call: Call, value: Any) -> str:
    """Apply what stands in an option ``activation``: nothing, a name, or a layer."""
    value = _plain(value)
    if isinstance(value, dict):
        return _layer(call, value)
    name = activation_name(call.layer, "activation", value)
    step = _step(call, name)
    if step is None:
        return call.inputs[0]
    return along(call, -1, *step) if step[0] in {"Softmax", "LogSoftmax"} else call.emit(*step)


def activation_name(layer: Layer, option: str, value: Any) -> str:
    """Return the name of an activation, as :data:`ACTIVATIONS` has it.

    Raises
    ------
    ModelError
        It is something else.

    """
    value = _plain(value)
    value = "linear" if value is None else value
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise _unknown(layer, option)
    return value


def _unknown(layer: Layer, option: str) -> ModelError:
    return refuse(layer, option, f"one of {', '.join(ACTIVATIONS)}", "choose one of these and train again")


def _plain(value: Any) -> Any:
    # how Keras 3 writes a function, or an object without options
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return value


def _step(call: Call, name: str) -> Step | None:
    if name == "hard_sigmoid" and not call.builder.keras3:
        return HARD_SIGMOID_FIFTH
    return ACTIVATIONS[name]


def _part(value: Any) -> str:
    value = _plain(value)
    name = value.get("class_name", "activation") if isinstance(value, dict) else value
    return name if isinstance(name, str) else "linear"


def _layer(call: Call, value: Mapping[str, Any]) -> str:
    """Apply a layer without weights that stands in the place of a function."""
    name, config = value.get("class_name"), value.get("config")
    if not isinstance(name, str) or name not in AS_OPTION or not isinstance(config, dict):
        raise _unknown(call.layer, "activation")
    inner = replace(call.layer, class_name=name, config=config)
    check_options(inner, OPTIONS[name])
    return AS_OPTION[name](replace(call, layer=inner))


def along(call: Call, axis: int, op: str, attrs: Mapping[str, Any]) -> str:
    """Apply an operator of the last axis along another one; the batch is axis 0."""
    rank = len(call.shape) + 1
    axis = axis + rank if axis < 0 else axis
    if not 1 <= axis < rank:
        raise ModelError(f"{call.layer}: it works along axis {axis} of an input of {rank} axes; save the model again")
    if axis == rank - 1:
        return call.emit(op, attrs)
    perm = [*(a for a in range(rank) if a != axis), axis]
    back = sorted(range(rank), key=perm.__getitem__)
    made = call.then(call.transpose(perm), part=call.part).emit(op, attrs)
    return call.then(made, part=call.part).transpose(back)


def relu(call: Call) -> str:
    """Layer ReLU: ``x`` from the threshold to the maximum, below it ``negative_slope * (x - threshold)``."""
    slope, threshold = (number(call.layer, option, 0.0) for option in ("negative_slope", "threshold"))
    largest = None
    if call.layer.config.get("max_value") is not None:
        largest = number(call.layer, "max_value", 0.0)
        if largest < 0:
            raise refuse(call.layer, "max_value", "a number of at least 0")
    return rectified(call, slope, threshold, largest)


def rectified(call: Call, slope: float, threshold: float, largest: float | None) -> str:
    """Apply a ReLU with all options."""
    if threshold == 0 and slope == 0:
        return call.emit("Relu") if largest is None else call.emit("Clip", {"min": 0.0, "max": largest})
    if threshold == 0:
        made = call.emit(*_leaky(slope))
        return made if largest is None else _below(call, made, largest)
    made = call.emit("ThresholdedRelu", {"alpha": threshold})
    if largest is not None:
        made = _below(call, made, largest)
    if slope == 0:
        return made
    below = call.then(*call.inputs, part="below")
    below = below.then(below.affine(-1.0, threshold), part="distance")
    below = below.then(below.emit("Relu"), part="slope")
    return call.then(made, below.affine(slope), part="sum").emit("Sub")


def _below(call: Call, made: str, largest: float) -> str:
    return call.then(made, part="max").emit("Clip", {"min": SMALLEST, "max": largest})


def leaky_relu(call: Call) -> str:
    """Layer LeakyReLU; its slope is called ``alpha`` before Keras 3."""
    option = "negative_slope" if "negative_slope" in call.layer.config else "alpha"
    return call.emit(*_leaky(number(call.layer, option, 0.3)))


def elu(call: Call) -> str:
    """Layer ELU."""
    return call.emit("Elu", {"alpha": number(call.layer, "alpha", 1.0)})


def thresholded_relu(call: Call) -> str:
    """Layer ThresholdedReLU."""
    return call.emit("ThresholdedRelu", {"alpha": number(call.layer, "theta", 1.0)})


def prelu(call: Call) -> str:
    """Layer PReLU: slopes of its own for each place, but one for all places of a shared axis."""
    shared = call.layer.config.get("shared_axes")
    places = axes(call.layer, "shared_axes", len(call.shape) + 1) if shared is not None and shared != [] else ()
    shape = tuple(1 if place in places else size for place, size in enumerate(call.shape, 1))
    return call.emit("PRelu", params={"slope": call.param("alpha", ["alpha"], shape)})


def gelu(call: Call) -> str:
    """Layer or operator GELU."""
    approximate = flag(call.layer, "approximate", default=False)
    return call.emit("Gelu", {"approximate": "tanh" if approximate else "none"})


def softmax(call: Call) -> str:
    """Layer Softmax; where there is a mask, masked places count nothing."""
    places = axes(call.layer, "axis", len(call.shape) + 1)
    if len(places) > 1:
        raise refuse(call.layer, "axis", "one axis")
    mask = call.mask
    if mask is None:
        return along(call, places[0], "Softmax", {})
    made = along(call.then(hidden(call, call.inputs[0], mask)), places[0], "Softmax", {})
    # Keras 3 writes zeros where all is masked
    return call.then(made, mask, part="masked").emit("Mul") if call.builder.keras3 else made


def hidden(call: Call, scores: str, mask: str) -> str:
    """Return scores where a mask is 1 and -1e9 where it is 0: nothing after a softmax, as Keras has it."""
    kept = call.then(scores, mask, part="kept").emit("Mul")
    absent = call.then(mask, part="absent").emit("NotEqual", {"value": 1.0})
    offset = call.then(absent, part="offset").affine(-FAR)
    return call.then(kept, offset, part="hidden").emit("Add")


AS_OPTION: Mapping[str, Callable[[Call], str]] = MappingProxyType(
    {
        "ELU": elu,
        "LeakyReLU": leaky_relu,
        "ReLU": relu,
        "Softmax": softmax,
        "ThresholdedReLU": thresholded_relu,
    }
)
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "ELU": frozenset({"alpha"}),
        "LeakyReLU": frozenset({"alpha", "negative_slope"}),
        "ReLU": frozenset({"max_value", "negative_slope", "threshold"}),
        "Softmax": frozenset({"axis", "robust_masking"}),
        "ThresholdedReLU": frozenset({"theta"}),
    }
)
