"""Keras's recurrent layers: SimpleRNN, LSTM and GRU, and the layout that cuDNN gives their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Array, Call, Tensor
from refcompress.formats.keras.config import Layer, check_options, flag, integer, refuse
from refcompress.ops.gate_functions import FUNCTIONS


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of recurrent layer.

    Attributes
    ----------
    op
        The operator it becomes.
    gates
        How many matrices stand side by side in its kernels.
    states
        How many arrays are carried from step to step.

    """

    op: str
    gates: int
    states: int


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "CuDNNGRU": Kind("GRU", 3, 1),
        "CuDNNLSTM": Kind("LSTM", 4, 2),
        "GRU": Kind("GRU", 3, 1),
        "GRUCell": Kind("GRU", 3, 1),
        "LSTM": Kind("LSTM", 4, 2),
        "LSTMCell": Kind("LSTM", 4, 2),
        "SimpleRNN": Kind("RNN", 1, 1),
        "SimpleRNNCell": Kind("RNN", 1, 1),
    }
)

OF_CELL = frozenset(
    {"units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "dropout", "recurrent_dropout"}
    | {"implementation", "reset_after"}
)
# the last ones are of Keras 1, which repeats the input's shape, and of Keras 3, which may choose cuDNN
OPTIONS = OF_CELL | {
    *("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "time_major", "zero_output_for_mask"),
    *("input_dim", "input_length", "consume_less", "use_cudnn"),
}


def recurrent(call: Call) -> str | tuple[str, ...]:
    """Layers SimpleRNN, LSTM, GRU, CuDNNLSTM and CuDNNGRU; a stateful one starts from zeros."""
    mask = call.mask
    made = run(call, mask)
    if mask is not None and flag(call.layer, "return_sequences", default=False):
        call.builder.masks[made[0]] = mask
    return made


def wrapped_cell(call: Call) -> str | tuple[str, ...]:
    """Layer RNN around one of Keras's cells."""
    cell = call.layer.config.get("cell")
    config = cell.get("config") if isinstance(cell, dict) else None
    name = cell.get("class_name") if isinstance(cell, dict) else None
    if not isinstance(config, dict) or not isinstance(name, str) or name not in KINDS or not name.endswith("Cell"):
        raise refuse(call.layer, "cell", "SimpleRNNCell, LSTMCell or GRUCell")
    inner = Layer(call.layer.path, name, config)
    check_options(inner, OF_CELL)
    own = {option: value for option, value in call.layer.config.items() if option != "cell"}
    layer = replace(inner, class_name=name.removesuffix("Cell"), config={**config, **own})
    return recurrent(replace(call, layer=layer))


def run(call: Call, mask: str | None, states: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Add the nodes of a recurrent layer.

    Parameters
    ----------
    call
        Of the layer.
    mask
        Of its first input, or None.
    states
        Activations to start from; by default those that the call is given, or zeros.

    Returns
    -------
    tuple of str
        The sequence or the last output, and the states if ``return_state``.

    """
    kind = KINDS[call.layer.class_name]
    if flag(call.layer, "time_major", default=False):
        raise refuse(call.layer, "time_major", "false", "rebuild the model with the batch first")
    sequences = flag(call.layer, "return_sequences", default=False)
    states = _initial(call, kind) if states is None else states
    attrs = _attrs(call, kind, masked=mask is not None, initial=bool(states))
    params = _params(call, kind)
    inputs = (call.inputs[0], *(() if mask is None else (mask,)), *states)
    made = call.then(*inputs, part=call.part).emit(
        kind.op, {**attrs, "output": "sequence" if sequences else "last"}, params
    )
    if not flag(call.layer, "return_state", default=False):
        return (made,)
    hidden = _hidden(call.then(*inputs), made, sequences, kind, attrs, params)
    if kind.states == 1:
        return made, hidden
    return made, hidden, call.then(*inputs, part="cell").emit(kind.op, {**attrs, "output": "cell"}, params)


def _hidden(
    call: Call, made: str, sequences: bool, kind: Kind, attrs: Mapping[str, Any], params: Mapping[str, str]
) -> str:
    """Return the last hidden state: the last output, unless steps are masked."""
    if attrs["masked"]:
        return call.then(*call.inputs, part="state").emit(kind.op, {**attrs, "output": "state"}, params)
    if not sequences:
        return made
    steps, units = call.builder.shapes[made]
    cut = {"axes": (1,), "starts": (steps - 1,), "ends": (steps,), "steps": (1,)}
    last = call.then(made, part="last").emit("Slice", cut)
    return call.then(last, part="state").reshape((units,))


def _initial(call: Call, kind: Kind) -> tuple[str, ...]:
    found = given_states(call)
    if len(found) not in {0, kind.states}:
        raise ModelError(f"{call.layer}: it is called with {len(found)} initial states; it has {kind.states}")
    return found


def given_states(call: Call) -> tuple[str, ...]:
    """Return the states that a call is given: behind the input, or as an argument of their own.

    Raises
    ------
    ModelError
        One is no activation.

    """
    given: Any = call.kwargs.get("initial_state")
    if given is None and len(call.args) > 1:
        given = call.args[1]
    if given is None:
        return call.inputs[1:]
    items = given if isinstance(given, list) else [given]
    found = tuple(item.name for item in items if isinstance(item, Tensor))
    if len(found) < len(items):
        raise ModelError(
            f"{call.layer}: its initial state is a constant; make it an input, or leave it out, and save again"
        )
    return found


def _attrs(call: Call, kind: Kind, *, masked: bool, initial: bool) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "activation": _function(call, "activation", "tanh"),
        "reverse": flag(call.layer, "go_backwards", default=False),
        "masked": masked,
        "zero_masked": flag(call.layer, "zero_output_for_mask", default=False),
        "initial_state": initial,
    }
    cudnn = call.layer.class_name.startswith("CuDNN")
    if kind.op != "RNN":
        default = "sigmoid" if cudnn or call.builder.keras3 else "hard_sigmoid"
        attrs["recurrent_activation"] = _function(call, "recurrent_activation", default)
    if kind.op == "GRU":
        attrs["linear_before_reset"] = flag(call.layer, "reset_after", default=cudnn)
    return attrs


def _function(call: Call, option: str, default: str) -> str:
    value = call.layer.config.get(option, default)
    if isinstance(value, dict) and value.get("class_name") == "function":  # as Keras 3 writes it
        value = value.get("config")
    value = "linear" if value is None else value
    name = {"silu": "swish"}.get(value, value) if isinstance(value, str) else ""
    if name == "hard_sigmoid" and not call.builder.keras3:
        name = "hard_sigmoid_fifth"
    if name not in FUNCTIONS:
        allowed = ", ".join(known for known in FUNCTIONS if known != "hard_sigmoid_fifth")
        raise refuse(call.layer, option, f"one of {allowed}", "choose one of these and train again")
    return name


def _params(call: Call, kind: Kind) -> dict[str, str]:
    units, channels = integer(call.layer, "units"), call.shape[-1]
    width = kind.gates * units
    biases = _bias_shapes(call, kind, width)
    stored = call.stored_shape(["bias"], biases, index=2) if biases else ()
    cudnn = len(biases) > 1 and stored == (2 * width,)

    def columns(transform: Callable[[Array], Array]) -> Callable[[Array], Array] | None:
        if not cudnn:
            return None
        return lambda array: np.hstack([transform(gate) for gate in np.hsplit(array, kind.gates)])

    params = {
        "weight": call.param("kernel", ["kernel"], (channels, width), columns(_from_cudnn)),
        "recurrent_weight": call.param("recurrent_kernel", ["recurrent_kernel"], (units, width), columns(np.transpose)),
    }
    return params | _biases(call, stored, width, twice=len(biases) > 1 and kind.op == "GRU")


def _bias_shapes(call: Call, kind: Kind, width: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that the bias may have in the file, Keras's own first, then cuDNN's: two for each gate."""
    if not flag(call.layer, "use_bias", default=True):
        return ()
    if kind.op == "LSTM":
        return (width,), (2 * width,)
    cudnn = call.layer.class_name.startswith("CuDNN")
    if kind.op == "GRU" and flag(call.layer, "reset_after", default=cudnn):
        return (2, width), (2 * width,)
    return ((width,),)


def _biases(call: Call, stored: tuple[int, ...], width: int, *, twice: bool) -> dict[str, str]:
    if not stored:
        return {}
    if not twice:
        convert = None if stored == (width,) else lambda array: array.reshape(2, width).sum(0)
        return {"bias": call.param("bias", ["bias"], stored, convert)}
    # one weight becomes two parameters
    both = call.value(call.param("biases", ["bias"], stored, lambda array: array.reshape(2, width)))
    return {"bias": call.constant("bias", both[0]), "recurrent_bias": call.constant("recurrent_bias", both[1])}


def _from_cudnn(gate: Array) -> Array:
    return gate.T.reshape(gate.shape, order="F")
