"""The activations that recurrent layers name: operators on single elements, and how much each one bends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError, did_you_mean
from refcompress.ops import elu, exp, hard_sigmoid, relu, selu, sigmoid, softplus, softsign, swish, tanh
from refcompress.ops.base import FLOAT64_SLACK, Array, NoAttrs, Op, Params
from refcompress.ops.elementwise import identity, identity_exact, identity_vjp, no_macs, same_shape


def _identity_bound(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    return errors[0]


_IDENTITY = Op(
    "Identity", NoAttrs, same_shape, identity, identity_exact, identity_vjp, _identity_bound, no_macs
)  # in no table: graphs need none


@dataclass(frozen=True, slots=True)
class GateFunction:
    """A function of one number that gates and candidates of recurrent layers go through.

    Attributes
    ----------
    op, attrs
        The operator that computes it.
    curvature
        The largest absolute second derivative; None where the second derivative is the function itself.
    kinks
        Places where the derivative jumps, and by how much.
    roundings
        Of a number of at most 1, that its computation makes even where its bound is cut.

    """

    op: Op
    attrs: Any = field(default_factory=NoAttrs)
    curvature: float | None = 0.0
    kinks: tuple[tuple[float, float], ...] = ()
    roundings: int = 0


def _hard_sigmoid(slope: float) -> GateFunction:
    attrs = hard_sigmoid.HardSigmoid(slope, 0.5)
    end = attrs.beta / attrs.alpha
    return GateFunction(hard_sigmoid.OP, attrs, kinks=((-end, attrs.alpha), (end, attrs.alpha)), roundings=4)


FUNCTIONS: Mapping[str, GateFunction] = MappingProxyType(
    {
        "elu": GateFunction(elu.OP, elu.Elu(1.0), curvature=1.0),
        "exponential": GateFunction(exp.OP, curvature=None),
        "hard_sigmoid": _hard_sigmoid(1 / 6),
        "hard_sigmoid_fifth": _hard_sigmoid(0.2),
        "linear": GateFunction(_IDENTITY),
        "relu": GateFunction(relu.OP, kinks=((0.0, 1.0),)),
        "selu": GateFunction(selu.OP, curvature=selu.SCALE * selu.ALPHA, kinks=((0.0, selu.SCALE * (selu.ALPHA - 1)),)),
        "sigmoid": GateFunction(sigmoid.OP, curvature=0.0963),  # 1 / (6 sqrt 3)
        "softplus": GateFunction(softplus.OP, curvature=0.25),
        "softsign": GateFunction(softsign.OP, curvature=2.0),
        "swish": GateFunction(swish.OP, curvature=0.5),
        "tanh": GateFunction(tanh.OP, curvature=0.77),  # 4 / (3 sqrt 3)
    }
)


def check_function(name: str) -> None:
    """Refuse a name that no function has.

    Raises
    ------
    ModelError
        With the names there are.

    Examples
    --------
    >>> check_function("tahn")
    Traceback (most recent call last):
    ...
    refcompress.errors.ModelError: the activation 'tahn' (did you mean 'tanh'?); there are elu, exponential, ...

    """
    if name not in FUNCTIONS:
        raise ModelError(f"the activation {name!r}{did_you_mean(name, FUNCTIONS)}; there are {', '.join(FUNCTIONS)}")


def forward(name: str, x: Array) -> Array:
    """Compute the function, in the dtype of ``x``.

    Examples
    --------
    >>> forward("hard_sigmoid", np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])

    """
    function = FUNCTIONS[name]
    return function.op.forward(function.attrs, [x], {})


def exact(name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute it in float32 with every rounding in the operator's stated order."""
    function = FUNCTIONS[name]
    return function.op.exact(function.attrs, [x], {})


def vjp(name: str, x: Array, y: Array, cotangent: Array) -> Array:
    """Multiply a cotangent with the derivative; ``y`` is the function of ``x``.

    Examples
    --------
    >>> vjp("tanh", np.zeros(1), np.zeros(1), np.array([3.0]))
    array([3.])

    """
    function = FUNCTIONS[name]
    return function.op.vjp(function.attrs, [x], {}, y, cotangent)[0][0]


def error_bound(name: str, x: Array, error: Array, y: Array, gamma: Callable[[int], float]) -> Array:
    """Bound the error of a float32 computation whose argument is off by at most ``error``."""
    function = FUNCTIONS[name]
    return function.op.error_bound(function.attrs, [x], [error], {}, y, gamma)


def rounding(name: str, x: Array, error: Array, y: Array, bound: Array, gamma: Callable[[int], float]) -> Array:
    """Bound the part of an error bound that the computation of the function itself makes.

    The operator's bound is how far the function moves over the interval, or more, plus what its computation may be
    off anywhere in it. So what is left without the movement to the ends of the interval bounds the second part.
    """
    with np.errstate(invalid="ignore"):
        moved = np.maximum(np.abs(forward(name, x + error) - y), np.abs(forward(name, x - error) - y))
        part: Array = np.maximum(bound - moved, gamma(FUNCTIONS[name].roundings))
    return part


def bend(name: str, x: Array, error: Array) -> Array:
    """Bound how far the function departs from its tangent at x where its argument moves by at most ``error``.

    ``f(x + d) - f(x) - f'(x) d`` is the integral of ``f'(x + s) - f'(x)`` over s from 0 to d: at most half of
    ``d**2`` times the curvature, and at each kink its jump times what of d lies beyond it.

    Examples
    --------
    >>> bend("relu", np.array([-1.0, 0.5]), np.array([0.5, 0.75]))
    array([0.  , 0.25])

    """
    function = FUNCTIONS[name]
    curvature = forward(name, x + error) if function.curvature is None else function.curvature
    total: Array = 0.5 * curvature * error * error * FLOAT64_SLACK
    for place, jump in function.kinks:
        total = total + jump * np.maximum(error - np.abs(x - place), 0)
    return total
