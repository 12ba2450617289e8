"""What a network computes in, and the shapes of its inputs."""

from __future__ import annotations

from refcompress.formats.keras.config import Layer, Shape, flag, is_int, policy, refuse

FLOAT_POLICIES = ("float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64", "infer", "_infer")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")


def check_policy(layer: Layer) -> None:
    """Refuse layers that compute in anything but floating point.

    Whatever the precision, the network is imported in float32: its weights are kept in float32 under the mixed
    policies too, and the arithmetic is the reference's own.

    Raises
    ------
    ModelError
        With the remedy.

    """
    found = policy(layer)
    if found is not None and found not in FLOAT_POLICIES:
        remedy = "rebuild the model under the policy float32, set its weights from this one and save it"
        raise refuse(layer, "dtype", f"one of {', '.join(FLOAT_POLICIES)}", remedy)


def check_input(layer: Layer) -> None:
    """Refuse an input that is no plain array of numbers.

    Raises
    ------
    ModelError
        With the remedy.

    """
    for option in ("sparse", "ragged"):
        if layer.config.get(option) is not None and flag(layer, option, default=False):
            raise refuse(layer, option, "false", "rebuild the model on a plain input and save it again")
    found = policy(layer)
    if found is not None and found not in (*FLOAT_POLICIES, *INTEGERS):
        remedy = "rebuild the model on an input of numbers, set its weights from this one and save it"
        raise refuse(layer, "dtype", f"one of {', '.join((*FLOAT_POLICIES, *INTEGERS))}", remedy)


def static_shape(layer: Layer, option: str, given: Shape | None = None) -> Shape:
    """Return an input's shape without its batch axis.

    Parameters
    ----------
    layer, option
        Where the shape stands.
    given
        What the user says the shape is, for sizes that the file leaves open.

    Raises
    ------
    ModelError
        A size is unknown and not given, another one is given, or the option is no shape.

    """
    value = layer.config.get(option)
    if not isinstance(value, list) or len(value) < 2 or not all(item is None or is_int(item) for item in value):
        raise refuse(layer, option, "a list of sizes, batch first")
    stored = value[1:]
    if given is not None:
        fits = len(given) == len(stored) and all(
            known in {None, size} for known, size in zip(stored, given, strict=True)
        )
        if not fits:
            raise refuse(layer, option, f"a shape that {given} fits", "give input_shapes as the model has them")
        stored = list(given)
    if any(item is None or item < 1 for item in stored):
        example = tuple(32 if item is None else item for item in stored)
        raise refuse(
            layer,
            option,
            "a shape whose sizes are all known",
            f"say what it is: load(path, input_shapes={{{layer.name!r}: {example}}}), without the batch axis",
        )
    return tuple(stored)
