"""Keras's layers around others: one applied to every time step, one that reads time both ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import Layer, check_options, choice, flag, read_layer, refuse
from refcompress.formats.keras.inputs import check_policy
from refcompress.formats.keras.layers.recurrent import KINDS, OPTIONS, given_states, run

MERGES = {"sum": "Add", "mul": "Mul", "ave": "Add", "concat": "Concat"}


def time_distributed(call: Call) -> str:
    """Layer TimeDistributed: a layer on every time step, with the same weights.

    What works on the last axis alone is applied to all steps at once; otherwise steps are cut out one by one.
    """
    inner = read_layer(call.layer.config.get("layer"), call.layer.path)
    steps, *rest = call.shape if len(call.shape) > 1 else (0,)
    if not rest:
        raise ModelError(f"{call.layer}: its input has the shape {call.shape}; it needs time steps before other axes")
    direct = _of_last_axis(inner, len(rest))
    if direct is not None:
        made = _call(call, direct, call.name, call.inputs[0])
    else:
        made = _unrolled(call, inner, steps, tuple(rest))
    mask = call.mask
    if mask is not None:
        call.builder.masks.setdefault(made, mask)
    return made


def _call(call: Call, inner: Layer, name: str, source: str) -> str:
    made = call.builder.call_layer(call.builder, inner, f"{name}/{inner.name}", (source,))
    if len(made) != 1:
        raise ModelError(f"{call.layer}: the layer inside makes {len(made)} activations; it may make one")
    return made[0]


def _of_last_axis(inner: Layer, rank: int) -> Layer | None:
    """Return the layer if it does the same to an input with an axis more, else None."""
    name, axis = inner.class_name, inner.config.get("axis", -1)
    if name in {"BatchNormalization", "LayerNormalization", "Softmax", "UnitNormalization"}:
        last = axis in (-1, [-1], rank, [rank])
        return replace(inner, config={**inner.config, "axis": -1}) if last else None
    return inner if name in {"Dense", "Activation", "Dropout", "ELU", "LeakyReLU", "ReLU", "Rescaling"} else None


def _unrolled(call: Call, inner: Layer, steps: int, shape: tuple[int, ...]) -> str:
    made = []
    for step in range(steps):
        cut = {"axes": (1,), "starts": (step,), "ends": (step + 1,), "steps": (1,)}
        source = call.then(*call.inputs, part=f"{step}/step").emit("Slice", cut)
        source = call.then(source, part=f"{step}/input").reshape(shape)
        output = _call(call, inner, f"{call.name}/{step}", source)
        kept = call.then(output, part=f"{step}/output")
        made.append(kept.reshape((1, *kept.shape)))
    return call.then(*made).emit("Concat", {"axis": 1}) if len(made) > 1 else made[0]


def bidirectional(call: Call) -> str | tuple[str, ...]:
    """Layer Bidirectional: the outputs of two recurrent layers merged, of which one reads backwards."""
    forward, backward = _both(call)
    sequences = flag(forward, "return_sequences", default=False)
    if sequences != flag(backward, "return_sequences", default=False):
        raise refuse(call.layer, "backward_layer", "a layer with the same return_sequences as the other")
    merge = call.layer.config.get("merge_mode", "concat")
    mask = call.mask
    states = _initial(call)
    made = []
    for layer, own in zip((forward, backward), states, strict=True):
        inner = replace(call, layer=layer, name=f"{call.name}/{layer.name}", inputs=call.inputs[:1])
        made.append(run(inner, mask, own))
    first, second = made[0][0], made[1][0]
    if sequences:
        steps = call.builder.shapes[second][0]
        back = {"axes": (1,), "starts": (steps - 1,), "ends": (-steps - 1,), "steps": (-1,)}
        second = call.then(second, part="reversed").emit("Slice", back)
    outputs: tuple[str, ...] = (first, second)
    if merge is not None:
        outputs = (_merged(call, choice(call.layer, "merge_mode", tuple(MERGES), "concat"), first, second),)
    if mask is not None and sequences:
        call.builder.masks |= dict.fromkeys(outputs, mask)
    outputs = (*outputs, *made[0][1:], *made[1][1:])
    return outputs if len(outputs) > 1 else outputs[0]


def _merged(call: Call, mode: str, first: str, second: str) -> str:
    if mode == "concat":
        return call.then(first, second).emit("Concat", {"axis": len(call.builder.shapes[first])})
    if mode == "ave":
        return call.then(call.then(first, second, part="sum").emit("Add")).affine(0.5)
    return call.then(first, second).emit(MERGES[mode])


def _initial(call: Call) -> list[tuple[str, ...] | None]:
    """Split the states that the call is given: the first half is for the layer that reads forward."""
    found = given_states(call)
    if len(found) % 2:
        raise ModelError(f"{call.layer}: it is called with {len(found)} initial states; both layers need as many")
    half = len(found) // 2
    return [found[:half], found[half:]]


def _both(call: Call) -> tuple[Layer, Layer]:
    """Read the two layers; by their names, as Keras changes them, weights are found."""
    config, keras3 = call.layer.config, call.builder.keras3
    forward = read_layer(config.get("layer"), call.layer.path)
    explicit = config.get("backward_layer")
    backward = forward if explicit is None else read_layer(explicit, call.layer.path)
    if explicit is None:
        turned = True if keras3 else not flag(forward, "go_backwards", default=False)
        backward = replace(forward, config={**forward.config, "go_backwards": turned})
    for layer in (forward, backward):
        if layer.class_name not in KINDS or layer.class_name.endswith("Cell"):
            raise refuse(call.layer, "layer", "SimpleRNN, LSTM or GRU")
        check_policy(layer)
        check_options(layer, OPTIONS)
    # with its two halves merged step by step, masked steps are zeros
    extra = {"zero_output_for_mask": flag(forward, "return_sequences", default=False)}
    kept = keras3 and explicit is not None
    return _renamed(forward, "forward_", extra, keras3), _renamed(backward, "" if kept else "backward_", extra, keras3)


def _renamed(layer: Layer, prefix: str, extra: dict[str, Any], keras3: bool) -> Layer:
    name = f"{prefix}{layer.name.removeprefix(prefix) if keras3 else layer.name}"
    return replace(layer, path=(*layer.path[:-1], name), config={**layer.config, **extra})
