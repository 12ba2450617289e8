"""ReduceSum: the sum over some axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.axes import as_rows, ordered_sum
from refcompress.ops.base import Array, Cotangents, Op, Params
from refcompress.ops.elementwise import no_macs
from refcompress.ops.reductions import Reduction, infer_shape, spread, sum_bound


@dataclass(frozen=True, slots=True)
class ReduceSum(Reduction):
    """Attributes of ReduceSum: see :class:`refcompress.ops.reductions.Reduction`.

    Examples
    --------
    >>> ReduceSum((1, 2)).keepdims
    False

    """


def forward(attrs: ReduceSum, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the sum.

    Examples
    --------
    >>> forward(ReduceSum((1,)), [np.array([[1.0, 2.0]])], {})
    array([3.])

    """
    result: Array = inputs[0].sum(attrs.axes, keepdims=attrs.keepdims)
    return result


def exact(attrs: ReduceSum, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Start at 0.0f and add the elements in the order in which they lie in the input."""
    x = inputs[0]
    return ordered_sum(as_rows(x, attrs.axes)).reshape(attrs.reduced(x.shape))


def vjp(attrs: ReduceSum, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
    """Every element of a sum gets its cotangent."""
    return (spread(attrs, cotangent, inputs[0].shape),), {}


def error_bound(
    attrs: ReduceSum,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Allow for one rounding an element."""
    return sum_bound(attrs, inputs[0], errors[0], attrs.count(inputs[0].shape), gamma)


OP = Op("ReduceSum", ReduceSum, infer_shape, forward, exact, vjp, error_bound, no_macs)
