"""A layer as second-order quantization sees it: what an error in one weight asks of those that are not rounded yet.

Optimal brain quantization: Frantar & Alistarh 2022; GPTQ: Frantar et al. 2023, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.rows import to_rows
from refcompress.errors import DataError
from refcompress.passes.calibration import Moments

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer prepared for quantization, its columns in the order in which they are quantized.

    Attributes
    ----------
    weights
        (groups, rows, columns + 1): weights that fit the compressed network's inputs best; the bias last.
    upper
        (groups, columns + 1, columns + 1): Cholesky factor of the inverse second moments.
    order
        (groups, columns): original column at each place.

    """

    weights: Array
    upper: Array
    order: NDArray[np.int64]


def prepare(weight: NDArray[np.float32], bias: NDArray[np.float32] | None, found: Moments, damping: float) -> Layer:
    """Return a layer's weights, fitted to the inputs it will get, and what rounding one does to those that follow.

    Parameters
    ----------
    weight, bias
        Of the original layer.
    found
        Second moments of its inputs.
    damping
        Added to the diagonal of the second moments, relative to the mean variance of the inputs.

    Raises
    ------
    DataError
        The inputs hardly change, so that nothing can be solved for.

    Examples
    --------
    >>> found = Moments(np.eye(3)[None], np.zeros((1, 3, 3)))
    >>> prepare(np.array([[0.5], [0.25]], np.float32), np.ones(1, np.float32), found, 0.01).weights
    array([[[0.5 , 0.25, 1.  ]]])

    """
    try:
        return _prepared(weight, bias, found, damping)
    except np.linalg.LinAlgError:
        raise DataError(
            "the inputs of a layer hardly change over the calibration samples; give samples that differ more, or raise "
            "damping"
        ) from None


def _prepared(weight: NDArray[np.float32], bias: NDArray[np.float32] | None, found: Moments, damping: float) -> Layer:
    groups, size, _ = found.own.shape
    rows = to_rows(weight).astype(np.float64).reshape(groups, -1, size - 1)
    offsets = np.zeros((*rows.shape[:2], 1)) if bias is None else bias.astype(np.float64).reshape(*rows.shape[:2], 1)
    full = np.concatenate([rows, offsets], axis=2)
    squares = np.diagonal(found.own, axis1=1, axis2=2)[:, :-1]
    means = np.zeros(1) if bias is None else found.own[:, :-1, -1]
    # inputs that never change have no variance; a trace of their squares keeps the moments invertible
    spread = float((squares - means**2).mean() + 1e-6 * squares.mean() + np.finfo(np.float32).tiny)
    extra = np.full((groups, size), damping * spread)
    extra[:, -1] = 1e-9  # the constant needs no damping, but must stay invertible beside a constant input
    own = found.own + extra[:, :, None] * np.eye(size)
    shift = found.shift
    if bias is None:  # nothing may move into a bias that does not exist
        linked = np.ones((size, size))
        linked[-1, :-1] = linked[:-1, -1] = 0
        own, shift = own * linked, shift * linked
    full += full @ shift @ np.linalg.inv(own)
    order = np.argsort(-np.diagonal(own, axis1=1, axis2=2)[:, :-1], axis=1, kind="stable")
    places = np.concatenate([order, np.full((groups, 1), size - 1)], axis=1)
    own = np.take_along_axis(np.take_along_axis(own, places[:, :, None], 1), places[:, None, :], 2)
    upper = np.linalg.cholesky(np.linalg.inv(own)).transpose(0, 2, 1)
    return Layer(np.take_along_axis(full, places[:, None, :], 2), upper, order)
