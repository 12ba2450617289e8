"""Pruning of whole units, against a count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import Codebook, decode, encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs
from refcompress.ops.conv import Conv
from refcompress.passes import LayerRule, prune_units, share_weights
from refcompress.passes.remove_dead_units import remove_dead_units
from refcompress.run import run


def network(rng: np.random.Generator, channels: int = 6) -> Graph:
    nodes = (
        Node("Conv", "conv", ("x",), "a", {"weight": "w", "bias": "b"}, Conv()),
        Node("Relu", "relu", ("a",), "r", attrs=NoAttrs()),
        Node("Flatten", "flatten", ("r",), "f", attrs=NoAttrs()),
        Node("Gemm", "fc", ("f",), "z", {"weight": "v"}, NoAttrs()),
        Node("Softmax", "softmax", ("z",), "y", attrs=NoAttrs()),
    )
    arrays = {
        "w": rng.normal(size=(2, 2, 3, channels)),
        "b": rng.normal(size=channels),
        "v": rng.normal(size=(4 * channels, 5)),
    }
    return Graph((TensorSpec("x", (3, 3, 3)),), ("y",), nodes, {name: encode(each) for name, each in arrays.items()})


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 9),
    sparsity=st.floats(0, 1),
    norm=st.sampled_from(["l1", "l2"]),
)
def test_the_weakest_units_go_and_no_others(seed: int, channels: int, sparsity: float, norm: str) -> None:
    graph = network(np.random.default_rng(seed), channels)
    weight, bias = decode(graph.params["w"]), decode(graph.params["b"])
    pruned = prune_units.units(graph, sparsity=sparsity, norm=norm)
    after, bias_after = decode(pruned.params["w"]), decode(pruned.params["b"])
    power = {"l1": 1, "l2": 2}[norm]
    strengths = [math.fsum(abs(float(w)) ** power for w in weight[..., unit].flat) for unit in range(channels)]
    weakest = sorted(range(channels), key=strengths.__getitem__)[: math.floor(sparsity * channels + 0.5)]
    for unit in range(channels):
        if unit in weakest:
            assert not after[..., unit].view(np.uint32).any()
            assert not bias_after[unit : unit + 1].view(np.uint32).any()
        else:
            assert np.array_equal(after[..., unit], weight[..., unit])
            assert bias_after[unit] == bias[unit]
    assert pruned.params["v"] is graph.params["v"]  # it makes the output


def test_what_is_pruned_can_be_cut_out() -> None:
    rng = np.random.default_rng(0)
    pruned = prune_units.units(network(rng), sparsity=0.5)
    cut = remove_dead_units(pruned)
    assert cut.params["w"].shape == (2, 2, 3, 3)
    assert cut.params["v"].shape == (12, 5)
    x = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    assert np.allclose(run(cut, x)[0], run(pruned, x)[0], atol=1e-6)


def test_shared_weights_stay_shared_and_rules_count() -> None:
    shared = share_weights.kmeans(network(np.random.default_rng(1)), bits=2)
    pruned = prune_units.units(shared, sparsity=0.9, layers=[LayerRule("conv", {"sparsity": 1 / 3})])
    assert isinstance(pruned.params["w"].values, Codebook)
    assert np.count_nonzero(decode(pruned.params["w"]).any(axis=(0, 1, 2))) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.5}, "sparsity"),  # a share above 1
        ({"sparsity": 0.5, "norm": "l3"}, "norm"),  # no such norm
        ({"sparsity": 0.5, "layers": [LayerRule("fc", {})]}, "fc"),  # makes the output: never pruned
        ({"sparsity": 0.5, "layers": [LayerRule("conv", {"sparsity": -1})]}, "sparsity"),  # a share below 0
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prune_units.units(network(np.random.default_rng(2)), **options)  # type: ignore[arg-type]
