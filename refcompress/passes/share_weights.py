"""Weight sharing: few distinct values for each weight, found by k-means in one dimension."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from refcompress.encodings import Dense
from refcompress.encodings.values import MAX_CENTROIDS
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.kernels.kmeans import Init, Start
from refcompress.kernels.kmeans import kmeans as cluster
from refcompress.passes.rewrite import row_values, shared
from refcompress.passes.rules import LayerRule, Weight, check_choice, check_flag, check_whole, weights_of, with_options

Zero = Literal["outside", "inside", "clustered"]

MAX_BITS = 12


def kmeans(
    graph: Graph,
    *,
    bits: int,
    init: Init = "optimal",
    zero: Zero = "outside",
    seed: int = 0,
    max_iterations: int = 300,
    biases: bool = False,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Replace each weight by one of at most 2^bits values, chosen by k-means for the least squared error.

    Parameters
    ----------
    graph
        A network; normalization is left alone.
    bits
        Bits of a label, 1 to 12.
    init
        Where the centroids start:

        - ``"linear"``: evenly from the smallest to the largest weight (Han et al.'s choice);
        - ``"density"``: at evenly spaced quantiles;
        - ``"random"``: at weights drawn at random (Forgy);
        - ``"k-means++"``: at weights drawn with the squared distance to the ones before (Arthur & Vassilvitskii 2007);
        - ``"optimal"``: at the optimum, by dynamic programming (Wang & Song 2011). Exact, up to rounding, for a weight
          of fewer than 2^18 values if the distinct ones times 2^bits are at most 2^21; beyond that the optimum on a
          grid of 16 times as many cells as centroids, then improved by Lloyd's iteration: measured on Laplace
          weights, less than 1e-4 above the optimum at 5 bits and 1e-3 at 8 bits.
    zero
        What zeros (pruned weights) are:

        - ``"outside"``: they stay exactly zero, and the others get 2^bits centroids;
        - ``"inside"``: they stay exactly zero, and the others get 2^bits - 1 centroids if there are zeros;
        - ``"clustered"``: values like any other, as in tools that do not keep sparsity.
    seed
        Seed of the random starts, 0 or more. A layer's numbers depend on the seed and its name alone.
    max_iterations
        Most iterations of Lloyd's algorithm, 0 or more. Each assigns the weights to the nearest centroid (the lower
        one, halfway), then moves the centroids to the mean of theirs. Instead of an empty cluster the one with the
        largest squared error is cut at its mean. Weights of 2^18 values and more move in bins of a relative width of
        2^-10 until the end, when each is assigned by itself.
    biases
        Whether to share the biases too, each in a codebook of its own with as many bits as its layer's weight.
    layers
        Rules for single layers: all of these options but the seed, and ``skip``.

    Returns
    -------
    Graph
        The same network, each weight ``Dense(Codebook)`` with increasing centroids, which are the means of their
        weights. A weight with fewer distinct values than centroids has exactly those.

    Raises
    ------
    OptionError
        An option is out of range, or a rule matches no layer.
    ModelError
        A weight holds NaN or infinity.

    References
    ----------
    Han, Mao, Dally 2016, "Deep Compression", section 3.

    Examples
    --------
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, {"w": encode([[1.0, 0.0, 9.0, 3.0, 11.0]])})
    >>> decode(kmeans(graph, bits=1).params["w"])
    array([[ 2.,  0., 10.,  2., 10.]], dtype=float32)

    """
    check_whole("seed", seed, 0, (1 << 63) - 1)
    defaults = {"bits": bits, "init": init, "zero": zero, "max_iterations": max_iterations, "biases": biases}
    _check(defaults, "")
    # a rule may ask for the biases of its layers; where nobody does, it cannot name one by mistake
    asked = biases or any(rule.options.get("biases", False) for rule in layers)
    candidates = weights_of(graph, roles=("weight", "bias") if asked else ("weight",))
    chosen = list(with_options(candidates, layers, defaults))
    for weight, options in chosen:
        _check(options, weight.name)
    weights = {weight.name for weight in weights_of(graph)}
    changed = {}
    for weight, options in chosen:
        if options.pop("biases") or weight.name in weights:
            changed[weight.name] = _shared(weight, seed, **options)
    return graph.with_params(changed)


def _check(options: dict[str, Any], where: str) -> None:
    check_whole("bits", options["bits"], 1, MAX_BITS, where)
    check_choice("init", options["init"], get_args(Init), where)
    check_choice("zero", options["zero"], get_args(Zero), where)
    check_whole("max_iterations", options["max_iterations"], 0, 1 << 30, where)
    check_flag("biases", options["biases"], where)


def _shared(weight: Weight, seed: int, bits: int, init: Init, zero: Zero, max_iterations: int) -> Dense:
    values = row_values(weight)
    clusters = 1 << bits
    if zero == "inside" and not values.all():
        clusters -= 1
    # the bit stream of PCG64 is fixed, and random() takes its upper 53 bits: the same numbers with every NumPy
    uniforms = np.random.Generator(np.random.PCG64([seed, zlib.crc32(weight.name.encode())])).random(clusters)
    start = Start(init, uniforms, max_iterations)
    centroids, labels = cluster(values, clusters, start, zeros_apart=zero != "clustered")
    if len(centroids) > MAX_CENTROIDS:
        raise OptionError(
            f"{bits} bits and a separate zero make {len(centroids)} centroids of {weight.name!r}, more than the "
            f"{MAX_CENTROIDS} of a codebook; take zero='inside' or fewer bits"
        )
    return shared(weight.encoding.shape, centroids, labels)
