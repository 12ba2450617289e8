"""A layer's configuration: options of known types, and errors that name layer, class, option and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refcompress.errors import ModelError

Shape = tuple[int, ...]

MAX_SIZE = 2**31 - 1
MAX_NUMBER = 1e30

REBUILD = "save the whole model again where it was made: model.save('model.h5')"

NETWORKS = ("Functional", "Model", "Sequential")  # models inside models
TENSORFLOW_OPERATORS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

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
    value = shown(policy(layer) if option == "dtype" else layer.config.get(option, "missing"))
    return ModelError(f"{layer}: the option {option!r} is {value}; allowed is {allowed}; {remedy}")


def policy(layer: Layer) -> Any:
    """Return the name of the precision a layer computes in, or whatever stands in its place."""
    value = layer.config.get("dtype")
    config = value.get("config") if isinstance(value, dict) else None
    return config["name"] if isinstance(config, dict) and isinstance(config.get("name"), str) else value


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
    if not is_int(value) or value < least:
        raise refuse(layer, option, f"an integer of at least {least}")
    return int(value)


def sizes(layer: Layer, option: str, count: int, default: Any = None, *, least: int = 1) -> tuple[int, ...]:
    """Return an option of as many integers as there are axes; one integer stands for all of them.

    Raises
    ------
    ModelError
        It is missing without a default, or something else.

    Examples
    --------
    >>> sizes(Layer(("c",), "Conv2D", {"strides": 2}), "strides", 2)
    (2, 2)

    """
    value = layer.config.get(option, default)
    if is_int(value):
        value = [value] * count
    if not isinstance(value, list) or len(value) != count or not all(is_int(item) and item >= least for item in value):
        allowed = "one integer" if count == 1 else f"one or {count} integers"
        raise refuse(layer, option, f"{allowed} of at least {least}")
    return tuple(value)


def choice(layer: Layer, option: str, allowed: Sequence[str], default: str) -> str:
    """Return an option that is one of some words.

    Raises
    ------
    ModelError
        It is something else.

    """
    value = layer.config.get(option, default)
    if not isinstance(value, str) or value not in allowed:
        raise refuse(layer, option, " or ".join(map(repr, allowed)))
    return value


def axes(layer: Layer, option: str, rank: int, default: Any = -1) -> tuple[int, ...]:
    """Return one axis or several, counted with the batch as 0, in ascending order.

    Parameters
    ----------
    layer, option
        Where to look.
    rank
        Axes of the input, the batch axis included.
    default
        If the option is missing.

    Raises
    ------
    ModelError
        An axis is out of range, named twice, or the batch.

    Examples
    --------
    >>> axes(Layer(("n",), "LayerNormalization", {"axis": [-1]}), "axis", 4)
    (3,)

    """
    value = layer.config.get(option, default)
    given = value if isinstance(value, list) else [value]
    places = sorted(axis + rank if axis < 0 else axis for axis in given if is_int(axis))
    if len(places) != len(given) or len(set(places)) != len(places) or not places:
        places = [0]
    if not 1 <= places[0] <= places[-1] < rank:
        raise refuse(layer, option, f"1 to {rank - 1}, or negative down to {1 - rank}")
    return tuple(places)


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
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_NUMBER:  # NaN is not
        raise refuse(layer, option, "a finite number of moderate size")
    return float(value)


def numbers(layer: Layer, option: str) -> list[float] | None:
    """Return a number or nested lists of numbers, flattened; None if the option is not set.

    Raises
    ------
    ModelError
        It is something else.

    """
    value = layer.config.get(option)
    if value is None:
        return None
    found: list[float] = []
    level = [value]
    while level:
        item = level.pop(0)
        if isinstance(item, dict) and item.get("type") == "ndarray":
            item = item.get("value")
        if isinstance(item, list):
            level = [*item, *level]
        elif isinstance(item, int | float) and not isinstance(item, bool) and abs(item) <= MAX_NUMBER:  # no NaN
            found.append(float(item))
        else:
            raise refuse(layer, option, "finite numbers of moderate size")
    return found


def channels_first(layer: Layer) -> bool:
    """Return whether the channels stand before the pixels.

    Raises
    ------
    ModelError
        ``data_format`` is neither of the two words.

    """
    if layer.config.get("data_format") is None:
        return False
    return choice(layer, "data_format", ("channels_last", "channels_first"), "channels_last") == "channels_first"


def read_layer(value: Any, parents: tuple[str, ...]) -> Layer:
    """Read one entry of the architecture.

    Raises
    ------
    ModelError
        It has no class, options or printable name.

    """
    entry = value if isinstance(value, dict) else {}
    class_name, config = entry.get("class_name"), entry.get("config")
    if isinstance(config, list):  # a Sequential of early Keras 2
        config = {"layers": config, "name": entry.get("name")}
    if not isinstance(class_name, str) or not isinstance(config, dict):
        where = "/".join(parents) or "the model"
        raise ModelError(f"{where}: a layer is described by {shown(value)}, without class and options; {REBUILD}")
    name = entry.get("name") or config.get("name")  # what other layers refer to, where the two differ
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ModelError(
            f"a layer of class {class_name!r} is named {shown(name)}; it needs a printable name; {REBUILD}"
        )
    module, registered = (
        text if isinstance(text, str) else "" for text in map(entry.get, ("module", "registered_name"))
    )
    return Layer((*parents, name), class_name, config, entry.get("inbound_nodes", []), (module, registered))


def is_int(value: Any) -> bool:
    """Return whether a JSON value is an integer of moderate size."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SIZE
