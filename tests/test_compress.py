"""Compression as a whole: passes, smallest encodings, and a report in true bytes."""

from __future__ import annotations

import numpy as np
import pytest
from checks.small_networks import classifier

from refcompress import recipe
from refcompress.compress import compress
from refcompress.encodings import Codebook, Csr, Dense, decode, encode, pack
from refcompress.errors import OptionError
from refcompress.formats import rcz
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import IntegerNetwork, smallest
from refcompress.ops import make_attrs
from refcompress.passes import LayerRule, prune
from refcompress.post_training import quantize_network


def _gemm(weight: np.ndarray) -> Graph:
    nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, make_attrs("Gemm", {})),)
    return Graph((TensorSpec("x", (weight.shape[0],)),), ("y",), nodes, {"w": encode(weight)})


def test_without_passes_no_bit_of_a_parameter_changes() -> None:
    graph = classifier()
    small, report = compress(graph, recipe.from_options())
    for name, encoding in graph.params.items():
        assert decode(small.params[name]).tobytes() == decode(encoding).tobytes()
    assert report.notes == ()


def test_pruning_and_sharing_give_sparse_coded_weights_of_few_values() -> None:
    weight = np.random.default_rng(0).normal(size=(300, 100))
    small, report = compress(_gemm(weight), recipe.from_options(sparsity=0.9, bits=4))
    encoding = small.params["w"]
    assert isinstance(encoding, Csr)
    assert isinstance(encoding.values, Codebook)
    values = decode(encoding)
    assert np.count_nonzero(values) == 3000
    assert len(np.unique(values[values != 0])) == 16
    (parameter,) = report.parameters
    assert parameter.density == 0.1
    assert parameter.value_bits in {4, 5}
    assert report.ratio > 15


def test_the_report_counts_true_bytes() -> None:
    small, report = compress(classifier(), recipe.from_options(sparsity=0.5, bits=3))
    assert report.file_bytes == len(rcz.to_bytes(small))
    assert report.dense_bytes == 4 * (12 * 32 + 32 + 32 * 4)
    assert {p.name: p.stream_bytes for p in report.parameters} == {
        name: len(pack(encoding)) for name, encoding in small.params.items()
    }
    assert report.ratio == report.dense_bytes / report.file_bytes
    assert report.stream_bytes + report.header_bytes == report.file_bytes


def test_a_parameter_that_would_not_shrink_keeps_its_values_and_the_report_says_so() -> None:
    weight = np.array([[1.5, 2.5]], np.float32)  # 8 bytes: no codebook of 16 bits pays
    small, report = compress(_gemm(weight), recipe.from_options(bits=8))
    assert isinstance(small.params["w"], Dense)
    assert decode(small.params["w"]).tobytes() == weight.tobytes()
    (note,) = report.notes
    assert note.startswith("w keeps its values: 12 bytes")


def test_values_before_a_fold_never_come_back() -> None:
    norm = {"scale": "s", "bias": "b", "mean": "m", "var": "v"}
    nodes = (
        Node("Gemm", "fc", ("x",), "h", {"weight": "w"}, make_attrs("Gemm", {})),
        Node("BatchNormalization", "bn", ("h",), "y", norm, make_attrs("BatchNormalization", {"epsilon": 0.0})),
    )
    arrays = {"w": [[1.0, 2.0]], "s": [2.0, 3.0], "b": [0.0, 0.0], "m": [0.0, 0.0], "v": [1.0, 1.0]}
    params = {name: encode(array) for name, array in arrays.items()}
    graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, params)
    small, report = compress(graph, recipe.from_options(fold_batch_norm=True, bits=8))
    assert decode(small.params["w"]).tolist() == [[2.0, 6.0]]
    assert report.dense_bytes == 4 * 10


def test_a_weight_that_is_not_factorized_is_named() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 8))
    text = '[[pass]]\nname = "factorize.svd"\nrank = 7'
    small, report = compress(_gemm(weight), recipe.parse(text))
    assert list(small.params) == ["w"]
    assert report.notes[0].startswith("w is not factorized")


def test_an_error_of_a_pass_names_the_pass_of_the_recipe() -> None:
    text = '[[pass]]\nname = "prune.magnitude"\nsparsity = 1.5'
    with pytest.raises(OptionError, match=r"^r\.toml, pass 1 \(prune\.magnitude\): sparsity"):
        compress(classifier(), recipe.parse(text, "r.toml"))


def test_a_rule_that_matches_nothing_is_an_error() -> None:
    text = '[[pass]]\nname = "quantize.linear"\nbits = 4\n[[pass.layers]]\nmatch = "conv*"\nbits = 2'
    with pytest.raises(OptionError, match=r"pass 1 .*'conv\*' matches no layer"):
        compress(classifier(), recipe.parse(text))


def test_cached_deviations_are_those_before_the_first_pruning() -> None:
    weight = np.random.default_rng(3).normal(size=(40, 40)).astype(np.float32)
    steps = (
        '[[pass]]\nname = "prune.magnitude"\nsparsity = 0.5\n[[pass]]\nname = "prune.threshold"\nq = 1\nstd = "cached"'
    )
    small, _ = compress(_gemm(weight), recipe.parse(steps))
    kept = np.abs(weight) >= np.std(weight.astype(np.float64))
    assert np.array_equal(decode(small.params["w"]) != 0, kept)


def test_cached_deviations_of_factors_are_those_of_the_factors() -> None:
    weight = np.random.default_rng(3).normal(size=(40, 40)).astype(np.float32)
    factorize = '[[pass]]\nname = "factorize.svd"\nrank = 4\n'
    prune = '[[pass]]\nname = "prune.threshold"\nq = 0.5\nstd = {}\n'
    cached, _ = compress(_gemm(weight), recipe.parse(factorize + prune.format('"cached"')))
    every, _ = compress(_gemm(weight), recipe.parse(factorize + prune.format('"all"')))
    assert len(cached.params) == 2
    for name, encoding in every.params.items():
        assert np.array_equal(decode(cached.params[name]), decode(encoding))


def test_progress_goes_from_nothing_to_everything() -> None:
    said: list[tuple[str, float]] = []
    compress(classifier(), recipe.from_options(sparsity=0.5, bits=3), progress=lambda *args: said.append(args))
    shares = [share for _, share in said]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] < 1
    assert said[0][0] == "prune.magnitude"
    assert said[-1][0].startswith("encode ")


def test_the_same_network_gives_the_same_bytes() -> None:
    made = recipe.from_options(sparsity=0.5, bits=3)
    first, second = (rcz.to_bytes(compress(classifier(), made)[0]) for _ in range(2))
    assert first == second


INTEGERS = """
[[pass]]
name = "prune.magnitude"
sparsity = 0.5
[[pass]]
name = "quantize_network"
ranges = "mse"
[[pass.layers]]
match = "fc1"
weight_bits = 4
"""


def test_a_recipe_may_end_in_an_integer_network() -> None:
    x = np.random.default_rng(0).normal(size=(30, 12))
    network, report = compress(classifier(), recipe.parse(INTEGERS), inputs={"x": x})
    pruned = prune.magnitude(classifier(), sparsity=0.5)
    expected = quantize_network(pruned, x, ranges="mse", layers=[LayerRule("fc1", {"weight_bits": 4})])
    assert isinstance(network, IntegerNetwork)
    data = rcz.integer.to_bytes(network)
    assert data == rcz.integer.to_bytes(smallest(expected))
    assert report.file_bytes == len(data)
    assert report.dense_bytes == 4 * (12 * 32 + 32 + 32 * 4)
    found = {p.name: (p.value_bits, p.encoding.partition(" ")[0]) for p in report.parameters}
    assert found["fc1/kernel"][0] == 4
    assert found["fc1/bias"] == (16, "dense")


def test_a_recipe_that_ends_in_an_integer_network_needs_calibration_samples() -> None:
    with pytest.raises(OptionError, match=r"pass 2 \(quantize_network\) needs calibration samples"):
        compress(classifier(), recipe.parse(INTEGERS))
    other = recipe.parse(INTEGERS.replace('"fc1"', '"fc9"'))
    with pytest.raises(OptionError, match=r"pass 2 \(quantize_network\): .*matches no"):
        compress(classifier(), other, inputs={"x": np.ones((4, 12))})
