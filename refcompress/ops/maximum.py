"""Max: the largest of two or more inputs, element by element, broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input
from refcompress.ops.elementwise import no_macs, pass_where


def extreme(name: str, function: np.ufunc, wins: np.ufunc) -> Op:
    """Make the row of Max or Min.

    Parameters
    ----------
    name
        Of the operator.
    function
        Extreme of two arrays.
    wins
        Tells where a later input replaces the extreme of those before.

    Examples
    --------
    >>> extreme("Max", np.maximum, np.greater).forward(NoAttrs(), [np.array([[1.0, 5.0]]), np.array([[3.0]])], {})
    array([[3., 5.]])

    """

    def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
        result: Array = reduce(function, aligned(inputs))
        return result

    def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
        """Return ``m = a; m = b > m ? b : m; ...`` (``<`` for Min): NaN stays only in first place."""
        with np.errstate(invalid="ignore"):
            return reduce(lambda m, x: np.where(wins(x, m), x, m), aligned(inputs))

    return Op(name, NoAttrs, broadcast_shape, forward, exact, _vjp, _error_bound, no_macs, n_inputs=(2, None))


def _vjp(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params, output: Array, cotangent: Array) -> Cotangents:
    """Pass the cotangent to the first input that is the extreme."""
    left = np.ones(output.shape, np.bool_)
    parts: list[Any] = []
    for x, fitted in zip(inputs, aligned(inputs), strict=True):
        here = left & (fitted == output)
        left &= ~here
        parts.append(summed_to_input(pass_where(here, cotangent), x.shape))
    return tuple(parts), {}


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding. With d the distance of an input from the extreme: outwards max(e - d), inwards min(e + d)."""
    pairs = [(np.abs(output - x), e) for x, e in zip(aligned(inputs), aligned(errors), strict=True)]
    outwards = reduce(np.maximum, [e - d for d, e in pairs])
    inwards = reduce(np.minimum, [e + d for d, e in pairs])
    bound: Array = np.maximum(outwards, inwards) * FLOAT64_SLACK
    return bound


OP = extreme("Max", np.maximum, np.greater)
