"""Causes in activation functions: another one, another parameter of it, none at all, or one too many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from refcompress.graph import Node
from refcompress.verify.causes.site import Cause, Site, Variant, attrs_of, followed_by, with_op

# text, operator, attributes; the likeliest first
FUNCTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("no activation", "Dropout", {"ratio": 0.0}),
    ("ReLU", "Relu", {}),
    ("ReLU6", "Clip", {"min": 0.0, "max": 6.0}),
    *((f"a leaky ReLU of slope {slope}", "LeakyRelu", {"alpha": slope}) for slope in (0.01, 0.1, 0.2, 0.3)),
    ("the erf form of GELU", "Gelu", {"approximate": "none"}),
    ("the tanh form of GELU", "Gelu", {"approximate": "tanh"}),
    ("a logistic function", "Sigmoid", {}),
    ("tanh", "Tanh", {}),
    ("a hard sigmoid of slope 1/5 (Keras before 3)", "HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    ("a hard sigmoid of slope 1/6 (Keras 3, PyTorch)", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    ("swish", "Swish", {}),
    ("hard swish", "HardSwish", {}),
    ("softmax", "Softmax", {}),
    ("log softmax", "LogSoftmax", {}),
    ("ELU", "Elu", {"alpha": 1.0}),
    ("SELU", "Selu", {}),
    ("CELU", "Celu", {"alpha": 1.0}),
    ("softplus", "Softplus", {}),
    ("softsign", "Softsign", {}),
    ("mish", "Mish", {}),
    ("exp", "Exp", {}),
    ("the absolute value", "Abs", {}),
    ("values clipped to -1 and 1", "Clip", {"min": -1.0, "max": 1.0}),
    ("values clipped to 0 and 1", "Clip", {"min": 0.0, "max": 1.0}),
)
ACTIVATIONS = frozenset(op for _, op, _ in FUNCTIONS) - {"Dropout"} | {"PRelu", "ThresholdedRelu"}
# what an activation may have been fused to
BEFORE = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "Affine", "Add", "Mul"}
    | {"LayerNormalization", "GroupNormalization", "Concat", "GlobalAveragePool", "AveragePool"}
)
FUSED = 2, 3, 10, 11, 14, 16  # of FUNCTIONS, besides ReLU


def other_function(site: Site) -> Iterator[Variant]:
    """Try another function in the activation's place."""
    for text, op, fields in FUNCTIONS:
        yield from with_op(site, text, op, **fields)


def one_too_many(site: Site) -> Iterator[Variant]:
    """Try an activation where there is none."""
    for index in (1, *FUSED):
        text, op, fields = FUNCTIONS[index]
        yield from followed_by(site, f"an additional activation ({text})", op, **fields)


def softmax_axis(site: Site) -> Iterator[Variant]:
    """Try a softmax over another axis, or over all."""
    shape = site.inputs[0].shape[1:]
    rank = len(shape)
    last = rank
    for axis in range(1, rank):
        perm = list(range(rank + 1))
        perm[axis], perm[last] = perm[last], perm[axis]
        turn = attrs_of("Transpose", perm=tuple(perm))
        if turn is not None:
            yield _between(site, f"softmax over axis {axis}", "Transpose", turn, turn)
    if rank > 1:
        flat = attrs_of("Reshape", shape=(math.prod(shape),))
        yield _between(site, "softmax over all axes", "Reshape", flat, attrs_of("Reshape", shape=shape))


def _between(site: Site, text: str, op: str, before: Any, after: Any) -> Variant:
    node = site.node
    first, second = f"{node.output}?first", f"{node.output}?second"
    return Variant(
        text,
        (
            Node(op, f"{node.name}?before", node.inputs, first, {}, before),
            Node(node.op, node.name, (first,), second, {}, node.attrs),
            Node(op, f"{node.name}?after", (second,), node.output, {}, after),
        ),
    )


CAUSES = (
    Cause("activation", ACTIVATIONS, other_function),
    Cause("axis of softmax", frozenset({"Softmax", "LogSoftmax"}), softmax_axis),
    Cause("an activation too many", BEFORE, one_too_many),
)
