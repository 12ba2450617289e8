"""ONNX's RNN, LSTM and GRU: gates brought into our order, each direction a node of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.layout import Group, Tensor, copied, flat, fresh, leaves, size
from refcompress.formats.onnx.network import Constant, Value, compact
from refcompress.formats.onnx.shapes import cut

Array = NDArray[Any]

# ONNX's gates in our order: RNN has one; LSTM i, o, f, c to i, f, c, o; GRU z, r, h as they are
GATES: Mapping[str, tuple[int, ...]] = MappingProxyType({"GRU": (0, 1, 2), "LSTM": (0, 2, 3, 1), "RNN": (0,)})
DEFAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh"), "RNN": ("Tanh",)}
)
# name, alpha and beta (None: it has none) to our name
_ACTIVATIONS: Mapping[tuple[str, float | None, float | None], str] = MappingProxyType(
    {
        ("affine", 1.0, 0.0): "linear",
        ("elu", 1.0, None): "elu",
        ("hardsigmoid", 0.2, 0.5): "hard_sigmoid_fifth",
        ("relu", None, None): "relu",
        ("sigmoid", None, None): "sigmoid",
        ("softplus", None, None): "softplus",
        ("softsign", None, None): "softsign",
        ("tanh", None, None): "tanh",
    }
)
_NUMBERS: Mapping[str, tuple[float | None, float | None]] = MappingProxyType(
    {"affine": (1.0, 0.0), "elu": (1.0, None), "hardsigmoid": (0.2, 0.5)}
)


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """One direction of a recurrence.

    Attributes
    ----------
    index
        0, or 1 for the second one of a bidirectional node.
    attrs
        Attributes of our operator, without the output.
    inputs
        Activations it reads.
    params
        Role to parameter.

    """

    index: int
    attrs: Mapping[str, Any]
    inputs: list[str]
    params: Mapping[str, str]


def recurrent(call: Call) -> list[Value]:
    """Operators RNN, LSTM and GRU."""
    x = call.tensor()
    layout = call.integer("layout", 0)
    if layout not in {0, 1} or len(x.axes) != 3:
        raise ModelError(f"its layout is {layout} and its input has the shape {x.shape}; that is no recurrence")
    batch, time, channels = (leaves(x.axes[i]) for i in ((1, 0, 2) if layout == 0 else (0, 1, 2)))
    if batch != call.samples:
        raise ModelError(
            f"its layout is {layout}, so that axis {1 - layout} of its input is the batch, but the batch (the first "
            "axis of the network's input) is another one; export the model with the batch first"
        )
    _check_options(call, size(time), x.shape[1 - layout])
    name = call.arrange(x, [(call.batch,), time, channels])
    directions = [_direction(call, i, name, size(channels), layout) for i in range(_count(call))]
    units = call.network.params[directions[0].params["recurrent_weight"]].shape[0]
    both, unit = fresh(len(directions)), fresh(units)
    outputs: list[Value] = []
    for i, _ in enumerate(call.outputs):
        if not call.wants(i):
            outputs.append(Constant(np.zeros(0)))  # nobody reads it
        elif i == 0:
            outputs.append(_sequence(call, directions, time, both, unit, layout))
        else:
            outputs.append(_state(call, directions, i, both, unit, layout))
    return outputs


def _count(call: Call) -> int:
    return 2 if call.text("direction", "forward") == "bidirectional" else 1


def _check_options(call: Call, steps: int, samples: int) -> None:
    call.only("input_forget", 0)
    call.ignore("output_sequence", "hidden_size")
    if call.text("direction", "forward") not in {"forward", "reverse", "bidirectional"}:
        raise ModelError(
            f"its direction is {call.text('direction', '')!r}; there are forward, reverse and bidirectional"
        )
    if call.number("clip", 0.0):
        raise ModelError("it clips its gates; that is not supported")
    if call.has(4):
        allowed = {(n,) for n in (*call.network.batches, samples)}
        if any(a.shape not in allowed or (compact(a) != steps).any() for a in call.constant(4).variants):
            raise ModelError(f"its sequence_lens are not all {steps}, the whole length; shorter ones are not supported")
    if call.op == "LSTM" and call.has(7) and bool(call.array(7).any()):
        raise ModelError("it has peepholes; they are not supported")


def _activations(call: Call, index: int) -> tuple[str, ...]:
    """Return our names of the functions of one direction."""
    defaults = DEFAULTS[call.op]
    call.ignore("activations", "activation_alpha", "activation_beta")
    given = call.attrs.get("activations") or list(defaults) * _count(call)
    alphas, betas = ([float(n) for n in call.attrs.get(f"activation_{which}") or []] for which in ("alpha", "beta"))
    if len(given) != len(defaults) * _count(call) or not all(isinstance(name, str) for name in given):
        raise ModelError(f"its activations are {given}; there must be {len(defaults)} for each direction")
    names = []
    for place, activation in enumerate(given):
        alpha, beta = _NUMBERS.get(activation.lower(), (None, None))
        # the lists hold the numbers of those functions only that have any, in the same order
        if alpha is not None and alphas:
            alpha = round(alphas.pop(0), 6)
        if beta is not None and betas:
            beta = round(betas.pop(0), 6)
        key = (activation.lower(), alpha, beta)
        if key not in _ACTIVATIONS:
            raise ModelError(f"its activation {activation!r} with alpha {alpha} and beta {beta} is not supported here")
        if place // len(defaults) == index:
            names.append(_ACTIVATIONS[key])
    return tuple(names)


def _direction(call: Call, index: int, x: str, channels: int, layout: int) -> Direction:
    functions = _activations(call, index)
    if call.op == "LSTM" and functions[1] != functions[2]:
        raise ModelError(f"its activations of the candidate and of the cell are {functions[1:]}; they must be the same")
    attrs: dict[str, Any] = {"activation": functions[-1], "masked": False, "zero_masked": False}
    if call.op != "RNN":
        attrs["recurrent_activation"] = functions[0]
    if call.op == "GRU":
        attrs["linear_before_reset"] = call.integer("linear_before_reset", 0) != 0
    direction = call.text("direction", "forward")
    attrs["reverse"] = direction == "reverse" or index == 1
    params = _params(call, index, channels, two_biases=bool(attrs.get("linear_before_reset")))
    states = _initial(call, index, params, layout)
    attrs["initial_state"] = bool(states)
    return Direction(index, attrs, [x, *states], params)


def _params(call: Call, index: int, channels: int, *, two_biases: bool) -> dict[str, str]:
    """Store the weights of one direction, gates in our order."""
    gates = GATES[call.op]
    w, r = call.array(1), call.array(2)
    units = r.shape[2] if r.ndim == 3 else 0
    rows = len(gates) * units
    if units < 1 or w.shape != (_count(call), rows, channels) or r.shape != (_count(call), rows, units):
        raise ModelError(f"its weights have the shapes {w.shape} and {r.shape}, which do not fit {channels} channels")
    order = np.concatenate([np.arange(units) + gate * units for gate in gates])
    suffix = "" if _count(call) == 1 else f"/{index}"
    params = {
        "weight": call.param(f"weight{suffix}", w[index][order].T, _called(call, 1, suffix)),
        "recurrent_weight": call.param(f"recurrent_weight{suffix}", r[index][order].T, _called(call, 2, suffix)),
    }
    if not call.has(3):
        return params
    b = call.floats(3, (_count(call), 2 * rows))[index]
    of_input, of_state = b[:rows][order], b[rows:][order]
    if two_biases:
        params["bias"] = call.param(f"bias{suffix}", of_input, _called(call, 3, f"{suffix}/W"))
        params["recurrent_bias"] = call.param(f"recurrent_bias{suffix}", of_state, _called(call, 3, f"{suffix}/R"))
    else:
        total = of_input.astype(np.float64) + of_state
        params["bias"] = call.param(f"bias{suffix}", total, _called(call, 3, suffix))
    return params


def _called(call: Call, index: int, suffix: str) -> str:
    source = call.source(index)
    return f"{source}{suffix}" if source else ""


def _initial(call: Call, index: int, params: Mapping[str, str], layout: int) -> list[str]:
    """Return the activations of the initial states of one direction; none if all are zero."""
    count = 2 if call.op == "LSTM" else 1
    values = [call.value(5 + i) if call.has(5 + i) else None for i in range(count)]
    if all(_is_zero(value) for value in values):
        return []
    units = call.network.params[params["recurrent_weight"]].shape[0]
    at_batch, at_direction = (1, 0) if layout == 0 else (0, 1)
    names = []
    for i, value in enumerate(values):
        axes: list[Group] = [(), (), fresh(units)]
        axes[at_batch], axes[at_direction] = call.samples, fresh(_count(call))
        if isinstance(value, Tensor):
            state = call.tensor(5 + i)
        else:
            state = call.activation(value or Constant(np.zeros((1, 1, 1))), axes)
        if state.shape != tuple(map(size, axes)):
            raise ModelError(f"its initial state has the shape {state.shape}; it must be {tuple(map(size, axes))}")
        state = cut(call, state, at_direction, range(index, index + 1), part=f"state{i}_{index}")
        names.append(call.arrange(state, [(call.batch,), leaves(state.axes[2])]))
    return names


def _is_zero(value: Value | None) -> bool:
    return value is None or (isinstance(value, Constant) and not any(compact(array).any() for array in value.variants))


def _ran(call: Call, direction: Direction, output: str, part: str, index: int | None = None) -> str:
    return call.emit(call.op, direction.inputs, {**direction.attrs, "output": output}, direction.params, part, index)


def _sequence(call: Call, directions: list[Direction], time: Group, both: Group, unit: Group, layout: int) -> Tensor:
    """Return the outputs of all steps, (steps, directions, batch, units)."""
    names = []
    steps = copied(time, call.batch)
    for direction in directions:
        flips = direction.attrs["reverse"] and size(time) > 1
        part = ("backward" if direction.index else "forward") if len(directions) > 1 else "steps" if flips else ""
        name = _ran(call, direction, "sequence", part)
        if flips:  # ours stand in the order of processing
            attrs = {"axes": (1,), "starts": (-1,), "ends": (-size(time) - 1,), "steps": (-1,)}
            name = call.emit("Slice", [name], attrs, part="flip" if len(directions) > 1 else "")
        names.append(name)
    name = names[0] if len(names) == 1 else call.emit("Concat", names, {"axis": 2})
    axes = [steps, both, call.samples, unit] if layout == 0 else [call.samples, steps, both, unit]
    return call.made(name, axes, [(call.batch,), steps, flat([both, unit])])


def _state(call: Call, directions: list[Direction], index: int, both: Group, unit: Group, layout: int) -> Tensor:
    """Return the last hidden state or cell, (directions, batch, units)."""
    output = "last" if index == 1 else "cell"
    if len(directions) == 1:
        name = _ran(call, directions[0], output, output, index)
    else:
        names = [_ran(call, direction, output, f"{output}{direction.index}") for direction in directions]
        name = call.emit("Concat", names, {"axis": 1}, part=output, output=index)
    axes = [both, call.samples, unit] if layout == 0 else [call.samples, both, unit]
    return call.made(name, axes, [(call.batch,), flat([both, unit])])


RECURRENT: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {"GRU": recurrent, "LSTM": recurrent, "RNN": recurrent}
)
