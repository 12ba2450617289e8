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


def extreme(
    name: str, attrs_type: type[Reduction], function: Callable[..., Array], in_order: Callable[[Array], Array]
) -> Op:
    """Make the row of ReduceMax or ReduceMin.

    Parameters
    ----------
    name, attrs_type
        Of the operator.
    function
        Extreme of an array over axes.
    in_order
        Extreme of each row of (n, m), the elements taken from the first to the last.

    Examples
    --------
    >>> OP.forward(ReduceMax((1,)), [np.array([[1.0, 2.0]])], {})
    array([2.])

    """

    def forward(attrs: Reduction, inputs: Sequence[Array], _params: Params) -> Array:
        return function(inputs[0], axis=attrs.axes, keepdims=attrs.keepdims)

    def exact(attrs: Reduction, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
        """Take the first element, then ``m = x > m ? x : m`` (``<`` for ReduceMin) as they lie in the input."""
        x = inputs[0]
        return in_order(as_rows(x, attrs.axes)).reshape(attrs.reduced(x.shape))

    def error_bound(
        attrs: Reduction,
        inputs: Sequence[Array],
        errors: Sequence[Array],
        params: Params,
        output: Array,
        _gamma: Callable[[int], float],
    ) -> Array:
        """No rounding; an extreme increases with each element, so its own extremes lie at two corners."""
        return monotone_bound(lambda x: forward(attrs, [x], params), inputs[0], errors[0], output)

    return Op(name, attrs_type, infer_shape, forward, exact, extreme_vjp, error_bound, no_macs)


OP = extreme("ReduceMax", ReduceMax, np.max, ordered_max)
