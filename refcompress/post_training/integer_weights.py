"""Weights of layers as integers: rounded, or kept as they are where they are shared or integers already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Codebook, Dense, Encoding, IntegerCodebook, Linear, decode, integers
from refcompress.encodings.rows import matrix_shape, to_rows
from refcompress.encodings.values import MAX_INTEGER_CENTROIDS, label_bits
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.integer.quantization import round_half_away
from refcompress.integer.weight_scales import MOST, centroid_steps, scale_without_weights
from refcompress.passes import quantize
from refcompress.passes.rewrite import row_values
from refcompress.passes.rules import LayerRule, Weight, check_choice, check_flag, check_whole, weights_of, with_options

Floats = NDArray[np.float64]
Scales = Literal["channel", "tensor"]
SCALES: tuple[Scales, ...] = get_args(Scales)

MAX_BITS = 8


def with_weight_options(
    graph: Graph, layers: Sequence[LayerRule], defaults: Mapping[str, Any], scales: Mapping[str, Any]
) -> Iterator[tuple[Weight, dict[str, Any]]]:
    """Yield the weights with their options: ``weight_bits``, ``weight_ranges``, ``scales`` and ``keep_shared``.

    Parameters
    ----------
    graph
        A network.
    layers
        Rules for single layers.
    defaults
        Options of layers without a rule, but for ``scales``.
    scales
        Operator to this one's.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer or leaves one out.

    """
    weights = weights_of(graph)
    chosen = list(with_options(weights, layers, {**defaults, "scales": None}))
    left_out = {weight.name for weight in weights} - {weight.name for weight, _ in chosen}
    if left_out:
        raise OptionError(
            f"a rule skips {min(left_out)!r}; in an integer network every layer has integers: give it weight_bits = 8"
        )
    for weight, options in chosen:
        if options["scales"] is None:
            options["scales"] = scales[weight.nodes[0].op]
        check_whole("weight_bits", options["weight_bits"], 2, MAX_BITS, weight.name)
        check_choice("weight_ranges", options["weight_ranges"], get_args(quantize.Range), weight.name)
        check_choice("scales", options["scales"], SCALES, weight.name)
        check_flag("keep_shared", options["keep_shared"], weight.name)
        yield weight, options


def integer_weight(weight: Weight, least: Floats, options: Mapping[str, Any]) -> Dense:
    """Return a weight as integers with one scale, or one for each output unit.

    Parameters
    ----------
    weight
        The weight.
    least
        For each output unit, the least scale at which its bias fits.
    options
        As :func:`with_weight_options` yields them.

    """
    row_values(weight)  # refuses what is not finite
    values = weight.encoding.values
    if options["keep_shared"]:
        if isinstance(values, IntegerCodebook | Linear):
            kept = _kept(weight.encoding, least)
            if kept is not None:
                return kept
        if isinstance(values, Codebook | IntegerCodebook):
            shared = _shared(weight.encoding, float(least.max(initial=0)))
            if shared is not None:
                return shared
    return _rounded(weight, least, options)


def _kept(encoding: Encoding, least: Floats) -> Dense | None:
    """Return integers as they are, if their scales leave room for the biases; that of a unit without any is free."""
    scales, rows = integers.scales_of(encoding), integers.rows_of(encoding)
    if len(scales) > 1:
        free = np.array([scale_without_weights(each) for each in least], np.float32)
        scales = np.where(rows.any(axis=1), scales, free)
    if not (scales > 0).all() or (scales < least).any() or np.abs(rows).max(initial=0) > MOST:
        return None
    if isinstance(encoding.values, IntegerCodebook):
        return _integer_codebook(encoding.shape, rows, float(scales[0]))
    largest = max(int(rows.max(initial=0)), -1 - int(rows.min(initial=0)))
    return integers.from_rows(rows, encoding.shape, scales, max(2, largest.bit_length() + 1))


def _shared(encoding: Encoding, least: float) -> Dense | None:
    """Return shared weights with integers for centroids; None if there are more of them than integers."""
    rows = to_rows(decode(encoding)).astype(np.float64)
    centroids, labels, counts = np.unique(rows, return_inverse=True, return_counts=True)
    if not 0 < centroids.size <= MAX_INTEGER_CENTROIDS:
        return None
    steps, scale = centroid_steps(centroids, counts, least)
    return _integer_codebook(encoding.shape, steps[labels.reshape(rows.shape)], scale)


def _integer_codebook(shape: tuple[int, ...], rows: NDArray[np.integer], scale: float) -> Dense:
    distinct, labels = np.unique(rows, return_inverse=True)
    stream = Bits(labels.reshape(-1).astype(np.uint16), label_bits(distinct.size))
    return Dense(shape, IntegerCodebook(distinct.astype(np.int8), scale, stream))


def _rounded(weight: Weight, least: Floats, options: Mapping[str, Any]) -> Dense:
    bits, shape = options["weight_bits"], weight.encoding.shape
    most = (1 << (bits - 1)) - 1
    found = quantize.quantized(
        weight,
        {"bits": bits, "scheme": "symmetric", "granularity": options["scales"], "range": options["weight_ranges"]},
    )
    values = to_rows(decode(weight.encoding)).reshape(matrix_shape(shape)).astype(np.float64)
    used = values.any(axis=1)
    if options["scales"] == "tensor":
        least, used = least.max(initial=0, keepdims=True), used.any(keepdims=True)
    without = np.array([scale_without_weights(each) for each in least])
    scales = np.where(used, np.maximum(integers.scales_of(found), least), without).astype(np.float32)
    rows = np.clip(round_half_away(values / scales.astype(np.float64)[:, None]), -most, most)
    return integers.from_rows(rows.astype(np.int32), shape, scales, bits)


def least_scales(graph: Graph, weight: Weight, input_scales: Mapping[str, float]) -> Floats:
    """Return for each output unit the scale at which its largest bias is 2^30.

    A smaller scale would leave the sums of products no room in 32 bits (TFLite's converter widens scales likewise).

    Parameters
    ----------
    graph
        The network.
    weight
        A weight and the layers that use it.
    input_scales
        Name of a layer to the scale of its input.

    """
    least = np.zeros(weight.encoding.shape[-1])
    for node in weight.nodes:
        if "bias" in node.params:
            bias = np.abs(decode(graph.params[node.params["bias"]]).astype(np.float64))
            least = np.maximum(least, bias / (input_scales[node.name] * 2.0**30))
    return least
