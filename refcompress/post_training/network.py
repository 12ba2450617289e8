"""Full-integer quantization of a trained network by calibration samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode, encode, integers
from refcompress.errors import DataError, ModelError, OptionError
from refcompress.graph import Graph, Node
from refcompress.integer import IntegerNetwork, Quantization, real_bias
from refcompress.integer.quantization import round_half_away
from refcompress.integer.spans import Span
from refcompress.passes import quantize
from refcompress.passes.rewrite import fresh, with_nodes
from refcompress.passes.rules import LayerRule, check_choice, check_number, check_whole
from refcompress.post_training.histograms import observe
from refcompress.post_training.integer_form import integer_form
from refcompress.post_training.integer_weights import Scales, integer_weight, least_scales, with_weight_options
from refcompress.post_training.ranges import RANGES, Ranges, range_of
from refcompress.post_training.shared_scales import groups, rescaled
from refcompress.run import DEFAULT_BATCH, Inputs

INT32_MAX = (1 << 31) - 1


def quantize_network(
    graph: Graph,
    calibration: Inputs | None = None,
    *,
    ranges: Ranges = "minmax",
    percentile: float = 99.99,
    quantizations: Mapping[str, Quantization] | None = None,
    weight_bits: int = 8,
    weight_ranges: quantize.Range = "minmax",
    conv_scales: Scales = "channel",
    gemm_scales: Scales = "channel",
    keep_shared: bool = True,
    bias_bits: int = 32,
    layers: Sequence[LayerRule] = (),
    batch_size: int = DEFAULT_BATCH,
) -> IntegerNetwork:
    """Make an integer network of a trained one, after training, as TFLite's quantization specification defines it.

    Batch normalization is folded. Activations get one scale and zero point each, from what they are on the calibration
    samples in float32; those that an operator only moves or chooses from share one, and what Softmax, Sigmoid and Tanh
    make has the one that the specification gives. Weights are symmetric, without -128 (at 8 bits), and where they are
    0 their integers are. Biases are 32-bit integers in steps of (input scale * weight scale); a weight scale so small
    that its bias would exceed 2^30 is widened. Relu and Clip become clamps of the sum, convolution or product before
    them. The result does not depend on whose roundings it will be run with.

    Parameters
    ----------
    graph
        The network, of operators that have an integer form. Weights may be pruned, shared or quantized.
    calibration
        Inputs as the network is fed in use, some hundreds as a rule: one array, a sequence of arrays in the order of
        the inputs, or a mapping from their names; batch first. No labels are needed. None where ``quantizations``
        names every activation.
    ranges
        What the integers of an activation span. ``"minmax"``: all values seen. ``"percentile"``: the ``percentile`` of
        a hundred in the middle. ``"mse"``: the range with the least squared error
        (:func:`refcompress.post_training.ranges.least_error`). All hold 0. What moves activations of several
        origins (Concat) spans the ranges of all.
    percentile
        50 to 100; for the second.
    quantizations
        Those of activations that are known already: what a training simulated
        (:attr:`refcompress.train.Fitted.quantizations`). Calibration has no say in them.
    weight_bits
        Width of the weights' integers, 2 to 8.
    weight_ranges
        What they span: ``"minmax"``, or with ``"mse"`` the share of that with the least squared error.
    conv_scales, gemm_scales
        One weight scale for each output unit (``"channel"``), or one for the ``"tensor"`` (what TFLite's
        specification had for fully connected layers, and its converter did, until 2024).
    keep_shared
        Whether shared weights stay shared and quantized ones keep their integers. Shared weights have one scale: of
        (largest centroid) / k for k = 1 ... 127, the one with the least squared error; their centroids are int8. They
        take no notice of ``weight_bits``.
    bias_bits
        Width of the biases, 8 to 32: those of a layer become multiples of the least whole number that lets so many bits
        count them. Exported C stores multiples of 8 bits in a byte each where sparse weights have Huffman codes.
    layers
        Rules for single layers: ``weight_bits``, ``weight_ranges``, ``scales`` and ``keep_shared``.
    batch_size
        Calibration samples run together.

    Returns
    -------
    IntegerNetwork
        Inputs, outputs and layers keep their names. :func:`refcompress.integer.smallest` stores it in the fewest bytes.

    Raises
    ------
    ModelError
        An operator has no integer form, a weight is not finite, or a sum could exceed 32 bits.
    DataError
        The samples do not fit the network, or an activation is not finite.
    OptionError
        An option is out of range, or a rule matches no layer.

    References
    ----------
    TensorFlow Lite 8-bit quantization specification; Jacob et al. 2018, "Quantization and training of neural networks
    for efficient integer-arithmetic-only inference", sections 2 and 3.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.integer import dequantize, quantize, run_integer
    >>> from refcompress.ops import NoAttrs
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs()),)
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {"w": encode([[1.0], [-0.5]])})
    >>> network = quantize_network(graph, [[0.0, 1.0], [2.0, 0.5], [-1.0, 3.0]])
    >>> y, = run_integer(network, quantize([[2.0, 1.0]], network.quantizations["x"]))
    >>> dequantize(y, network.quantizations["y"])
    array([[1.4833335]], dtype=float32)

    """
    defaults = {"weight_bits": weight_bits, "weight_ranges": weight_ranges, "keep_shared": keep_shared}
    check_whole("bias_bits", bias_bits, 8, 32)
    form = prepared(graph)
    chosen = list(with_weight_options(form, layers, defaults, {"Conv": conv_scales, "Gemm": gemm_scales}))
    known = quantizations or {}
    tied = observed(form, calibration, ranges=ranges, percentile=percentile, known=known, batch_size=batch_size)
    found = {name: each.quantization for each in tied for name in each.members}
    input_scales = {node.name: found[node.inputs[0]].scale for node in form.nodes if node.params}
    weights: dict[str, Encoding] = {
        weight.name: integer_weight(weight, least_scales(form, weight, input_scales), options)
        for weight, options in chosen
    }
    biases, real = _biases(form, weights, input_scales, bias_bits)
    network = IntegerNetwork(form.with_params({**weights, **real}), found, biases)
    _check_sums(network)
    return network


def prepared(graph: Graph) -> Graph:
    """Return a network in the operators of integer networks, each layer with a bias of its own.

    Parameters
    ----------
    graph
        Any network; one that this function returned comes back as it is.

    Raises
    ------
    ModelError
        An operator has no integer form.

    """
    return _with_own_biases(rescaled(integer_form(graph)))


def observed(
    form: Graph,
    calibration: Inputs | None,
    *,
    ranges: Ranges,
    percentile: float,
    known: Mapping[str, Quantization],
    batch_size: int = DEFAULT_BATCH,
) -> tuple[Span, ...]:
    """Return which activations have one quantization, with the ranges that calibration samples show.

    Parameters
    ----------
    form
        What :func:`prepared` returned.
    calibration, ranges, percentile, batch_size
        As :func:`quantize_network` takes them.
    known
        Quantizations that are given; one of any member is that of all.

    Raises
    ------
    OptionError
        An option is out of range, or what is known does not fit.
    DataError
        The samples do not fit, or there are none where some are needed.

    """
    check_choice("ranges", ranges, RANGES)
    check_number("percentile", percentile, 50, 100)
    tied = [_with_known(each, known) for each in groups(form)]
    unknown = sorted(set(known) - {name for each in tied for name in each.members})
    if unknown:
        raise OptionError(f"a quantization of {unknown[0]!r}, which is no quantized activation of the network")
    watched = [name for each in tied if each.given is None for name in each.sources]
    if not watched:
        return tuple(tied)
    if calibration is None:
        raise DataError(f"calibration samples are needed for the range of {watched[0]!r}; give some inputs")
    seen = observe(form, watched, calibration, batch_size=batch_size, counts=ranges != "minmax")
    ends = {name: range_of(histogram, ranges, percentile) for name, histogram in seen.items()}
    return tuple(each if each.given else _spanning(each, [ends[name] for name in each.sources]) for each in tied)


def _with_known(span: Span, known: Mapping[str, Quantization]) -> Span:
    given = {known[name] for name in span.members if name in known} | ({span.given} if span.given else set())
    if len(given) > 1:
        raise OptionError(f"{', '.join(span.members)} have one quantization; given are {sorted(map(str, given))}")
    return replace(span, given=next(iter(given), None))


def _spanning(span: Span, ends: Sequence[tuple[float, float]]) -> Span:
    return replace(span, low=min(low for low, _ in ends), high=max(high for _, high in ends))


def _with_own_biases(graph: Graph) -> Graph:
    """Give each layer a bias of its own: the integers of one depend on the scale of the layer's input."""
    users = Counter(name for _, _, name in graph.weights())
    nodes: list[Node] = []
    added: dict[str, Encoding] = {}
    for node in graph.nodes:
        name = node.params.get("bias")
        if name is not None and users[name] > 1:
            own = fresh(f"{node.name}/bias", {**graph.params, **added})
            added[own] = graph.params[name]
            nodes.append(replace(node, params={**node.params, "bias": own}))
        else:
            nodes.append(node)
    return with_nodes(graph, nodes, added) if added else graph


def _biases(
    graph: Graph, weights: Mapping[str, Encoding], input_scales: Mapping[str, float], bits: int
) -> tuple[dict[str, NDArray[np.int32]], dict[str, Encoding]]:
    """Return the integers of each bias and what they stand for."""
    biases: dict[str, NDArray[np.int32]] = {}
    real: dict[str, Encoding] = {}
    for node in graph.nodes:
        name = node.params.get("bias")
        if name is None:
            continue
        scales = integers.scales_of(weights[node.params["weight"]])
        steps = input_scales[node.name] * scales.astype(np.float64)
        rounded = round_half_away(decode(graph.params[name]).astype(np.float64) / steps)
        biases[name] = _multiples(rounded, integers.rows_of(weights[node.params["weight"]]), bits).astype(np.int32)
        real[name] = encode(real_bias(biases[name], input_scales[node.name], scales))
    return biases, real


def _multiples(biases: NDArray[np.float64], rows: NDArray[np.int32], bits: int) -> NDArray[np.float64]:
    """Round biases to multiples of the least number of which so many bits count enough; not those without weights."""
    used = np.asarray(rows.any(axis=1))
    step = max(1.0, float(np.ceil(np.abs(biases[used]).max(initial=0) / ((1 << bits - 1) - 1))))
    return np.where(used, round_half_away(biases / step) * step, biases)


def _check_sums(network: IntegerNetwork) -> None:
    """Refuse layers whose sums could leave 32 bits: some ten thousands of inputs, all of the same sign."""
    for step in network.steps:
        if "weight" not in step.params:
            continue
        rows = integers.rows_of(step.params["weight"]).astype(np.int64)
        source = step.inputs[0]
        least, most = source.low - source.zero_point, source.high - source.zero_point
        up, down = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
        bias = np.zeros(len(rows), np.int64) if step.bias is None else step.bias.astype(np.int64)
        reach = np.maximum(np.abs(up * most + down * least + bias), np.abs(up * least + down * most + bias))
        if reach.max(initial=0) > INT32_MAX:
            raise ModelError(
                f"node {step.node.name!r} ({step.node.op}): sums of up to {reach.max()}, beyond 32 bits; give its "
                "layer fewer weight_bits"
            )
