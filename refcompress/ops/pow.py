"""Pow: a base to the power of an exponent, of which one may be a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.kernels.exact_pow import pow32
from refcompress.ops import weights
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.broadcasting import (
    aligned,
    broadcast_shape,
    check_parameter,
    summed_to_input,
    summed_to_parameter,
)
from refcompress.ops.elementwise import library_error, no_macs

ROLES = ("base", "exponent")  # what is no input is a parameter; training leaves both kinds as they are


def _infer_shape(attrs: NoAttrs, input_shapes: Sequence[Shape], param_shapes: Mapping[str, Shape]) -> Shape:
    if len(input_shapes) + len(param_shapes) != len(ROLES):
        raise ModelError(
            f"{len(input_shapes)} inputs and the parameters {list(param_shapes)}; it takes two inputs, base and "
            "exponent, or one and a parameter 'base' or 'exponent' in the place of the other"
        )
    for role, shape in param_shapes.items():
        check_parameter(role, shape, input_shapes[0])
    return broadcast_shape(attrs, input_shapes, {})


def _operands(inputs: Sequence[NDArray[Any]], params: Params, dtype: Any) -> list[NDArray[Any]]:
    """Return base and exponent; a parameter stands beside each sample."""
    if not params:
        return aligned(inputs)
    given = {role: weights.array(encoding, dtype) for role, encoding in params.items()}
    return [np.asarray(given.get(role, inputs[0])) for role in ROLES]


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], params: Params) -> Array:
    """Return base ** exponent; infinite or NaN as C's ``pow``."""
    with np.errstate(all="ignore"):
        return np.asarray(np.power(*_operands(inputs, params, inputs[0].dtype)), inputs[0].dtype)


def _exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    base, exponent = _operands(inputs, params, np.float32)
    return pow32(base.astype(np.float32, copy=False), exponent.astype(np.float32, copy=False))


def _vjp(_attrs: NoAttrs, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
    """Return c b x**(b - 1) by the base and c x**b log(x) by the exponent, 0 where x is not positive."""
    base, exponent = _operands(inputs, params, cotangent.dtype)
    with np.errstate(all="ignore"):
        slope = np.where(exponent == 0, 0, exponent * np.power(base, exponent - 1))
        growth = output * np.log(np.where(base > 0, base, 1))
        parts = dict(zip(ROLES, (cotangent * slope, cotangent * growth), strict=True))
    by_role = {role: summed_to_parameter(parts.pop(role), encoding.shape) for role, encoding in params.items()}
    by_input = zip(parts.values(), inputs, strict=True)
    return tuple(summed_to_input(part, x.shape) for part, x in by_input), by_role


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Range over the intervals, plus 8 ULP of the result or what repeated multiplication costs.

    ``y log x`` has its extremes over a rectangle at the corners, and so has the power, for positive x. For whole
    exponents that are exact, x may be negative; the power then turns at 0 at most. A denormal x may be flushed to 0.
    Infinite where x may be negative and y not whole, and where 0 may have a negative power.
    """
    base, exponent = _operands(inputs, params, np.float64)
    moved_base, moved_exponent = (
        [np.zeros(()) if role in params else errors[0] for role in ROLES] if params else aligned(errors)
    )
    low, high = _ends(base, moved_base)
    ends = _ends(exponent, moved_exponent)
    whole = (moved_exponent == 0) & (exponent == np.rint(exponent))
    near = (low < SMALLEST_NORMAL) & (high > -SMALLEST_NORMAL)
    with np.errstate(all="ignore"):
        corners = [(x, y) for x in (low, high, np.where(near, 0.0, low)) for y in ends]
        moved = np.max([np.abs(np.power(x, y) - output) for x, y in corners], axis=0) * FLOAT64_SLACK
        # x**n by multiplications takes at most |n| - 1 of them, and as many roundings of 1 / x if n is negative
        count = np.where(whole, 2 * np.abs(exponent), 0)
        relative = np.maximum(library_error(gamma), np.expm1(count * gamma(1)))
        bound = moved + relative * (np.abs(output) + moved) + SMALLEST_NORMAL
    return np.where(np.isnan(bound) | ((low < 0) & ~whole), np.inf, bound)


def _ends(x: Array, errors: Array) -> tuple[Array, Array]:
    """Return an interval's ends, moved a little further, since sums are rounded themselves."""
    reach = np.where(errors > 0, errors * FLOAT64_SLACK + np.abs(x) * 2.0**-51, 0.0)
    return x - reach, x + reach


OP = Op(
    name="Pow",
    attrs=NoAttrs,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=no_macs,
    roles=ROLES,
    optional_roles=ROLES,
    n_inputs=(1, 2),
)
