"""Scales of weights that are integers: of shared values, and of units without weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcompress.integer.quantization import round_half_away

Floats = NDArray[np.float64]

MOST = 127  # -128 is left out, so that products of two weights fit into 15 bits
BIAS_BITS = 15  # of the bias of a unit all of whose weights are 0


def centroid_steps(
    centroids: Floats, counts: NDArray[np.integer], least: float = 0.0
) -> tuple[NDArray[np.int64], float]:
    """Return shared values as integers, and the scale of these.

    Of the scales (largest centroid) / k for k = 1 ... 127, the one with the least squared error over all weights, the
    largest on a tie: where the centroids are multiples of a step already, this step.

    Parameters
    ----------
    centroids
        Shared values, at least one.
    counts
        How many weights have each.
    least
        The scale is no smaller.

    Examples
    --------
    >>> centroid_steps(np.array([-0.5, 0.0, 1.0]), np.array([3, 9, 2]))
    (array([-1,  0,  2]), 0.5)

    """
    largest = float(np.abs(centroids).max())
    scales = _as_float32(largest / np.arange(1, MOST + 1))
    scales = scales[(scales >= least) & (scales > 0)]
    if not scales.size:
        scales = _as_float32(np.array([least if largest else scale_without_weights(least)]))
    steps = np.clip(round_half_away(centroids / scales[:, None]), -MOST, MOST)
    errors = ((centroids - steps * scales[:, None]) ** 2 * counts).sum(axis=1)
    alike = ((centroids * 2.0**-22) ** 2 * counts).sum()  # what roundings of the centroids to float32 make
    best = int(np.argmax(errors <= errors.min() + alike))
    return steps[best].astype(np.int64), float(scales[best])


def _as_float32(scales: Floats) -> Floats:
    """Round scales as they will be kept, to the nearest float32."""
    return scales.astype(np.float32).astype(np.float64)


def scale_without_weights(least: float) -> float:
    """Return a scale where there are only zeros: it serves the bias alone, and gives it 15 bits.

    Parameters
    ----------
    least
        The least scale at which the bias fits into 31 bits.

    Examples
    --------
    >>> scale_without_weights(0.0), scale_without_weights(2.0**-20)
    (1.0, 0.03125)

    """
    return least * 2.0**BIAS_BITS if least else 1.0
