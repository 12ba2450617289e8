"""Batch normalization folded into the layer before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, Float32, decode, encode
from refcompress.graph import Graph, Node
from refcompress.passes.rewrite import fresh, with_nodes

Floats = NDArray[np.float64]


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold each BatchNormalization that directly follows a Conv or a Gemm into its weight and bias.

    With f = scale / sqrt(var + epsilon), the weight of output unit c becomes ``weight * f[c]`` and its bias
    ``(bias - mean) * f[c] + offset``, in float64, rounded to float32 once. Zeros stay +0.0.

    Parameters
    ----------
    graph
        A network. A normalization stays where it cannot be folded exactly: its input is no Conv or Gemm, or is used
        elsewhere or returned; the weight is shared with another node; the folded numbers would not be finite; or the
        weight is a codebook or quantized, which a factor for each unit would undo (so fold first).

    Returns
    -------
    Graph
        The network without those nodes. The folded layer keeps its name and makes the normalization's output; a bias
        it did not have is called ``NAME/bias``.

    References
    ----------
    Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    section 3.2; Ioffe & Szegedy 2015, section 3.1.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from refcompress.graph import TensorSpec
    >>> roles = {"mean": "m", "var": "v", "scale": "s"}
    >>> nodes = (
    ...     Node("Gemm", "fc", ("x",), "h", {"weight": "w"}),
    ...     Node("BatchNormalization", "bn", ("h",), "y", roles, SimpleNamespace(epsilon=0.0)),
    ... )
    >>> arrays = {"w": [[1.0]], "m": [1.0], "v": [4.0], "s": [6.0]}
    >>> params = {name: encode(array) for name, array in arrays.items()}
    >>> folded = fold_batch_norm(Graph((TensorSpec("x", (1,)),), ("y",), nodes, params))
    >>> folded.nodes[0].output, {name: decode(each).tolist() for name, each in folded.params.items()}
    ('y', {'w': [[3.0]], 'fc/bias': [-3.0]})

    """
    readers = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs)
    users = Counter(name for _, _, name in graph.weights())
    makers: dict[str, Node] = {}
    nodes: dict[str, Node] = {}
    params = dict(graph.params)
    for node in graph.nodes:
        layer = makers.get(node.inputs[0]) if node.op == "BatchNormalization" else None
        folded = None
        if layer is not None and readers[layer.output] == 1 and users[layer.params["weight"]] == 1:
            folded = _fold(layer, node, params, users)
        made = node if folded is None else folded[0]
        if folded is not None:
            params.update(folded[1])
            users.update(folded[1].keys() - users.keys())
        nodes[made.name] = made
        if made.op in {"Conv", "Gemm"}:
            makers[made.output] = made
    return graph if len(nodes) == len(graph.nodes) else with_nodes(graph, tuple(nodes.values()), params)


def _fold(
    layer: Node, norm: Node, params: Mapping[str, Encoding], users: Mapping[str, int]
) -> tuple[Node, dict[str, Encoding]] | None:
    """Return the layer that does both and its new parameters; None where they would not be exact."""
    weight = layer.params["weight"]
    if not isinstance(params[weight].values, Float32):
        return None
    kernel = decode(params[weight]).astype(np.float64)
    count = kernel.shape[-1]
    numbers = {role: decode(params[name]).astype(np.float64) for role, name in norm.params.items()}
    bias = decode(params[layer.params["bias"]]) if "bias" in layer.params else np.zeros(count)
    with np.errstate(all="ignore"):  # what is not finite is refused below
        factor = numbers.get("scale", np.ones(count)) / np.sqrt(numbers["var"] + norm.attrs.epsilon)
        offset = (bias - numbers["mean"]) * factor + numbers.get("bias", np.zeros(count))
        arrays = [(each + 0.0).astype(np.float32) for each in (kernel * factor, offset)]
    if not all(np.isfinite(each).all() for each in arrays):
        return None
    own = layer.params.get("bias", "")
    name = own if users.get(own) == 1 else fresh(f"{layer.name}/bias", params)
    roles = {**layer.params, "bias": name}
    changed: dict[str, Encoding] = dict(zip((weight, name), map(encode, arrays), strict=True))
    return replace(layer, output=norm.output, params=roles), changed
