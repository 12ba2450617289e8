"""Quantization to a width: a scale for each output unit, rounding errors made good by the weights that follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Dense, Encoding, decode, encode, integers
from refcompress.graph import Graph, Node
from refcompress.passes import calibration
from refcompress.passes.rules import LayerRule, check_number, check_whole, weights_of, with_options
from refcompress.passes.second_order import Array, Layer, prepare

FRACTIONS = np.linspace(1.0, 0.4, 13)  # of a unit's range that its integers may span: larger weights are cut off
MAX_BITS = 8
MOST = 127  # of integer networks, which have no -128


def compensated(
    graph: Graph,
    *,
    inputs: Mapping[str, NDArray[np.float32]],
    bits: int,
    damping: float = 0.01,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Round weights to integers of ``bits`` bits, so that each layer's outputs change least on the samples.

    Layer after layer, from the inputs on, each weight is rounded to the nearest integer, and what the rounding spoils
    is made good by the weights of the same output unit that are not rounded yet, its bias last (GPTQ: Frantar et al.
    2023, section 3). Error is measured on the inputs that the compressed network feeds the layer, against what the
    original network made of its own. Each unit takes the scale, of 13, that leaves it the least error.

    No labels are needed, nothing is trained. :func:`refcompress.quantize_network` keeps the integers.

    Parameters
    ----------
    graph
        The network; fold batch normalization first.
    inputs
        Calibration samples by input name, batch first, float32. 100 to 1000 are usual.
    bits
        Width of the integers, 2 to 8: from -2^(bits - 1) to 2^(bits - 1) - 1, at 8 bits from -127.
    damping
        Added to the diagonal of the second moments, relative to the mean variance of the inputs.
    layers
        Rules for single layers: ``bits`` and ``skip``. A layer that shares its parameters is left as it is.

    Returns
    -------
    Graph
        The same network; weights are linear with a scale for each output unit, biases float32.

    Raises
    ------
    OptionError
        A width or the damping is out of range, or a rule matches no layer.
    DataError
        The inputs do not fit the network.

    Examples
    --------
    >>> from reference_models import digits_cnn
    >>> graph = digits_cnn.build(np.random.default_rng(0))
    >>> x = np.random.default_rng(1).random((64, 8, 8, 1), np.float32)
    >>> small = compensated(graph, inputs={graph.inputs[0].name: x}, bits=3)
    >>> small.params[small.nodes[0].params["weight"]].values.bits
    3

    """
    check_number("damping", damping, 1e-6, 1)
    uses = Counter(name for _, _, name in graph.weights())
    widths: dict[str, int] = {}
    for weight, options in with_options(weights_of(graph), layers, {"bits": bits}):
        check_whole("bits", options["bits"], 2, MAX_BITS, weight.name)
        if all(uses[name] == 1 for name in weight.nodes[0].params.values()):
            widths[weight.nodes[0].name] = options["bits"]
    params: dict[str, Encoding] = {}

    def visit(node: Node, x: NDArray[np.float32], original: NDArray[np.float32]) -> dict[str, Encoding]:
        if node.name not in widths:
            return {}
        old = calibration.params_of(graph, node)
        weight, bias = decode(old["weight"]), decode(old["bias"]) if "bias" in old else None
        found = calibration.moments(node, x, original, weight.shape)
        rounded = _rounded(prepare(weight, bias, found, damping), widths[node.name])
        new: dict[str, Encoding] = {"weight": _linear(rounded, weight.shape, widths[node.name])}
        if bias is not None:
            new["bias"] = encode(rounded.biases.reshape(bias.shape).astype(np.float32))
        params.update({node.params[role]: encoding for role, encoding in new.items()})
        return new

    calibration.walk(graph, calibration.input_activations(graph, inputs), visit)
    return graph.with_params(params)


@dataclass(frozen=True, slots=True, eq=False)
class _Rounded:
    """Integers of a layer (groups, rows, columns), and of each row the scale, the bias that is left and the error."""

    integers: NDArray[np.int64]
    scales: Array
    biases: Array
    errors: Array


def _rounded(layer: Layer, bits: int) -> _Rounded:
    """Round a layer at each scale; take for each unit the best. Columns are in their original order again."""
    half = 1 << (bits - 1)
    low, high = -min(half, MOST), half - 1
    weights = layer.weights[:, :, :-1]
    widest = np.maximum(weights.max(axis=2) / (high + 0.5), -weights.min(axis=2) / (0.5 - low))
    widest = np.where(widest > 0, widest, 1.0)
    best = _at(layer, _as_float32(widest), low, high)
    for fraction in FRACTIONS[1:]:
        tried = _at(layer, _as_float32(fraction * widest), low, high)
        better = tried.errors < best.errors
        best = _Rounded(
            np.where(better[:, :, None], tried.integers, best.integers),
            *(np.where(better, getattr(tried, of), getattr(best, of)) for of in ("scales", "biases", "errors")),
        )
    order = np.broadcast_to(layer.order[:, None], best.integers.shape)
    rows = np.empty_like(best.integers)
    np.put_along_axis(rows, order, best.integers, axis=2)
    return _Rounded(rows, best.scales, best.biases, best.errors)


def _as_float32(scales: Array) -> Array:
    """Round scales as they will be kept."""
    kept = np.maximum(scales.astype(np.float32), np.finfo(np.float32).tiny)
    return kept.astype(np.float64)


def _at(layer: Layer, scales: Array, low: int, high: int) -> _Rounded:
    """Round column by column; what follows makes up for it."""
    columns = layer.order.shape[1]
    left, errors = layer.weights.copy(), np.zeros_like(scales)
    found = np.empty((*scales.shape, columns), np.int64)
    for j in range(columns):
        column, pivot = left[:, :, j], layer.upper[:, None, j, j]
        found[:, :, j] = np.clip(np.round(column / scales), low, high)
        error = (column - scales * found[:, :, j]) / pivot
        errors += error**2
        left[:, :, j + 1 :] -= error[:, :, None] * layer.upper[:, j, None, j + 1 :]
    return _Rounded(found, scales, left[:, :, columns], errors)


def _linear(rounded: _Rounded, shape: tuple[int, ...], bits: int) -> Dense:
    rows = rounded.integers.reshape(-1, rounded.integers.shape[2])
    return integers.from_rows(rows, shape, rounded.scales.reshape(-1).astype(np.float32), bits)
