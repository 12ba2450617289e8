"""Error bounds that remember their signs: values, how they depend on the errors of a state, and what is left.

Worst-case bounds multiply |W| with |W| step after step, as if every error met weights of the worst signs, and a
recurrence repeats that until the bound says nothing. Here the error of each value is kept as a linear function of the
errors of the state, plus a rest (affine arithmetic: de Figueiredo and Stolfi 2004), and the errors of the state as an
ellipsoid that contains them, which a linear map takes to an ellipsoid (Kurzhanski and Valyi 1997).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refcompress.ops import gate_functions
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array

CANCELLED = 2.0**-40  # more than float64 loses where slopes cancel, as a share of the bound without signs


LOST = 2.0**-50  # more than float64 loses in a sum of two products, as a share of all its terms


@dataclass(frozen=True, slots=True, eq=False)
class Uncertain:
    """Values of a float32 computation: what they should be, and how far they may be off.

    Sums and products of two are what float32 makes of them, each result rounded.

    Attributes
    ----------
    value
        (batch, n): the float64 reference.
    bound
        (batch, n): the error is at most this.
    slopes
        (batch or 1, n, m): the error is ``slopes @ e``, with e the m errors of the state, ...
    rest
        (batch, n): ... plus at most this.
    gamma
        Relative error of so many roundings.

    """

    value: Array
    bound: Array
    slopes: Array
    rest: Array
    gamma: Callable[[int], float]

    @property
    def size(self) -> Array:
        """Most that the float32 values may amount to."""
        return np.abs(self.value) + self.bound

    def __add__(self, other: Uncertain) -> Uncertain:
        rounding = self.gamma(1) * (self.size + other.size)
        return Uncertain(
            self.value + other.value,
            self.bound + other.bound + rounding,
            self.slopes + other.slopes,
            self.rest + other.rest + rounding,
            self.gamma,
        )

    def __mul__(self, other: Uncertain) -> Uncertain:
        a, b = np.abs(self.value), np.abs(other.value)
        bend = self.bound * other.bound + self.gamma(1) * self.size * other.size + SMALLEST_NORMAL
        return Uncertain(
            self.value * other.value,
            a * other.bound + b * self.bound + bend,
            self.value[..., None] * other.slopes + other.value[..., None] * self.slopes,
            a * other.rest + b * self.rest + bend,
            self.gamma,
        )

    def apply(self, name: str) -> Uncertain:
        """Apply an activation of :data:`refcompress.ops.gate_functions.FUNCTIONS`."""
        x = self.value
        y = gate_functions.forward(name, x)
        slope = gate_functions.vjp(name, x, y, np.ones_like(x))
        bound = gate_functions.error_bound(name, x, self.bound, y, self.gamma)
        rounding = gate_functions.rounding(name, x, self.bound, y, bound, self.gamma)
        rest = np.abs(slope) * self.rest + gate_functions.bend(name, x, self.bound) + rounding
        return Uncertain(y, bound, slope[..., None] * self.slopes, rest, self.gamma)


def blend(z: Uncertain, h: Uncertain, g: Uncertain) -> Uncertain:
    """Return ``z h + (1 - z) g``, also for those who compute ``g + z (h - g)``: three roundings of any of the terms."""
    kept, difference = 1 - z.value, h.value - g.value
    rounding = z.gamma(3) * (z.size * h.size + (1 + z.size) * g.size) + 4 * SMALLEST_NORMAL
    bend = z.bound * (h.bound + g.bound) + rounding

    def weighted(of_z: Array, of_h: Array, of_g: Array) -> Array:
        return np.abs(difference) * of_z + np.abs(z.value) * of_h + np.abs(kept) * of_g + bend

    slopes = difference[..., None] * z.slopes + z.value[..., None] * h.slopes + kept[..., None] * g.slopes
    return Uncertain(
        z.value * h.value + kept * g.value,
        weighted(z.bound, h.bound, g.bound),
        slopes,
        weighted(z.rest, h.rest, g.rest),
        z.gamma,
    )


def tightest(quantity: Uncertain, errors: Array, ellipsoid: Array) -> Array:
    """Return the best bound of a quantity: its own, or what its slopes make of the errors of the state.

    Parameters
    ----------
    quantity
        Its slopes by m errors.
    errors, ellipsoid
        (batch, m) and (batch, m, m): a box and an ellipsoid that both contain the errors of the state.

    """
    sizes = np.einsum("bnm,bm->bn", np.abs(quantity.slopes), errors)
    reach = np.sqrt(_squares(quantity.slopes, ellipsoid))
    signed = np.fmin(sizes, reach) + quantity.rest + CANCELLED * quantity.bound
    return np.asarray(np.fmin(quantity.bound, signed) * FLOAT64_SLACK)


def _squares(slopes: Array, ellipsoid: Array) -> Array:
    """Squares of the largest ``slopes @ v`` for v of an ellipsoid, with what float64 may have lost."""
    sizes = np.einsum("bnm,bm->bn", np.abs(slopes), extent(ellipsoid))
    lost = LOST * ellipsoid.shape[-1] ** 2 * sizes * sizes
    products: Array = ((slopes @ ellipsoid) * slopes).sum(-1)
    return np.asarray(np.maximum(products, 0) + lost)


def box(sizes: Array) -> Array:
    """Ellipsoids, of the least sum of squared axes, that contain boxes.

    An ellipsoid is the set of all ``v`` with ``v^T E^-1 v <= 1`` (its closure where E is singular).

    Parameters
    ----------
    sizes
        (batch, m): half the widths of the boxes.

    Returns
    -------
    NDArray
        (batch, m, m).

    Examples
    --------
    >>> box(np.array([[1.0, 1.0]]))
    array([[[2., 0.],
            [0., 2.]]])

    """
    return _diagonal(sizes * sizes.sum(-1, keepdims=True))


def moved(ellipsoid: Array, slopes: Array, rest: Array) -> Array:
    """Ellipsoids that contain ``slopes @ v + w`` for all v of an ellipsoid and all ``|w| <= rest``.

    The sum of two ellipsoids A and B is contained in ``(1 + b / a) A + (1 + a / b) B`` for any a, b > 0; the square
    roots of the traces make that of the A here and the box B smallest.
    """
    image = slopes @ ellipsoid @ slopes.transpose(0, 2, 1)
    # what float64 may have lost in that product is contained in these axes, by Gershgorin's circles
    sizes = np.einsum("bnm,bm->bn", np.abs(slopes), extent(ellipsoid))
    image += _diagonal(LOST * ellipsoid.shape[-1] ** 2 * sizes * sizes)
    a = np.sqrt(np.trace(image, axis1=1, axis2=2))[:, None]
    b = rest.sum(-1, keepdims=True)
    grown = 1 + np.divide(b, a, out=np.zeros_like(a), where=a > 0)
    image *= grown[..., None]
    return image + _diagonal(rest * (a + b))


def smaller(a: Array, b: Array) -> Array:
    """Return of each pair of ellipsoids the one whose squared axes sum to less; any rather than one of NaN."""
    trace_a, trace_b = (np.trace(ellipsoid, axis1=1, axis2=2) for ellipsoid in (a, b))
    return np.where((trace_a <= trace_b)[:, None, None], a, b)


def extent(ellipsoid: Array) -> Array:
    """How far ellipsoids reach along each axis, (batch, m).

    Examples
    --------
    >>> extent(box(np.array([[1.0, 4.0]]))).round(3)
    array([[2.236, 4.472]])

    """
    return np.asarray(np.sqrt(np.einsum("bmm->bm", ellipsoid)) * FLOAT64_SLACK)


def _diagonal(values: Array) -> Array:
    matrix = np.zeros((*values.shape, values.shape[-1]))
    np.einsum("bmm->bm", matrix)[...] = values
    return matrix
