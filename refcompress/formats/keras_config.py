"""A layer's configuration: options of known types, and errors that name layer, class, option and remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refcompress.errors import ModelError

Shape = tuple[int, ...]

MAX_SIZE = 2**31 - 1

# Options that say nothing about inference: how weights begin, are trained and are kept in shape.
HARMLESS = {
    "name",
    "trainable",
    "dtype",  # checked for every layer before anything else
    "batch_input_shape",  # the input's shape, which is known by then
    "batch_shape",
    "input_dtype",
    "build_input_shape",
    "autocast",
    "seed",
    "dynamic",
}
HARMLESS_ENDINGS = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer as the architecture describes it.

    Attributes
    ----------
    path
        Names from the outermost nested model down to this layer.
    class_name
        Keras's class.
    config
        Its options, decoded JSON.
    inbound
        Where its inputs come from, one entry a call; decoded JSON.
    origin
        The module of the class and the name it was registered under; "" where the file says nothing.

    """

    path: tuple[str, ...]
    class_name: str
    config: Mapping[str, Any]
    inbound: Any = field(default_factory=list)
    origin: tuple[str, str] = ("", "")

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]

    def __str__(self) -> str:
        return f"layer {'/'.join(self.path)!r} ({self.class_name})"


def refuse(
    layer: Layer, option: str, allowed: str, remedy: str = "change the layer and save the model again"
) -> ModelError:
    """Build the error for an option that cannot be represented.

    Examples
    --------
    >>> print(refuse(Layer(("c",), "Conv2D", {"strides": 0}), "strides", "1 or more", "train again"))
    layer 'c' (Conv2D): the option 'strides' is 0; allowed is 1 or more; train again

    """
    value = shown(_policy(layer) if option == "dtype" else layer.config.get(option, "missing"))
    return ModelError(f"{layer}: the option {option!r} is {value}; allowed is {allowed}; {remedy}")


def shown(value: Any) -> str:
    """Return a short form of a JSON value of any size.

    Examples
    --------
    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."

    """
    if isinstance(value, int) and abs(value) > MAX_SIZE and not isinstance(value, bool):
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:  # an integer inside with more digits than Python prints
        return f"a {type(value).__name__} of very large integers"
    return text if len(text) <= 60 else text[:57] + "..."


def check_options(layer: Layer, known: frozenset[str]) -> None:
    """Refuse options that this importer does not know, unless they are known to be harmless or are not set.

    Raises
    ------
    ModelError
        With the first such option.

    """
    for option, value in layer.config.items():
        harmless = option in HARMLESS or option.endswith(HARMLESS_ENDINGS) or value is None
        if not harmless and option not in known:
            raise refuse(layer, option, "none, for this importer does not know it", "save the model without it")


def integer(layer: Layer, option: str, default: int | None = None, *, least: int = 1) -> int:
    """Return an integer option.

    Raises
    ------
    ModelError
        It is missing without a default, or not an integer of at least ``least``.

    """
    value = layer.config.get(option, default)
    if not _is_int(value) or value < least:
        raise refuse(layer, option, f"an integer of at least {least}")
    return int(value)


def pair(layer: Layer, option: str, default: Any = None, *, least: int = 1) -> tuple[int, int]:
    """Return an option of two integers, (height, width); one integer stands for both.

    Raises
    ------
    ModelError
        It is missing without a default, or something else.

    """
    value = layer.config.get(option, default)
    if _is_int(value):
        value = [value, value]
    if not isinstance(value, list) or len(value) != 2 or not all(_is_int(item) and item >= least for item in value):
        raise refuse(layer, option, f"one or two integers of at least {least}")
    return value[0], value[1]


def flag(layer: Layer, option: str, *, default: bool) -> bool:
    """Return an option that is true or false (early versions write 1 and 0).

    Raises
    ------
    ModelError
        It is something else.

    """
    value = layer.config.get(option, default)
    if not isinstance(value, bool | int) or value not in {0, 1}:
        raise refuse(layer, option, "true or false")
    return bool(value)


def number(layer: Layer, option: str, default: float) -> float:
    """Return a finite number; null gives the default.

    Raises
    ------
    ModelError
        It is something else.

    """
    value = layer.config.get(option)
    # Keras 2.2 writes NumPy scalars this way
    if isinstance(value, dict) and value.get("type") == "ndarray":
        value = value.get("value")
    value = default if value is None else value
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or abs(value) > 1e30:
        raise refuse(layer, option, "a finite number of moderate size")
    return float(value)


def channels_last(layer: Layer) -> None:
    """Refuse images that are laid out channels first.

    Raises
    ------
    ModelError
        With the remedy.

    """
    if layer.config.get("data_format", "channels_last") not in {None, "channels_last"}:
        remedy = "rebuild the model with data_format='channels_last', set its weights from this one and save it"
        raise refuse(layer, "data_format", "'channels_last'", remedy)


def float32_only(layer: Layer) -> None:
    """Refuse layers that compute in anything but float32.

    Raises
    ------
    ModelError
        With the remedy.

    """
    policy = _policy(layer)
    if policy is not None and policy not in ("float32", "infer", "_infer"):
        remedy = "rebuild the model under the policy float32, set its weights from this one and save it"
        raise refuse(layer, "dtype", "float32", remedy)


def _policy(layer: Layer) -> Any:
    policy = layer.config.get("dtype")
    config = policy.get("config") if isinstance(policy, dict) else None
    return config["name"] if isinstance(config, dict) and isinstance(config.get("name"), str) else policy


def static_shape(layer: Layer, option: str) -> Shape:
    """Return an input's shape without its batch axis.

    Raises
    ------
    ModelError
        A size is unknown, or the option is no shape.

    """
    value = layer.config.get(option)
    if not isinstance(value, list) or len(value) < 2 or not all(item is None or _is_int(item) for item in value):
        raise refuse(layer, option, "a list of sizes, batch first")
    if any(item is None or item < 1 for item in value[1:]):
        remedy = (
            "rebuild the model on an input of a fixed size (keras.Input((height, width, channels))), "
            "set its weights from this one and save it"
        )
        raise refuse(layer, option, "a shape whose sizes are all known", remedy)
    return tuple(value[1:])


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SIZE
