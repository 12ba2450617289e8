"""Linear quantization: weights on an evenly spaced grid that holds zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Dense, Linear
from refcompress.encodings.rows import matrix_shape
from refcompress.encodings.values import MAX_LINEAR_BITS
from refcompress.graph import Graph
from refcompress.kernels import quantization
from refcompress.passes.rewrite import row_values
from refcompress.passes.rules import LayerRule, Weight, check_choice, check_flag, check_whole, weights_of, with_options

Scheme = Literal["symmetric", "affine"]
Granularity = Literal["tensor", "channel"]
Range = Literal["minmax", "mse"]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Grid = tuple[Floats, Floats]  # scale and zero point of each row

_COARSE = np.arange(15, 1, -1) / 16  # shares of the full range that the search tries first ...
_FINE = np.arange(7, -8, -1) / 128  # ... and then around the best one


def linear(
    graph: Graph,
    *,
    bits: int,
    scheme: Scheme = "symmetric",
    granularity: Granularity = "tensor",
    range: Range = "minmax",  # noqa: A002 - the field's word; the builtin is not needed here
    biases: bool = False,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Round each weight to ``scale * (integer - zero point)``, halves to the even integer.

    Parameters
    ----------
    graph
        A network; normalization is left alone.
    bits
        Bits of an integer, 1 to 16.
    scheme
        ``"symmetric"``: as many levels above zero as below, 2^bits - 1 in all (-127 to 127 at 8 bits), zero point
        2^(bits - 1). ``"affine"``: all 2^bits levels from the smallest weight to the largest one, the range widened to
        hold zero and shifted by less than a step so that zero is a level. Zero is exact in both, so pruned weights
        stay zero. One bit therefore has one level beside zero: the symmetric scheme puts it at the weight of the
        largest magnitude, on its side; for two levels of opposite sign use ``share_weights.kmeans(bits=1)``.
    granularity
        One scale for the ``"tensor"``, or one for each ``"channel"`` (output unit).
    range
        What the levels span. ``"minmax"``: all weights; the error is at most half a step. ``"mse"``: the share of that
        range (tried from 1/8 to 1 in steps of 1/16, then of 1/128 around the best) with the least squared error;
        weights outside get the last level. Never worse than ``"minmax"`` in squared error.
    biases
        Whether to quantize the biases too, each with one scale.
    layers
        Rules for single layers: ``bits``, ``scheme``, ``granularity``, ``range`` and ``skip``.

    Returns
    -------
    Graph
        The same network, each weight ``Dense(Linear)``.

    Raises
    ------
    OptionError
        An option is out of range, or a rule matches no layer.
    ModelError
        A weight holds NaN or infinity.

    References
    ----------
    Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    section 2.1; Krishnamoorthi 2018, "Quantizing deep convolutional networks", section 2.

    Examples
    --------
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, {"w": encode([[-6.0, 0.0, 1.1, 5.0]])})
    >>> decode(linear(graph, bits=3).params["w"])  # -6, -4, ... 6
    array([[-6.,  0.,  2.,  4.]], dtype=float32)

    """
    check_flag("biases", biases)
    defaults = {"bits": bits, "scheme": scheme, "granularity": granularity, "range": range}
    _check(defaults, "")
    roles = ("weight", "bias") if biases else ("weight",)
    chosen = list(with_options(weights_of(graph, roles=roles), layers, defaults))
    for weight, options in chosen:
        _check(options, weight.name)
    return graph.with_params({weight.name: quantized(weight, options) for weight, options in chosen})


def _check(options: dict[str, Any], where: str) -> None:
    check_whole("bits", options["bits"], 1, MAX_LINEAR_BITS, where)
    check_choice("scheme", options["scheme"], get_args(Scheme), where)
    check_choice("granularity", options["granularity"], get_args(Granularity), where)
    check_choice("range", options["range"], get_args(Range), where)


def quantized(weight: Weight, options: Mapping[str, Any]) -> Dense:
    """Return one weight quantized.

    Parameters
    ----------
    weight
        The weight.
    options
        ``bits``, ``scheme``, ``granularity`` and ``range`` of :func:`linear`.

    Raises
    ------
    ModelError
        The weight holds NaN or infinity.

    """
    bits, scheme = options["bits"], options["scheme"]
    shape = weight.encoding.shape
    values = np.ascontiguousarray(row_values(weight))
    matrix = values.reshape(matrix_shape(shape) if options["granularity"] == "channel" else (1, -1))
    low = matrix.min(axis=1, initial=0).astype(np.float64)
    high = matrix.max(axis=1, initial=0).astype(np.float64)
    grid = _grid(low, high, bits, scheme)
    if options["range"] == "mse":
        grid = _least_error(matrix, low, high, bits, scheme)
    stream = Bits(_integers(matrix, grid, bits, scheme).reshape(-1), bits)
    scales, zero_points = grid
    return Dense(shape, Linear(stream, bits, scales.astype(np.float32), zero_points.astype(np.uint16)))


def _grid(low: Floats, high: Floats, bits: int, scheme: Scheme) -> Grid:
    """Scales (float32 numbers) and zero points of levels from low <= 0 to high >= 0."""
    steps = (1 << bits) - 1
    if scheme == "affine":
        scales = _scales(high - low, steps)
        return scales, np.clip(np.rint(-low / scales), 0, steps)
    largest = np.maximum(high, -low)
    if bits == 1:
        return _scales(largest, 1), (high < -low).astype(np.float64)
    half = (1 << (bits - 1)) - 1
    return _scales(largest, half), np.full(low.shape, half + 1.0)


def _scales(spans: Floats, steps: int) -> Floats:
    """Divide spans into steps, in float32; where there is nothing to scale any positive number does."""
    limits = np.finfo(np.float32)
    most = float(limits.max) / steps * (1 - 2**-22)  # so that the last level is finite
    rounded = np.clip(spans / steps, float(limits.smallest_subnormal), most).astype(np.float32)
    return np.where(spans > 0, rounded, np.float32(1)).astype(np.float64)


def _least_error(matrix: Matrix, low: Floats, high: Floats, bits: int, scheme: Scheme) -> Grid:
    """Search the share of the range, for each row, whose grid has the least squared error; ties go to the wider."""
    best_share = np.ones(low.shape)
    grid = _grid(low, high, bits, scheme)
    best = _squared_error(matrix, grid, bits, scheme)
    for offsets in (_COARSE, _FINE):
        centre = best_share if offsets is _FINE else np.zeros(low.shape)
        for offset in offsets:
            share = np.minimum(centre + offset, 1.0)
            error = _squared_error(matrix, _grid(low * share, high * share, bits, scheme), bits, scheme)
            better = error < best
            best, best_share = np.where(better, error, best), np.where(better, share, best_share)
    return _grid(low * best_share, high * best_share, bits, scheme)


def _least_integer(bits: int, scheme: Scheme) -> int:
    return 1 if scheme == "symmetric" and bits > 1 else 0


def _integers(matrix: Matrix, grid: Grid, bits: int, scheme: Scheme) -> NDArray[np.uint16]:
    scales, zero_points = grid
    return quantization.integers(matrix, scales, zero_points, _least_integer(bits, scheme), (1 << bits) - 1)


def _squared_error(matrix: Matrix, grid: Grid, bits: int, scheme: Scheme) -> Floats:
    scales, zero_points = grid
    return quantization.squared_error(matrix, scales, zero_points, _least_integer(bits, scheme), (1 << bits) - 1)
