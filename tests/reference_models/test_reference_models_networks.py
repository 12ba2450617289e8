"""The networks of reference_models have the published sizes and start with the stated distributions."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress import encodings, ops
from refcompress.graph import Graph
from reference_models import digits_cnn, layers, lenet_5, lenet_300_100

NETWORKS = (lenet_300_100, lenet_5, digits_cnn)


def _arrays(graph: Graph) -> dict[str, np.ndarray]:
    return {name: encodings.decode(value) for name, value in graph.params.items()}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_a_network_has_its_stated_number_of_parameters(network: ModuleType) -> None:
    graph = network.build(np.random.default_rng(0))
    assert layers.parameter_count(graph) == network.PARAMETER_COUNT
    assert sum(array.size for array in _arrays(graph).values()) == network.PARAMETER_COUNT


def test_the_parameters_of_each_layer_are_those_of_the_literature() -> None:
    # Han, Mao & Dally, ICLR 2016, tables 2 and 3: 235K, 30K and 1K; 0.5K, 25K, 400K and 5K
    expected = {
        lenet_300_100: {"ip1": 235_500, "ip2": 30_100, "ip3": 1_010},
        lenet_5: {"conv1": 520, "conv2": 25_050, "ip1": 400_500, "ip2": 5_010},
    }
    for network, counts in expected.items():
        found: dict[str, int] = {}
        for name, array in _arrays(network.build(np.random.default_rng(0))).items():
            layer = name.split("/")[0]
            found[layer] = found.get(layer, 0) + array.size
        assert found == counts


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_shapes_fit_and_ten_probabilities_come_out(network: ModuleType) -> None:
    graph = network.build(np.random.default_rng(0))
    assert ops.infer_shapes(graph)[graph.outputs[0]] == (10,)


def test_lenet_5_reduces_the_image_as_caffe_does() -> None:
    shapes = ops.infer_shapes(lenet_5.build(np.random.default_rng(0)))
    assert [shapes[name] for name in ("conv1", "pool1", "conv2", "pool2", "flatten")] == [
        (24, 24, 20),
        (12, 12, 20),
        (8, 8, 50),
        (4, 4, 50),
        (800,),
    ]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_the_same_seed_gives_the_same_network_and_another_seed_another(network: ModuleType) -> None:
    one, same, other = (_arrays(network.build(np.random.default_rng(seed))) for seed in (7, 7, 8))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(
        one["conv1/weight" if "conv1/weight" in one else "ip1/weight"], next(iter(other.values()))
    )


@given(st.lists(st.integers(20, 60), min_size=2, max_size=2), st.integers(1, 3), st.integers(0, 2**32))
def test_initial_weights_have_the_stated_variance(channels: list[int], window: int, seed: int) -> None:
    shape = (window, window, *channels)
    size, fan_in = math.prod(shape), window * window * channels[0]
    fan_out = window * window * channels[1]
    he = layers.he_normal(np.random.default_rng(seed), shape)
    glorot = layers.glorot_uniform(np.random.default_rng(seed), shape)
    # six standard deviations of the sample variance, from the kurtosis: 3 of the normal, 1.8 of the uniform
    assert abs(he.var() * fan_in / 2 - 1) < 6 * math.sqrt(2 / size)
    assert abs(glorot.var() * (fan_in + fan_out) / 2 - 1) < 6 * math.sqrt(0.8 / size)
    assert he.dtype == glorot.dtype == np.float32
