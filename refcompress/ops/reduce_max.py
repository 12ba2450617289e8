"""ReduceMax: the maximum over some axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.axes import as_rows, ordered_max
from refcompress.ops.base import Array, Op, Params
from refcompress.ops.elementwise import monotone_bound, no_macs
from refcompress.ops.reductions import Reduction, extreme_vjp, infer_shape


@dataclass(frozen=True, slots=True)
class ReduceMax(Reduction):
    """Attributes of ReduceMax: see :class:`refcompress.ops.reductions.Reduction`.

    Examples
    --------
    >>> ReduceMax((1, 2)).keepdims
    False

    """


def forward(attrs: ReduceMax, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the maximum.

    Examples
    --------
    >>> forward(ReduceMax((1,)), [np.array([[1.0, 2.0]])], {})
    array([2.])

    """
    result: Array = inputs[0].max(attrs.axes, keepdims=attrs.keepdims)
    return result


def exact(attrs: ReduceMax, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Take the first element, then ``m = x > m ? x : m`` in the order in which they lie in the input."""
    x = inputs[0]
    return ordered_max(as_rows(x, attrs.axes)).reshape(attrs.reduced(x.shape))


def error_bound(
    attrs: ReduceMax,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding; the maximum increases with each element, so its extremes lie at two corners."""
    return monotone_bound(lambda x: forward(attrs, [x], params), inputs[0], errors[0], output)


OP = Op("ReduceMax", ReduceMax, infer_shape, forward, exact, extreme_vjp, error_bound, no_macs)
