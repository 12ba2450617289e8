"""Clipping: gradients that together are too long are scaled down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError

Array = NDArray[np.floating[Any]]


def global_norm(grads: Mapping[str, Array]) -> float:
    """Euclidean length of all gradients together, summed in float64.

    Examples
    --------
    >>> global_norm({"w": np.array([3.0]), "b": np.array([4.0])})
    5.0

    """
    total = math.fsum(float(np.square(grad, dtype=np.float64).sum()) for grad in grads.values())
    return math.sqrt(total)


def clip_by_global_norm(grads: Mapping[str, Array], limit: float) -> tuple[dict[str, Array], float]:
    """Scale all gradients by one factor so that their length is at most a limit (Pascanu et al. 2013, section 3.2).

    The factor is ``min(1, limit / norm)``. PyTorch's ``clip_grad_norm_`` divides by ``norm + 1e-6`` instead, which
    makes clipped gradients shorter than the limit by that much.

    Parameters
    ----------
    grads
        Name to array, float32 or float64.
    limit
        Greatest length, above 0.

    Returns
    -------
    grads
        The same arrays where nothing was clipped, else new ones.
    norm
        Length before clipping. If it is infinite or NaN the gradients are returned as they are.

    Raises
    ------
    OptionError
        The limit is not above 0.

    Examples
    --------
    >>> clip_by_global_norm({"w": np.array([3.0, 4.0])}, 1.0)
    ({'w': array([0.6, 0.8])}, 5.0)

    """
    if not limit > 0:
        raise OptionError(f"a limit of {limit} for the norm of the gradients; it must be above 0")
    norm = global_norm(grads)
    if not norm > limit or not math.isfinite(norm):
        return dict(grads), norm
    return {name: np.asarray(grad * grad.dtype.type(limit / norm)) for name, grad in grads.items()}, norm
