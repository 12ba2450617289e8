"""Units and channels that no output depends on, or that are constant, cut out of the network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Codebook, Dense, Encoding, Float32, IntegerCodebook, Linear, decode, encode
from refcompress.encodings.rows import to_rows
from refcompress.encodings.values import value_bits
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import infer_shapes
from refcompress.passes.constant_channels import Floats, constant_channels, seen_alike
from refcompress.passes.coupled_channels import Channels, coupled_channels, is_depthwise, is_product, needed_channels
from refcompress.passes.rewrite import fresh, like, shared, with_nodes

Flags = NDArray[np.bool_]

_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class _Product:
    """A Gemm, or a Conv of one group.

    Attributes
    ----------
    node
        The node.
    reads
        Whether an output channel has a weight other than zero for an input channel, (in, out).
    constants
        What the bias can take in place of an input channel: its value where it is constant, NaN elsewhere, (in,).
    sums
        What those of them that are neither NaN nor 0 add to each output channel, (such constants, out).

    """

    node: Node
    reads: Flags
    constants: Floats
    sums: Floats


def remove_dead_units(graph: Graph) -> Graph:
    """Cut out units (of Gemm) and channels (of Conv) that are constant or that nobody reads.

    A channel of an activation is constant if zero weights cut it off from the network's inputs: biases and constants
    are all that it is made of. What a constant adds to the outputs of a layer goes into the layer's bias, summed in
    float64 and rounded to float32 once. A channel is read by nobody if the weights that read it are zero, or belong to
    units that are cut out themselves. Both are followed through all operators, so that a cut may make further cuts
    possible, in both directions.

    Channels that operators or shared parameters tie together go together or stay: those of an Add's inputs, a channel
    and its positions behind a Flatten, a channel and what a depthwise convolution makes of it.

    Parameters
    ----------
    graph
        A network. Its activations must be finite: zero weights take infinity for zero, too.

    Returns
    -------
    Graph
        The network without these units, and without nodes on which no output depends; the same graph where there is
        nothing to cut. Parameters that are not cut keep their encoding; others stay a codebook or integers, dense.
        A bias that a constant went into is float32; one that the layer did not have is called ``NAME/bias``, as is
        the own copy of one that other nodes share.

        Where no constant went into a bias, :func:`refcompress.run.run_exact` gives the same outputs, bit for bit but
        for the sign of zeros; where one did, they differ by roundings: its sum is taken in another order, and rounded
        once. In :func:`refcompress.run.run` sums may be taken in another order in both cases, since shapes change.

    Raises
    ------
    ModelError
        The parts of the network do not fit together.

    Notes
    -----
    What stays, beside the network's inputs and outputs:

    - one unit, with all weights zero, of a layer in which all could go, since no axis may have length 0;
    - a constant other than 0 that a convolution with padding reads, which sees it change to 0 at the borders; likewise
      before Pad, and AveragePool where padding counts; and constants that would overflow the bias;
    - constants that an Add brings to a channel that is not constant, and whatever else shares a channel or a parameter
      with what is needed (it may compute something else than before where no output depends on it);
    - the channels that a convolution of groups reads and makes, unless it is depthwise, and those of a Softmax.

    References
    ----------
    Han et al. 2015, "Learning both weights and connections for efficient neural networks", section 3.5 (neurons
    without inputs or without outputs are removed).

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> nodes = (
    ...     Node("Gemm", "a", ("x",), "h", {"weight": "a/w", "bias": "a/b"}, NoAttrs()),
    ...     Node("Relu", "relu", ("h",), "r", attrs=NoAttrs()),
    ...     Node("Gemm", "b", ("r",), "y", {"weight": "b/w"}, NoAttrs()),
    ... )
    >>> arrays = {"a/w": [[1.0, 0.0, 5.0]], "a/b": [0.0, 2.0, 0.0], "b/w": [[1.0], [3.0], [0.0]]}
    >>> params = {name: encode(array) for name, array in arrays.items()}
    >>> small = remove_dead_units(Graph((TensorSpec("x", (1,)),), ("y",), nodes, params))
    >>> {name: decode(each).tolist() for name, each in small.params.items()}
    {'a/w': [[1.0]], 'a/b': [0.0], 'b/w': [[1.0]], 'b/bias': [6.0]}

    """
    graph = _reachable(graph)
    # once more, since a depthwise convolution of which one channel is left ties its outputs together no longer
    while (smaller := _cut(graph)) is not graph:
        graph = smaller
    return graph


def _reachable(graph: Graph) -> Graph:
    """Drop nodes on which no output depends."""
    needed, nodes = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if node.output in needed:
            nodes.append(node)
            needed.update(node.inputs)
    return graph if len(nodes) == len(graph.nodes) else with_nodes(graph, nodes[::-1], {})


def _cut(graph: Graph) -> Graph:
    shapes = infer_shapes(graph)
    if not graph.nodes:
        return graph
    channels = coupled_channels(graph, shapes)
    values = constant_channels(graph, shapes)
    products = [_product(graph, node, values[node.inputs[0]]) for node in graph.nodes if is_product(node)]
    needed, live = _live(graph, shapes, channels, products)
    kept = live.copy()
    for classes in channels.activations.values():
        if not kept[classes].any():  # no axis has length 0: one channel stays, cut off from the others
            kept[classes[0]] = True
    changed: dict[str, Encoding] = {}
    for name, makes in channels.outputs.items():
        encoding = _rewritten(graph.params[name], channels.inputs[name], makes, live, kept)
        if encoding is not graph.params[name]:
            changed[name] = encoding
    if not changed:
        return graph
    biases = {}
    for product in products:
        gone = ~live[channels.activations[product.node.inputs[0]]]
        bias = _folded(graph, product, gone, needed[product.node.output])
        if bias is not None:
            biases[product.node.name] = bias
    users = Counter(name for _, _, name in graph.weights())
    nodes = []
    for node in graph.nodes:
        resized = _resized(node, channels, kept, shapes)
        if node.name in biases:
            own = node.params.get("bias", "")
            name = own if users.get(own) == 1 else fresh(f"{node.name}/bias", {**graph.params, **changed})
            changed[name] = encode(biases[node.name][kept[channels.activations[node.output]]])
            resized = replace(resized, params={**node.params, "bias": name})
        nodes.append(resized)
    return with_nodes(graph, nodes, changed)


def _product(graph: Graph, node: Node, values: Floats) -> _Product:
    kernel = decode(graph.params[node.params["weight"]])
    kernel = kernel.reshape(-1, *kernel.shape[-2:])
    constants = np.where(seen_alike(node, values), values, np.nan)
    adds = np.nan_to_num(constants) != 0
    sums = constants[adds][:, None] * kernel[:, adds].sum(0, dtype=np.float64)
    bias = decode(graph.params[node.params["bias"]]) if "bias" in node.params else np.float32(0)
    if not (np.abs(sums).sum(0) + np.abs(bias) <= _MAX).all():
        constants[adds], sums = np.nan, sums[:0]
    return _Product(node, (kernel != 0).any(0), constants, sums)


def _live(
    graph: Graph, shapes: Mapping[str, Shape], channels: Channels, products: Sequence[_Product]
) -> tuple[Mapping[str, Flags], Flags]:
    """Tell which channels outputs depend on in a way that no bias can take over, and which classes hold such ones."""
    live, count = channels.fixed.copy(), -1
    needed: Mapping[str, Flags] = {}
    while count != (count := int(np.count_nonzero(live))):
        reads = {}
        for product in products:
            # no bias takes over what stays: its value counts
            stays = live[channels.activations[product.node.inputs[0]]]
            reads[product.node.name] = product.reads & (stays | np.isnan(product.constants))[:, None]
        needed = needed_channels(graph, shapes, reads)
        for name, flags in needed.items():
            live[channels.activations[name][flags]] = True
    return needed, live


def _folded(graph: Graph, product: _Product, gone: Flags, needed: Flags) -> NDArray[np.float32] | None:
    """Bias of all units with what the constants add that go; None where no unit that is needed changes."""
    adds = np.nan_to_num(product.constants) != 0
    if not product.reads[adds & gone][:, needed].any():
        return None
    params = product.node.params
    bias = decode(graph.params[params["bias"]]) if "bias" in params else np.float32(0)
    return np.asarray(bias + product.sums[gone[adds]].sum(0), np.float32)


def _rewritten(
    encoding: Encoding, reads: NDArray[np.intp], makes: NDArray[np.intp], live: Flags, kept: Flags
) -> Encoding:
    """Cut a parameter, and set the weights of channels to zero that only stay so that there is one."""
    idle = kept & ~live
    if len(encoding.shape) > 1 and (idle[reads].any() or idle[makes].any()):
        values = to_rows(decode(encoding)).reshape(makes.size, -1, reads.size)
        zero = np.broadcast_to(idle[makes][:, None, None] | idle[reads], values.shape)
        if (values[zero] != 0).any():
            encoding = like(encoding, np.where(zero, np.float32(0), values).reshape(-1))
    if kept[reads].all() and kept[makes].all():
        return encoding
    return _selected(encoding, kept[reads], kept[makes])


def _selected(encoding: Encoding, inputs: Flags, outputs: Flags) -> Dense:
    """Store some of the values of a parameter in the way it stores them.

    Parameters
    ----------
    encoding
        The parameter.
    inputs, outputs
        Which indices of its axis before the last and of its last axis stay; of a vector, the last alone.

    """
    if not isinstance(encoding, Dense):
        encoding = like(encoding, to_rows(decode(encoding)).reshape(-1))
    shape, values = encoding.shape, encoding.values
    places = np.arange(math.prod(shape))
    if len(shape) == 1:
        shape, places = (int(np.count_nonzero(outputs)),), places[outputs]
    else:
        shape = (*shape[:-2], int(np.count_nonzero(inputs)), int(np.count_nonzero(outputs)))
        places = places.reshape(outputs.size, -1, inputs.size)[outputs][:, :, inputs].reshape(-1)
    if isinstance(values, Float32):
        return Dense(shape, Float32(values.array[places]))
    if isinstance(values, Codebook):
        used, labels = np.unique(values.labels.symbols[places], return_inverse=True)
        return shared(shape, values.centroids[used], labels.astype(np.uint16))
    if isinstance(values, IntegerCodebook):
        return Dense(shape, replace(values, labels=Bits(values.labels.symbols[places], value_bits(values))))
    own = outputs if len(values.scales) > 1 else np.ones(1, np.bool_)
    integers = Bits(values.integers.symbols[places], values.bits)
    return Dense(shape, Linear(integers, values.bits, values.scales[own], values.zero_points[own]))


def _resized(node: Node, channels: Channels, kept: Flags, shapes: Mapping[str, Shape]) -> Node:
    """Write new numbers of channels where attributes hold them."""
    if is_depthwise(node, shapes):
        left = int(np.count_nonzero(kept[channels.activations[node.inputs[0]]]))
        return replace(node, attrs=replace(node.attrs, group=left))
    if node.op == "Reshape" and node.attrs.shape:
        left = int(np.count_nonzero(kept[channels.activations[node.output]]))
        return replace(node, attrs=replace(node.attrs, shape=(*node.attrs.shape[:-1], left)))
    return node
