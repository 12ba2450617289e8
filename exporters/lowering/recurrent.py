"""LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from exporters.lowering.context import Context
from exporters.program import Step, Tensor
from exporters.streams import rows_between
from refcompress.graph import Node

OUTPUTS = {"sequence": 0, "last": 1, "state": 2, "cell": 3}  # RC_OUTPUT_*
# A gate's function -> the runtime's; none for the identity
FUNCTIONS: Mapping[str, str | None] = {
    "elu": "elu_one",
    "exponential": "exp",
    "hard_sigmoid": "hard_sigmoid_sixth",
    "hard_sigmoid_fifth": "hard_sigmoid_fifth",
    "linear": None,
    "relu": "relu",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
    "swish": "swish",
    "tanh": "tanh",
}


def lstm(node: Node, context: Context) -> Iterator[Step]:
    """Lower an LSTM."""
    yield _layer("lstm", node, context, scratch_units=6)


def rnn(node: Node, context: Context) -> Iterator[Step]:
    """Lower an RNN."""
    yield _layer("rnn", node, context, scratch_units=2)


def gru(node: Node, context: Context) -> Iterator[Step]:
    """Lower a GRU; with the reset gate before the product the state's weight is cut before the last gate."""
    if node.attrs.linear_before_reset:
        yield _layer("gru_reset_after", node, context, scratch_units=7)
        return
    step = _layer("gru_reset_before", node, context, scratch_units=4)
    state, units = step.weights["state"], step.weights["state"].encoding.shape[0]
    parts = {"state": (0, 2 * units), "candidate": (2 * units, 3 * units)}
    weights = {
        role: Tensor(f"{state.name}\0{role}", f"{node.name} {role} weight", rows_between(state.encoding, *part))
        for role, part in parts.items()
    }
    yield replace(step, weights={"input": step.weights["input"], **weights})


def _layer(kernel: str, node: Node, context: Context, *, scratch_units: int) -> Step:
    attrs = node.attrs
    x, *more = context.inputs(node)
    roles = [*(["mask"] if attrs.masked else []), *(["state", "cell"] if attrs.initial_state else [])]
    weights = {"input": context.weight(node), "state": context.weight(node, "recurrent_weight")}
    functions = {"activation": FUNCTIONS[attrs.activation]}
    if hasattr(attrs, "recurrent_activation"):
        functions["gate"] = FUNCTIONS[attrs.recurrent_activation]
    return Step(
        kernel,
        node.name,
        (x, *more),
        node.output,
        sizes={
            "steps": context.shape(node)[0],
            "output": OUTPUTS[attrs.output],
            "reverse": int(attrs.reverse),
            "zero_masked": int(attrs.zero_masked),
        },
        arrays=context.arrays(node, "bias", "recurrent_bias"),
        weights=weights,
        functions={role: name for role, name in functions.items() if name is not None},
        given=tuple(roles[: len(more)]),
        scratch_bytes=4 * scratch_units * weights["state"].encoding.shape[0],
    )
