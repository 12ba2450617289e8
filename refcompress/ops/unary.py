"""What functions of single elements share: a row of OPS made of four short functions, and the range of a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import FLOAT64_SLACK, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.elementwise import no_macs, same_shape

Float32 = NDArray[np.float32]
Gamma = Callable[[int], float]


def unary(
    name: str,
    attrs: type[Any] = NoAttrs,
    *,
    function: Callable[[Any, Array], Array],
    exact: Callable[[Any, Float32], Float32],
    slope: Callable[[Any, Array, Array], Array],
    bound: Callable[[Any, Array, Array, Array, Gamma], Array],
) -> Op:
    """Make a row of OPS for a function of single elements.

    What overflows or is undefined shows as infinity or NaN in the results, without a warning.

    Parameters
    ----------
    name, attrs
        As in :class:`Op`.
    function
        ``(attrs, x) -> y`` in the dtype of x.
    exact
        The same in float32, every rounding in a stated order.
    slope
        ``(attrs, x, y) -> derivative`` in the dtype of x.
    bound
        ``(attrs, x, error of x, y, gamma) -> bound``, see :class:`Op`.

    Examples
    --------
    >>> op = unary("Twice", function=lambda _, x: 2 * x, exact=lambda _, x: 2 * x,
    ...            slope=lambda _, x, y: np.full_like(x, 2), bound=lambda _, x, e, y, gamma: 2 * e)
    >>> op.forward(NoAttrs(), [np.ones(2)], {})
    array([2., 2.])

    """

    def _forward(attrs: Any, inputs: Sequence[Array], _params: Params) -> Array:
        with np.errstate(all="ignore"):
            return function(attrs, inputs[0])

    def _exact(attrs: Any, inputs: Sequence[Float32], _params: Params) -> Float32:
        with np.errstate(all="ignore"):
            return exact(attrs, inputs[0])

    def _vjp(attrs: Any, inputs: Sequence[Array], _params: Params, output: Array, cotangent: Array) -> Cotangents:
        with np.errstate(all="ignore"):
            return (cotangent * slope(attrs, inputs[0], output),), {}

    def _error_bound(
        attrs: Any, inputs: Sequence[Array], errors: Sequence[Array], _params: Params, output: Array, gamma: Gamma
    ) -> Array:
        with np.errstate(all="ignore"):
            return bound(attrs, inputs[0], errors[0], output, gamma)

    return Op(name, attrs, same_shape, _forward, _exact, _vjp, _error_bound, no_macs)


def range_bound(
    function: Callable[[Array], Array], x: Array, errors: Array, output: Array, turns: Sequence[float] = ()
) -> Array:
    """How far a continuous function gets when its argument moves by at most ``errors``.

    Its extremes over the interval lie at the ends, or at points where it turns from falling to rising or back.

    Parameters
    ----------
    function
        In float64.
    x, errors, output
        The argument, how far it moves, and the function's value there.
    turns
        All points where the function turns.

    Examples
    --------
    >>> range_bound(np.square, np.array([1.0, 3.0]), np.array([2.0, 1.0]), np.array([1.0, 9.0]), [0.0]).round(3)
    array([8., 7.])

    """
    # moved a little further, since x + reach is rounded itself
    reach = np.where(errors > 0, errors * FLOAT64_SLACK + np.abs(x) * 2.0**-51, 0.0)
    bound = np.maximum(np.abs(function(x + reach) - output), np.abs(function(x - reach) - output))
    for turn in turns:
        there = np.abs(function(np.full_like(x, turn)) - output)
        bound = np.where(np.abs(x - turn) <= reach, np.maximum(bound, there), bound)
    bound *= FLOAT64_SLACK
    return bound


def keep_as_float32(attrs: Any, *names: str) -> None:
    """Round fields of frozen attributes to the nearest float32, in which networks compute.

    Raises
    ------
    ModelError
        One of them is not finite in float32.

    """
    for name in names:
        given = getattr(attrs, name)
        with np.errstate(over="ignore"):
            value = float(np.float32(given))
        if not math.isfinite(value):
            raise ModelError(f"{name} {given}; it must be a finite number that float32 can hold")
        object.__setattr__(attrs, name, value)
