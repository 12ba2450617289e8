"""Quantization-aware training: a network learns with the roundings that its integers will make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refcompress.encodings import Codebook, Encoding, IntegerCodebook, decode, integers
from refcompress.encodings.values import MAX_INTEGER_CENTROIDS
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.rounds import Directory, Report
from refcompress.methods.trained_weights import trained_weights
from refcompress.passes import quantize
from refcompress.passes.rules import LayerRule, Weight, check_number
from refcompress.post_training.integer_weights import Scales, integer_weight, with_weight_options
from refcompress.post_training.network import observed, prepared
from refcompress.post_training.ranges import Ranges
from refcompress.train.constraints import Constraint
from refcompress.train.dataset import Dataset
from refcompress.train.plan import Fitted, Plan
from refcompress.train.quantized_weights import QuantizedWeights, WeightGrid
from refcompress.train.samples import calibration_samples
from refcompress.train.simulated_activations import SimulatedActivations
from refcompress.train.tying import Gradient, TiedCentroids


def quantize_aware(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    ranges: Ranges = "minmax",
    percentile: float = 99.99,
    range_memory: float = 0.99,
    weight_bits: int = 8,
    weight_ranges: quantize.Range = "minmax",
    conv_scales: Scales = "channel",
    gemm_scales: Scales = "channel",
    keep_shared: bool = True,
    gradient: Gradient = "sum",
    reassign_every: int = 0,
    layers: Sequence[LayerRule] = (),
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Train a network as the integers that :func:`refcompress.quantize_network` makes of it will compute.

    Batch normalization is folded first, with the moments it has. Then weights and activations are rounded in every
    step, and gradients pass through the roundings. What has learned is what is kept: weights that are integers, and
    the quantizations of the activations, from which ``refcompress.quantize_network(fitted.graph,
    quantizations=fitted.quantizations)`` makes the integer network that was simulated. Biases learn as real numbers;
    they are rounded then, to half a step of their 32 bits.

    Pruned weights stay zero. Shared weights stay shared: their values are rounded to int8, and learn from the gradients
    of all weights that have them (Han, Mao & Dally 2016, section 3.3).

    Parameters
    ----------
    graph
        The network, of operators that have an integer form; it should be trained.
    data
        What to learn from, and what to choose the epoch by. Up to 1024 samples of the former calibrate.
    plan
        How. It has neither constraints nor simulated activations of its own; weights that it freezes are rounded once.
    ranges, percentile
        Of activations when training begins, as :func:`refcompress.quantize_network` takes them.
    range_memory
        How slowly these ranges then follow the least and the largest value of each batch, 0 to 1; 1 for not at all.
    weight_bits, weight_ranges, conv_scales, gemm_scales, keep_shared
        As :func:`refcompress.quantize_network` takes them. With ``"minmax"`` scales follow the largest weights; with
        ``"mse"`` they are chosen when training begins, and held.
    gradient
        What moves a shared value: the ``"sum"`` of its members' gradients, or their ``"mean"``.
    reassign_every
        Steps after which shared weights may change to a nearer value; 0 for never. With two or three values of a layer
        most of what can be learned is which weight has which.
    layers
        Rules for single layers: ``weight_bits``, ``weight_ranges``, ``scales`` and ``keep_shared``.
    directory
        Where the checkpoint is kept; calling again with the same arguments goes on from there. It is made if it is
        missing.
    progress
        Called after each step.

    Returns
    -------
    Fitted
        The network in integer form, the quantizations of its activations, and what each epoch gave.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer, or the plan has constraints.
    ModelError
        An operator has no integer form.
    DataError
        Arrays do not fit the network, or the directory is of another call.

    References
    ----------
    Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    section 3; Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference: a whitepaper",
    section 3.2; Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons for conditional
    computation", section 4.

    Examples
    --------
    >>> from refcompress.post_training import quantize_network
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[0.1, 0.2], [0.2, 0.1]])})
    >>> x, labels = np.eye(2, dtype=np.float32), np.arange(2)
    >>> fitted = quantize_aware(graph, Dataset(x, labels, x, labels), Plan(epochs=40, rate=0.05), weight_bits=2)
    >>> network = quantize_network(fitted.graph, quantizations=fitted.quantizations)
    >>> integers.rows_of(network.graph.params["w"])
    array([[ 1, -1],
           [-1,  1]], dtype=int32)

    """
    if plan.constraints or plan.activations is not None:
        raise OptionError("the plan has constraints or simulated activations; here these follow from the options")
    check_number("range_memory", range_memory, 0, 1)
    defaults = {"weight_bits": weight_bits, "weight_ranges": weight_ranges, "keep_shared": keep_shared}
    form = prepared(graph)
    chosen = list(with_weight_options(form, layers, defaults, {"Conv": conv_scales, "Gemm": gemm_scales}))
    samples = calibration_samples(form, data.inputs)
    spans = observed(form, samples, ranges=ranges, percentile=percentile, known={})
    moving = {weight.name for weight in trained_weights(form, plan)}
    form = form.with_params({weight.name: _rounded(weight, own) for weight, own in chosen if weight.name not in moving})
    tied = TiedCentroids((), gradient, reassign_every, integers=True)
    held = _constraints([(weight, own) for weight, own in chosen if weight.name in moving], tied)
    options = {
        "ranges": ranges,
        "percentile": percentile,
        "range_memory": range_memory,
        "gradient": gradient,
        "reassign_every": reassign_every,
        "weights": {weight.name: own for weight, own in chosen},
    }
    run = rounds.start("train.quantize_aware", options, data, plan, directory, progress)
    activations = SimulatedActivations(spans, range_memory)
    return run.fit(form, 1, replace(plan, constraints=held, activations=activations))


def _constraints(chosen: Sequence[tuple[Weight, Mapping[str, Any]]], tied: TiedCentroids) -> tuple[Constraint, ...]:
    shared = [weight.name for weight, options in chosen if options["keep_shared"] and _is_shared(weight.encoding)]
    grids = {weight.name: _grid(weight, options) for weight, options in chosen if weight.name not in shared}
    return (
        *([replace(tied, names=tuple(shared))] if shared else []),
        *([QuantizedWeights(grids)] if grids else []),
    )


def _is_shared(encoding: Encoding) -> bool:
    few = np.unique(np.append(decode(encoding), np.float32(0))).size <= MAX_INTEGER_CENTROIDS
    return few and isinstance(encoding.values, Codebook | IntegerCodebook)


def _grid(weight: Weight, options: Mapping[str, Any]) -> WeightGrid:
    held = None
    if options["weight_ranges"] == "mse":
        held = integers.scales_of(_rounded(weight, {**options, "keep_shared": False}))
    return WeightGrid(options["weight_bits"], options["scales"], held)


def _rounded(weight: Weight, options: Mapping[str, Any]) -> Encoding:
    return integer_weight(weight, np.zeros(weight.encoding.shape[-1]), options)
