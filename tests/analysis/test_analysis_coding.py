"""The table of weights and positions, against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refcompress.analysis.coding import codings
from refcompress.encodings import Bits, Codebook, Csr, Dense, Joint, encode, huffman, pack, smallest
from refcompress.errors import ModelError
from refcompress.formats import rcz
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs
from refcompress.passes import prune, share_weights


def network(weight: np.ndarray, *, name: str = "fc") -> Graph:
    nodes = (Node("Gemm", name, ("x",), "y", {"weight": "w", "bias": "b"}, NoAttrs()),)
    params = {"w": encode(weight), "b": encode(np.zeros(weight.shape[1]))}
    return Graph((TensorSpec("x", (weight.shape[0],)),), ("y",), nodes, params)


def compressed(seed: int = 0) -> tuple[Graph, Graph]:
    original = network(np.random.default_rng(seed).normal(size=(200, 50)))
    shared = share_weights.kmeans(prune.magnitude(original, sparsity=0.9), bits=4)
    return original, shared.with_params({name: smallest(each) for name, each in shared.params.items()})


def test_every_figure_is_that_of_the_streams() -> None:
    original, small = compressed()
    (layer,), total = codings(small, original)
    weight = small.params["w"]
    assert isinstance(weight, Csr)
    survivors = 1000
    assert layer.weights == 10_000
    assert layer.density == survivors / 10_000
    assert layer.bytes_coded == len(pack(weight)) + len(pack(small.params["b"]))
    assert layer.rate_huffman == layer.bytes_coded / (4 * 10_050)
    assert layer.weight_bits == 4
    assert not isinstance(weight.values.labels, Joint)
    gaps, labels = weight.gaps, weight.values.labels
    for stream, bits in ((gaps, layer.index_bits_huffman), (labels, layer.weight_bits_huffman)):
        lengths = np.asarray(stream.lengths) if isinstance(stream, huffman.Huffman) else None
        coded = sum(int(lengths[s]) for s in stream.symbols) if lengths is not None else 4 * len(stream.symbols)
        # the streams' own bits, a table of code lengths of at most 40 bytes, and padding to whole bytes
        assert coded <= bits * survivors <= coded + 8 * 41
    assert total.bytes_coded == len(rcz.to_bytes(small))
    assert total.weight_bits_huffman == pytest.approx(layer.weight_bits_huffman)
    assert total.rate == total.bytes_packed / (4 * 10_050)


def test_fixed_widths_are_those_of_the_smallest_file_without_entropy_coding() -> None:
    original, small = compressed()
    (layer,), total = codings(small, original)
    sizes = {}
    where = np.flatnonzero(np.ascontiguousarray(smallest_dense(small).T).reshape(-1))
    gaps = np.diff(where, prepend=-1) - 1
    for width in range(1, 9):
        most = 2**width - 1
        for long_gap in ("filler", "escape"):  # a filler stands for one zero more than an escape
            splits = gaps // (most + 1) if long_gap == "filler" else gaps // most
            symbols = len(gaps) + int(splits.sum())
            values = symbols if long_gap == "filler" else len(gaps)
            sizes[width, long_gap] = math.ceil(symbols * width / 8) + math.ceil(values * 4 / 8)
    best = min(sizes, key=sizes.__getitem__)
    assert layer.index_bits == best[0]
    assert 0 < layer.bytes_packed - sizes[best] < 120  # header, codebook of 64 bytes, bias
    assert total.bytes_packed > total.bytes_coded


def smallest_dense(graph: Graph) -> np.ndarray:
    from refcompress.encodings import decode

    return decode(graph.params["w"])


def test_one_code_for_both_has_one_figure() -> None:
    gaps, labels = np.array([0, 1, 1], np.uint16), np.array([1, 0, 1], np.uint16)
    joint = Bits(gaps | labels << np.uint16(2), 3)
    centroids = np.array([1.0, 2.0], np.float32)
    weight = Csr((5, 2), joint, 2, "filler", Codebook(centroids, Joint(labels, 1)))
    original = network(np.ones((5, 2)))
    (layer,), total = codings(original.with_params({"w": weight}), original)
    assert layer.weight_bits_huffman is None
    assert layer.index_bits_huffman == 3
    assert total.weight_bits_huffman is None
    assert total.index_bits_huffman == 3


def test_dense_layers_have_no_positions() -> None:
    original = network(np.random.default_rng(1).normal(size=(4, 3)))
    (layer,), _ = codings(original, original)
    assert isinstance(original.params["w"], Dense)
    assert (layer.density, layer.weight_bits, layer.weight_bits_huffman) == (1.0, 32, 32.0)
    assert (layer.index_bits, layer.index_bits_huffman) == (0, 0)


def test_layers_must_be_those_of_the_original() -> None:
    with pytest.raises(ModelError, match="'other'"):
        codings(network(np.ones((2, 2)), name="other"), network(np.ones((2, 2))))
