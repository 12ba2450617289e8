"""Div: the first input divided by the second, broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input
from refcompress.ops.elementwise import no_macs

# A reciprocal that hardware approximates to 1 ULP (2 u), and its product with the dividend; one to spare.
ROUNDINGS = 4


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return a / b; infinite or NaN where b is 0.

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([[1.0, 3.0]]), np.array([[2.0]])], {})
    array([[0.5, 1.5]])

    """
    with np.errstate(all="ignore"):
        return np.divide(*aligned(inputs))


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same, rounded to float32 once."""
    with np.errstate(all="ignore"):
        return np.divide(*aligned(inputs))


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Return c / b and -c (a / b) / b, summed over the axes along which an input was repeated."""
    _, divisor = aligned(inputs)
    with np.errstate(all="ignore"):
        scaled = cotangent / divisor
        second = -scaled * output
    return (summed_to_input(scaled, inputs[0].shape), summed_to_input(second, inputs[1].shape)), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound (e_a + |a/b| e_b) / (|b| - e_b) and the rounding; infinite where b may be 0 or denormal.

    A reciprocal that is denormal may be flushed to zero before it meets the dividend.
    """
    (a, b), (a_error, b_error) = aligned(inputs), aligned(errors)
    least = np.abs(b) - b_error
    with np.errstate(all="ignore"):
        moved = (a_error + np.abs(output) * b_error) / least
        rounded = moved + gamma(ROUNDINGS) * (np.abs(output) + moved)
        bound = rounded * FLOAT64_SLACK + SMALLEST_NORMAL * (1 + np.abs(a) + a_error)
        return np.where(least >= SMALLEST_NORMAL, bound, np.inf)


OP = Op("Div", NoAttrs, broadcast_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, 2))
