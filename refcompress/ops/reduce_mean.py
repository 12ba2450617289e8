"""ReduceMean: the mean over some axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.axes import as_rows, ordered_sum
from refcompress.ops.base import Array, Cotangents, Op, Params
from refcompress.ops.elementwise import no_macs
from refcompress.ops.pooling import mean_bound
from refcompress.ops.reductions import Reduction, infer_shape, spread


@dataclass(frozen=True, slots=True)
class ReduceMean(Reduction):
    """Attributes of ReduceMean: see :class:`refcompress.ops.reductions.Reduction`.

    Examples
    --------
    >>> ReduceMean((1, 2)).keepdims
    False

    """


def forward(attrs: ReduceMean, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the mean.

    Examples
    --------
    >>> forward(ReduceMean((1,), keepdims=True), [np.array([[1.0, 2.0]])], {})
    array([[1.5]])

    """
    result: Array = inputs[0].mean(attrs.axes, keepdims=attrs.keepdims)
    return result


def exact(attrs: ReduceMean, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the sum as ReduceSum states it, divided by the float32 count."""
    x = inputs[0]
    total = ordered_sum(as_rows(x, attrs.axes)).reshape(attrs.reduced(x.shape))
    total /= np.float32(attrs.count(x.shape))
    return total


def vjp(attrs: ReduceMean, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
    """Every element of a mean gets an equal share."""
    shape = inputs[0].shape
    return (spread(attrs, cotangent / cotangent.dtype.type(attrs.count(shape)), shape),), {}


def error_bound(
    attrs: ReduceMean,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.pooling.mean_bound`."""
    n = attrs.count(inputs[0].shape)
    return mean_bound(lambda x: forward(attrs, [x], params), inputs[0], errors[0], n, gamma)


OP = Op("ReduceMean", ReduceMean, infer_shape, forward, exact, vjp, error_bound, no_macs)
