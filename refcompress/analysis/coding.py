"""Bits of weights and positions layer by layer, in the columns of the Deep Compression paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refcompress.encodings import Csr, Dense, Encoding, Huffman, IntStream, Joint, decode, smallest
from refcompress.encodings.packed import size_bytes, stream_bytes
from refcompress.encodings.values import stream_of, value_bits
from refcompress.errors import ModelError
from refcompress.graph import Graph


@dataclass(frozen=True, slots=True)
class Coding:
    """How the weights of a layer, or of the whole network, are stored.

    Attributes
    ----------
    name
        The layer.
    weights
        Weights of the network that all is compared with, zeros and units that are cut out included.
    density
        Share of them that survive.
    weight_bits, index_bits
        Bits of a stored weight and of its position in fixed widths: pruning and quantization (P+Q). No position is
        stored of dense weights: 0.
    weight_bits_huffman, index_bits_huffman
        Bits of the real streams for each surviving weight, fillers and escapes included (P+Q+H). Where one code serves
        both, ``index_bits_huffman`` is that of both and ``weight_bits_huffman`` None.
    bytes_packed, bytes_coded
        Of the layer with its bias, or of the whole file: the smallest without entropy coding, and as it is.
    rate, rate_huffman
        These bytes as a share of all as float32.

    """

    name: str
    weights: int
    density: float
    weight_bits: float
    weight_bits_huffman: float | None
    index_bits: float
    index_bits_huffman: float
    bytes_packed: int
    bytes_coded: int
    rate: float
    rate_huffman: float

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON knows."""
        return asdict(self)


def codings(graph: Graph, original: Graph) -> tuple[tuple[Coding, ...], Coding]:
    """Measure how each layer that has a weight is stored, and the whole file.

    Parameters
    ----------
    graph
        A compressed network.
    original
        What it was made from: its layers have the same names.

    Returns
    -------
    layers
        In the order of the network.
    total
        Bits are means over the surviving weights, bytes those of the ``.rcz`` file.

    Raises
    ------
    ModelError
        A layer is not one of the original network.

    References
    ----------
    Han, Mao & Dally 2016, tables 2 and 3.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[0.5], [0.0]])})
    >>> layers, _ = codings(graph, graph)
    >>> layers[0].density, layers[0].weight_bits, layers[0].bytes_coded
    (0.5, 32, 12)

    """
    from refcompress.formats import rcz

    packed = graph.with_params({name: smallest(each, limit_bits=None) for name, each in graph.params.items()})
    names = [node.name for node in graph.nodes if "weight" in node.params]
    layers = tuple(_layer(name, graph, packed, original) for name in names)
    bytes_packed, bytes_coded = len(rcz.to_bytes(packed)), len(rcz.to_bytes(graph))
    return layers, _total(layers, bytes_packed, bytes_coded, original)


def _layer(name: str, graph: Graph, packed: Graph, original: Graph) -> Coding:
    before = next((node for node in original.nodes if node.name == name), None)
    if before is None or "weight" not in before.params:
        raise ModelError(f"the layer {name!r} is not one of the original network")
    params = next(node for node in graph.nodes if node.name == name).params
    weights = math.prod(original.params[before.params["weight"]].shape)
    weight, fixed = graph.params[params["weight"]], packed.params[params["weight"]]
    survivors = int(np.count_nonzero(decode(weight)))
    value_part, index_part = _stream_bits(weight)
    dense_bytes = sum(4 * math.prod(original.params[each].shape) for each in before.params.values())
    bytes_packed = sum(size_bytes(packed.params[each]) for each in params.values())
    bytes_coded = sum(size_bytes(graph.params[each]) for each in params.values())
    return Coding(
        name=name,
        weights=weights,
        density=survivors / max(1, weights),
        weight_bits=value_bits(fixed.values) or 32,
        weight_bits_huffman=None if value_part is None else value_part / max(1, survivors),
        index_bits=fixed.gap_bits if isinstance(fixed, Csr) else 0,
        index_bits_huffman=index_part / max(1, survivors),
        bytes_packed=bytes_packed,
        bytes_coded=bytes_coded,
        rate=bytes_packed / dense_bytes,
        rate_huffman=bytes_coded / dense_bytes,
    )


def _stream_bits(encoding: Encoding) -> tuple[float | None, float]:
    """Bits of the stream of values, None if it rides in that of the positions, and of that of the positions."""
    index = 0 if isinstance(encoding, Dense) else _bits(encoding.gaps)
    integers = stream_of(encoding.values)
    if isinstance(integers, Joint):
        return None, index
    return (32 * len(decode(encoding).reshape(-1)) if integers is None else _bits(integers)), index


def _bits(stream: IntStream) -> int:
    return 8 * stream_bytes(stream) if isinstance(stream, Huffman) else len(stream.symbols) * stream.width_bits


def _total(layers: Sequence[Coding], bytes_packed: int, bytes_coded: int, original: Graph) -> Coding:
    weights = sum(layer.weights for layer in layers)
    survivors = [layer.density * layer.weights for layer in layers]

    def mean(values: Sequence[float]) -> float:
        return sum(map(math.prod, zip(values, survivors, strict=True))) / max(1.0, sum(survivors))

    apart = [layer.weight_bits_huffman for layer in layers if layer.weight_bits_huffman is not None]
    dense_bytes = sum(4 * math.prod(each.shape) for each in original.params.values())
    joint = len(apart) < len(layers)  # some layers have one figure for both: so has the whole
    index = [layer.index_bits_huffman + (layer.weight_bits_huffman or 0) * joint for layer in layers]
    return Coding(
        name="total",
        weights=weights,
        density=sum(survivors) / max(1, weights),
        weight_bits=mean([layer.weight_bits for layer in layers]),
        weight_bits_huffman=None if joint else mean(apart),
        index_bits=mean([layer.index_bits for layer in layers]),
        index_bits_huffman=mean(index),
        bytes_packed=bytes_packed,
        bytes_coded=bytes_coded,
        rate=bytes_packed / dense_bytes,
        rate_huffman=bytes_coded / dense_bytes,
    )
