"""One integer operator with everything it computes from: a node, fused with the activation behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, Linear, integers
from refcompress.errors import ModelError, OptionError
from refcompress.graph import Node
from refcompress.integer.quantization import Integers, Quantization, round_half_away, saturate
from refcompress.integer.runtimes import Runtime

Activation = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One integer operator.

    Attributes
    ----------
    node
        The operator.
    output
        Name of the activation it makes: the node's own, or that of the activation function fused with it.
    inputs
        Quantizations of what it reads.
    result
        Quantization of what it makes.
    low, high
        Its integers are clamped to this range, by the activation function or the width.
    params
        Role to encoded array.
    bias
        int32, one for each output unit; None if there is none.

    """

    node: Node
    output: str
    inputs: tuple[Quantization, ...]
    result: Quantization
    low: int
    high: int
    params: Mapping[str, Encoding]
    bias: NDArray[np.int32] | None = None

    @property
    def attrs(self) -> Any:
        """The operator's attributes."""
        return self.node.attrs

    def clamp(self, integers: Integers) -> Activation:
        """Return integers within the range of the output."""
        return saturate(integers, self.low, self.high)


@dataclass(frozen=True, slots=True)
class IntegerOp:
    """The integer form of an operator.

    Attributes
    ----------
    forward
        ``(step, inputs, runtime) -> output``, arrays of int8 with the batch axis first.
    check
        Raises ModelError if the step asks for what the operator has no integer form of.
    fuses
        Whether a Relu or a Clip behind it may become its clamp.

    """

    forward: Callable[[Step, Sequence[Activation], Runtime], Activation]
    check: Callable[[Step], None]
    fuses: bool = False


def check_nothing(_step: Step) -> None:
    """Allow all."""


def check_same_quantization(step: Step) -> None:
    """Refuse an operator that only moves integers, where its output counts in other steps than its inputs.

    Raises
    ------
    ModelError
        With both quantizations.

    """
    for quantization in step.inputs:
        if quantization != step.result:
            raise ModelError(
                f"its input has {quantization} and its output {step.result}; they must be the same: "
                "put a rescaling Clip between them"
            )


def check_result(step: Step, scale: float, zero_point: int, *, relative: float = 0.0) -> None:
    """Refuse an output whose quantization is not the one that the arithmetic has built in.

    Raises
    ------
    ModelError
        With what the quantization must be.

    """
    wanted = Quantization(scale, zero_point)
    found = step.result
    close = math.isclose(found.scale, scale, rel_tol=relative, abs_tol=0)
    if not close or (found.zero_point, found.bits) != (zero_point, wanted.bits):
        raise ModelError(f"its output has {found}; it must have {wanted}")


def clamp_range(function: Node | None, quantization: Quantization) -> tuple[int, int]:
    """Return the least and the largest integer that an activation function lets through.

    Its bounds are divided by the scale in float32 and rounded, halves away from zero
    (TFLite's ``CalculateActivationRangeQuantized``).

    Parameters
    ----------
    function
        A Relu or Clip node, or None.
    quantization
        Of the output.

    Examples
    --------
    >>> from refcompress.ops import make_attrs
    >>> relu6 = Node("Clip", "act", ("x",), "y", attrs=make_attrs("Clip", {"min": 0, "max": 6}))
    >>> clamp_range(relu6, Quantization(0.047, -128))
    (-128, 0)

    """
    if function is None:
        return quantization.low, quantization.high
    low = max(quantization.low, _integer(0.0 if function.op == "Relu" else function.attrs.min, quantization))
    if function.op == "Relu":
        return low, quantization.high
    high = min(quantization.high, _integer(function.attrs.max, quantization))
    return low, high


def _integer(bound: float, quantization: Quantization) -> int:
    with np.errstate(over="ignore"):
        steps = round_half_away(np.float32(bound) / np.asarray(quantization.scale, np.float32))
    return quantization.zero_point + int(np.clip(steps, -(2.0**30), 2.0**30))


def integer_rows(encoding: Encoding) -> NDArray[np.float64]:
    """Return the integers of a weight as (output units, columns), float64: exact in any sum of products below 2^53.

    Raises
    ------
    ModelError
        The weight holds no integers.

    Examples
    --------
    >>> from refcompress.encodings import Bits, Dense, Linear
    >>> stream = Bits(np.array([129, 127], np.uint16), 8)
    >>> values = Linear(stream, 8, np.ones(1, np.float32), np.array([128], np.uint16))
    >>> integer_rows(Dense((2, 1), values))
    array([[ 1., -1.]])

    """
    weight_scales(encoding)
    return integers.rows_of(encoding).astype(np.float64)


def weight_scales(encoding: Encoding) -> NDArray[np.float32]:
    """Return the scales of a weight that holds integers: one, or one for each output unit.

    Raises
    ------
    ModelError
        It holds none.

    """
    try:
        return integers.scales_of(encoding)
    except OptionError as error:
        raise ModelError(str(error)) from None


def check_weights(step: Step) -> None:
    """Refuse weights without integers, or wider than 8 bits, or a bias that is not int32 of the right size.

    Raises
    ------
    ModelError
        With what is allowed.

    """
    encoding = step.params["weight"]
    scales, values = weight_scales(encoding), encoding.values
    bits = values.bits if isinstance(values, Linear) else 8
    if bits > 8 or not (scales > 0).all():
        raise ModelError(f"weights of {bits} bits, the least scale {scales.min()}; at most 8, positive")
    units = encoding.shape[-1]
    if step.bias is not None and (step.bias.dtype != np.int32 or step.bias.shape != (units,)):
        raise ModelError(f"a bias of {step.bias.dtype} {step.bias.shape}; it must be int32 ({units},)")
