"""Keras's normalizations inside networks, and layers that scale by what was trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import axes, flag, integer, number, refuse

UNIT_EPSILON = 1e-12  # of UnitNormalization, Keras 2: the least square it divides by


def batch_normalization(call: Call) -> str:
    """Layer BatchNormalization over any axis, with the statistics of its training."""
    places = axes(call.layer, "axis", len(call.shape) + 1)
    if len(places) > 1:
        raise refuse(call.layer, "axis", "one axis")
    size = (call.shape[places[0] - 1],)
    params = {}
    if flag(call.layer, "scale", default=True):
        params["scale"] = call.param("gamma", ["gamma"], size)
    if flag(call.layer, "center", default=True):
        params["bias"] = call.param("beta", ["beta"], size)
    params["mean"] = call.param("moving_mean", ["moving_mean"], size)
    params["var"] = call.param("moving_variance", ["moving_variance"], size)
    attrs = {"epsilon": number(call.layer, "epsilon", 1e-3)}
    return with_last(call, places, lambda inner: inner.emit("BatchNormalization", attrs, params))


def layer_normalization(call: Call) -> str:
    """Layer LayerNormalization over one axis or several."""
    if flag(call.layer, "rms_scaling", default=False):
        raise refuse(call.layer, "rms_scaling", "false", "use RMSNormalization and train again")
    places = axes(call.layer, "axis", len(call.shape) + 1)
    params = factors(call, tuple(call.shape[place - 1] for place in places))
    attrs = {"axis": len(call.shape) + 1 - len(places), "epsilon": number(call.layer, "epsilon", 1e-3)}
    return with_last(call, places, lambda inner: inner.emit("LayerNormalization", attrs, params))


def rms_normalization(call: Call) -> str:
    """Layer RMSNormalization over one axis or several."""
    places = axes(call.layer, "axis", len(call.shape) + 1)
    shape = tuple(call.shape[place - 1] for place in places)
    params = {"scale": call.param("scale", ["scale"], shape)}
    attrs = {"axis": len(call.shape) + 1 - len(places), "epsilon": number(call.layer, "epsilon", 1e-6)}
    return with_last(call, places, lambda inner: inner.emit("RMSNormalization", attrs, params))


def group_normalization(call: Call) -> str:
    """Layer GroupNormalization; -1 groups are as many as channels."""
    places = axes(call.layer, "axis", len(call.shape) + 1)
    if len(places) > 1:
        raise refuse(call.layer, "axis", "one axis")
    channels = call.shape[places[0] - 1]
    groups = integer(call.layer, "groups", 32, least=-1)
    groups = channels if groups == -1 else groups
    if not groups or channels % groups:
        raise refuse(call.layer, "groups", f"a divisor of {channels} channels, or -1")
    params = factors(call, (channels,))
    attrs = {"num_groups": groups, "epsilon": number(call.layer, "epsilon", 1e-3)}
    return with_last(call, places, lambda inner: inner.emit("GroupNormalization", attrs, params))


def unit_normalization(call: Call) -> str:
    """Layer UnitNormalization: vectors of length 1 along one axis or several."""
    places = axes(call.layer, "axis", len(call.shape) + 1)
    epsilon = UNIT_EPSILON**2 if call.builder.keras3 else UNIT_EPSILON
    return unit_vectors(call, places, epsilon)


def unit_vectors(call: Call, places: Sequence[int], epsilon: float) -> str:
    """Divide by lengths; ``epsilon`` is the least square of one."""
    if len(places) == 1:
        return call.emit("LpNormalization", {"axis": places[0], "epsilon": epsilon})

    def normalized(inner: Call) -> str:
        rest = inner.shape[: len(inner.shape) - len(places)]
        flat = inner.then(inner.reshape((*rest, math.prod(inner.shape[len(rest) :]))), part=inner.part)
        made = flat.emit("LpNormalization", {"axis": len(rest) + 1, "epsilon": epsilon})
        return inner.then(made, part=inner.part).reshape(inner.shape)

    return with_last(call, places, normalized)


def layer_scale(call: Call) -> str:
    """Layer LayerScale of ConvNeXt: each channel times a trained number."""
    size = integer(call.layer, "projection_dim")
    if size != call.shape[-1]:
        raise refuse(call.layer, "projection_dim", f"{call.shape[-1]}, as many as channels")
    return call.emit("Affine", params={"scale": call.param("gamma", ["gamma", "variable"], (size,))})


def factors(call: Call, shape: tuple[int, ...]) -> dict[str, str]:
    """Read what a normalization multiplies with and adds, if it does."""
    params = {}
    if flag(call.layer, "scale", default=True):
        params["scale"] = call.param("gamma", ["gamma"], shape)
    if flag(call.layer, "center", default=True):
        params["bias"] = call.param("beta", ["beta"], shape)
    return params


def with_last(call: Call, places: Sequence[int], build: Callable[[Call], str]) -> str:
    """Build something on the input with some axes moved behind all others, and move them back."""
    rank = len(call.shape) + 1
    perm = [*(axis for axis in range(rank) if axis not in places), *places]
    back = sorted(range(rank), key=perm.__getitem__)
    made = build(call.then(call.transpose(perm), part=call.part))
    return call.then(made, part=call.part).transpose(back)
