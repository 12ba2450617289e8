"""Steps of optimizers in one pass: NumPy would read and write every array several times.

Each rounding is that of the formula as written, in the dtype of the arrays: nothing is fused or reordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@njit(cache=True, error_model="numpy")
def momentum(params: Array, grads: Array, velocities: Array, scalars: Array, nesterov: bool) -> None:
    """Move parameters by gradient descent with momentum.

    Parameters
    ----------
    params, velocities
        (n,), contiguous, changed in place.
    grads
        (n,), contiguous.
    scalars
        (3,), of the same dtype: momentum, L2 decay, rate.
    nesterov
        Whether to look ahead.

    """
    memory, decay, rate = scalars[0], scalars[1], scalars[2]
    for n in range(len(params)):
        d = grads[n] + decay * params[n]
        v = memory * velocities[n] + d
        velocities[n] = v
        params[n] -= rate * (d + memory * v if nesterov else v)


@njit(cache=True, error_model="numpy")
def adam(params: Array, grads: Array, means: Array, squares: Array, scalars: Array) -> None:
    """Move parameters by Adam's rule.

    Parameters
    ----------
    params, means, squares
        (n,), contiguous, changed in place.
    grads
        (n,), contiguous.
    scalars
        (9,), of the same dtype: factor of the parameter before the step, L2 decay, beta1, 1 - beta1, beta2, 1 - beta2,
        the square root of ``1 - beta2^t``, epsilon, and the rate over ``1 - beta1^t``.

    """
    keep, decay, epsilon, size = scalars[0], scalars[1], scalars[7], scalars[8]
    beta1, rest1, beta2, rest2, spread = scalars[2], scalars[3], scalars[4], scalars[5], scalars[6]
    for n in range(len(params)):
        w = params[n] * keep
        g = grads[n] + decay * w
        m = beta1 * means[n] + rest1 * g
        v = beta2 * squares[n] + rest2 * (g * g)
        means[n] = m
        squares[n] = v
        params[n] = w - size * (m / (np.sqrt(v) / spread + epsilon))
