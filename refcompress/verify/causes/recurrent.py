"""Causes in recurrent layers: gates in another order, the reset gate, hard sigmoids, direction, biases."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from refcompress.verify.causes.site import Cause, Float32, Site, Variant, with_attrs, with_params

GATES = {"LSTM": ("i", "f", "c", "o"), "GRU": ("z", "r", "h"), "RNN": ("h",)}
RECURRENT = frozenset(GATES)
_FUNCTIONS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_fifth", "tanh", "relu", "linear")


def gates(site: Site) -> Iterator[Variant]:
    """Try gates in another order, in all parameters or in one of the two weights."""
    names = GATES[site.node.op]
    for order in itertools.permutations(range(len(names))):
        if order == tuple(range(len(names))):
            continue
        mixed = {role: _reordered(array, order) for role, array in site.params.items()}
        text = f"the gates in the order {', '.join(names[i] for i in order)}"
        yield from with_params(site, text, mixed)
        for role in ("weight", "recurrent_weight", "bias"):
            if role in mixed:
                yield from with_params(site, f"{text} in its {role}", {role: mixed[role]})


def _reordered(array: Float32, order: tuple[int, ...]) -> Float32:
    parts = np.split(array, len(order), -1)
    return np.concatenate([parts[i] for i in order], -1)


def functions(site: Site) -> Iterator[Variant]:
    """Try other activations, the generations of the hard sigmoid among them."""
    for name in _FUNCTIONS:
        if hasattr(site.node.attrs, "recurrent_activation"):
            yield from with_attrs(site, f"{name} as recurrent activation", recurrent_activation=name)
        yield from with_attrs(site, f"{name} as activation", activation=name)


def reset(site: Site) -> Iterator[Variant]:
    """Try the reset gate before or after the matrix product."""
    after = not site.node.attrs.linear_before_reset
    text = "the reset gate after the product" if after else "the reset gate before the product"
    if "recurrent_bias" not in site.params:
        yield from with_attrs(site, text, linear_before_reset=after)
        return
    summed = site.params["bias"] + site.params["recurrent_bias"]
    for variant in with_params(site, text, {"bias": summed, "recurrent_bias": None}):
        for changed in with_attrs(site, text, linear_before_reset=after):
            node = dataclasses.replace(variant.nodes[0], attrs=changed.nodes[0].attrs)
            yield Variant(text, (node,), variant.params, slack=4.0)


def direction(site: Site) -> Iterator[Variant]:
    """Try time read the other way round."""
    backwards = not site.node.attrs.reverse
    yield from with_attrs(site, "time read backwards" if backwards else "time read forwards", reverse=backwards)


def biases(site: Site) -> Iterator[Variant]:
    """Try biases missing, exchanged, or without the forget gate's 1."""
    bias, other = site.params.get("bias"), site.params.get("recurrent_bias")
    if other is not None:
        yield from with_params(site, "no recurrent bias", {"recurrent_bias": None})
        if bias is not None:
            yield from with_params(site, "both biases exchanged", {"bias": other, "recurrent_bias": bias})
    if bias is None:
        return
    yield from with_params(site, "no bias", {"bias": None})
    yield from with_params(site, "the bias added twice", {"bias": 2 * bias})
    if site.node.op == "LSTM":
        units = len(bias) // 4
        for text, shift in (("1 added to the forget gate's bias", 1), ("1 taken from the forget gate's bias", -1)):
            moved = bias.copy()
            moved[units : 2 * units] += shift
            yield from with_params(site, text, {"bias": moved})


def transposed(site: Site) -> Iterator[Variant]:
    """Try recurrent weights transposed gate by gate."""
    count = len(GATES[site.node.op])
    weight = site.params["recurrent_weight"]
    turned = np.concatenate([part.T for part in np.split(weight, count, -1)], -1)
    yield from with_params(site, "the recurrent weight transposed", {"recurrent_weight": turned})
    text = "the recurrent weight's memory read as (gates, in)"
    yield from with_params(site, text, {"recurrent_weight": weight.reshape(weight.shape[::-1]).T})
    text = "the weight's memory read as (gates, in)"
    matrix = site.params["weight"]
    yield from with_params(site, text, {"weight": matrix.reshape(matrix.shape[::-1]).T})
    if matrix.shape == weight.shape:
        yield from with_params(site, "both weights exchanged", {"weight": weight, "recurrent_weight": matrix})


def steps(site: Site) -> Iterator[Variant]:
    """Try the output of another step, or masking told otherwise."""
    attrs = site.node.attrs
    if attrs.masked:
        text = "zeros where steps are masked" if not attrs.zero_masked else "outputs repeated where steps are masked"
        yield from with_attrs(site, text, zero_masked=not attrs.zero_masked)
    for output in ("last", "sequence", "state", "cell"):
        yield from with_attrs(site, f"the output {output!r}", output=output)


CAUSES = (
    Cause("gates", frozenset({"LSTM", "GRU"}), gates),
    Cause("reset gate", frozenset({"GRU"}), reset),
    Cause("activations of gates", RECURRENT, functions),
    Cause("direction", RECURRENT, direction),
    Cause("biases", RECURRENT, biases),
    Cause("transposed weights", RECURRENT, transposed),
    Cause("steps", RECURRENT, steps),
)
