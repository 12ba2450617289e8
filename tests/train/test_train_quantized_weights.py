"""Quantized weights: the integers are those of a loop from the formula, gradients pass straight through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import IntegerCodebook, Linear, decode, encode, integers
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer.weight_scales import centroid_steps
from refcompress.ops import NoAttrs
from refcompress.post_training import quantize_network
from refcompress.train import constraints
from refcompress.train.optimizers import Adam, AdamW, Optimizer, Sgd
from refcompress.train.quantized_weights import QuantizedWeights, WeightGrid
from refcompress.train.tying import TiedCentroids

OPTIMIZERS: list[Optimizer] = [Sgd(momentum=0.9, weight_decay=0.1), Adam(weight_decay=0.1), AdamW(weight_decay=0.1)]


def _weight(seed: int, *shape: int) -> NDArray[np.float32]:
    weight = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    weight[np.abs(weight) < 0.3] = 0
    return weight


def by_loops(weight: NDArray[np.float32], bits: int, scales: NDArray[np.float32] | None) -> tuple[Any, Any]:
    """Return integers and what gradients pass, for each output unit by itself, from the formulas."""
    most = 2 ** (bits - 1) - 1
    found, passed = np.zeros(weight.shape, int), np.zeros(weight.shape, bool)
    for place in np.ndindex(weight.shape):
        unit = weight[..., place[-1]]
        scale = np.float32(max(abs(unit.min()), unit.max()) / np.float32(most)) if scales is None else scales[place[-1]]
        ratio = weight[place] / scale if scale else np.float32(0)
        step = int(np.sign(ratio)) * int(np.floor(abs(ratio) + np.float32(0.5)))
        found[place] = min(max(step, -most), most)
        passed[place] = abs(step) <= most and weight[place] != 0
    return found, passed


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 4, 8]), st.booleans())
def test_integers_and_gradients_are_those_of_the_formulas(seed: int, bits: int, held: bool) -> None:
    weight = _weight(seed, 3, 2, 4)
    scales = np.random.default_rng(seed).uniform(0.1, 0.6, 4).astype(np.float32) if held else None
    quantized = QuantizedWeights({"w": WeightGrid(bits, "channel", scales)})
    latents, state = quantized.start({"w": weight})
    found, passed = by_loops(weight, bits, scales)
    encoded = quantized.encoded(latents, state)["w"]
    assert isinstance(encoded.values, Linear)
    assert np.array_equal(integers.rows_of(encoded), found.reshape(-1, 4).T)
    grads = np.random.default_rng(seed + 1).normal(size=weight.shape).astype(np.float32)
    assert np.array_equal(quantized.pull({"w": grads}, state)["w"], np.where(passed, grads, np.float32(0)))
    # what the network runs with is, bit for bit, what is stored
    assert quantized.effective(latents, state)["w"].tobytes() == decode(encoded).tobytes()


@pytest.mark.parametrize("scales", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_training_begins_with_the_integers_of_post_training_quantization(scales: Any, bits: int) -> None:
    weight = _weight(3, 20, 6)
    node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    graph = Graph((TensorSpec("x", (20,)),), ("y",), (node,), {"w": encode(weight)})
    x = np.random.default_rng(0).normal(size=(8, 20))
    network = quantize_network(graph, x, weight_bits=bits, gemm_scales=scales)
    quantized = QuantizedWeights({"w": WeightGrid(bits, scales)})
    first = quantized.encoded(*quantized.start({"w": weight}))["w"]
    assert np.array_equal(integers.rows_of(first), integers.rows_of(network.graph.params["w"]))
    assert np.array_equal(integers.scales_of(first), integers.scales_of(network.graph.params["w"]))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("held", [None, np.full(5, 0.2, np.float32)], ids=["following", "held"])
def test_pruned_weights_stay_plus_zero(optimizer: Optimizer, held: Any) -> None:
    weight = _weight(5, 6, 5)
    quantized = [QuantizedWeights({"w": WeightGrid(4, "channel", held)})]
    latents, states = constraints.start(quantized, {"w": weight})
    state = optimizer.start(latents)
    for step in range(1, 6):
        grads = {"w": np.random.default_rng(step).normal(size=weight.shape).astype(np.float32)}
        latents, state = optimizer.step(latents, constraints.pull(quantized, grads, states), state, 0.1)
        latents, states = constraints.follow(quantized, latents, states, step)
        now = constraints.effective(quantized, latents, states)["w"]
        assert not now[weight == 0].view(np.uint32).any()
        assert not np.array_equal(now, weight)


def test_a_weight_that_comes_back_within_held_scales_learns_again() -> None:
    quantized = QuantizedWeights({"w": WeightGrid(2, "tensor", np.ones(1, np.float32))})
    _, state = quantized.start({"w": np.array([[1.4, 1.6]], np.float32)})
    ones = {"w": np.ones((1, 2), np.float32)}
    assert quantized.pull(ones, state)["w"].tolist() == [[1, 0]]
    _, state = quantized.follow({"w": np.array([[1.7, 1.2]], np.float32)}, state, 1)
    assert quantized.pull(ones, state)["w"].tolist() == [[0, 1]]


def test_a_unit_without_weights_has_a_scale() -> None:
    quantized = QuantizedWeights({"w": WeightGrid(4)})
    latents, state = quantized.start({"w": np.array([[0.0, 0.7]], np.float32)})
    assert integers.scales_of(quantized.encoded(latents, state)["w"]).tolist() == [1, np.float32(np.float32(0.7) / 7)]
    assert quantized.support(state)["w"].tolist() == [[False, True]]


@pytest.mark.parametrize("scales", ["channel", "tensor"])
def test_values_and_gradients_are_those_of_pytorch(scales: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    weight = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    held = np.random.default_rng(1).uniform(0.1, 0.3, 6 if scales == "channel" else 1).astype(np.float32)
    quantized = QuantizedWeights({"w": WeightGrid(4, scales, held)})
    latents, state = quantized.start({"w": weight})
    theirs = torch.tensor(weight, requires_grad=True)
    if scales == "channel":
        zeros = torch.zeros(6, dtype=torch.int32)
        made = torch.fake_quantize_per_channel_affine(theirs, torch.tensor(held), zeros, 1, -7, 7)
    else:
        made = torch.fake_quantize_per_tensor_affine(theirs, float(held[0]), 0, -7, 7)
    grads = np.random.default_rng(2).normal(size=weight.shape).astype(np.float32)
    made.backward(torch.tensor(grads))
    # PyTorch multiplies with the reciprocal of the scale: a quotient next to a half may go the other way
    assert np.abs(quantized.effective(latents, state)["w"] - made.detach().numpy()).max() < 1e-6
    assert np.array_equal(quantized.pull({"w": grads}, state)["w"], theirs.grad.numpy())
    assert 0 < np.count_nonzero(theirs.grad.numpy() == 0) < weight.size


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 5, 200]), st.sampled_from(["sum", "mean"]))
def test_tied_integers_are_the_rounded_centroids_and_learn_as_others_do(seed: int, count: int, gradient: Any) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.choice(np.append(rng.normal(size=count), 0), (6, 7)).astype(np.float32)
    tied, plain = (TiedCentroids(("w",), gradient, integers=flag) for flag in (True, False))
    (latents, state), (same, _) = tied.start({"w": weight}), plain.start({"w": weight})
    assert latents["w:centroids"].tobytes() == same["w:centroids"].tobytes()
    values, counts = np.unique(weight, return_counts=True)
    steps, scale = centroid_steps(values.astype(np.float64), counts)
    expected = (steps * scale).astype(np.float32)[np.searchsorted(values, weight)]
    assert np.array_equal(tied.effective(latents, state)["w"], expected)
    grads = {"w": rng.normal(size=weight.shape).astype(np.float32)}
    assert tied.pull(grads, state)["w:centroids"].tobytes() == plain.pull(grads, state)["w:centroids"].tobytes()
    encoded = tied.encoded(latents, state)["w"]
    assert isinstance(encoded.values, IntegerCodebook)
    assert np.array_equal(decode(encoded), expected)
    assert not np.signbit(decode(encoded)[weight == 0]).any()


def test_what_cannot_be_quantized_is_refused() -> None:
    many = {"w": np.arange(1, 257, dtype=np.float32).reshape(16, 16)}
    with pytest.raises(DataError, match="256 distinct values; at most 255"):
        TiedCentroids(("w",), integers=True).start(many)
    with pytest.raises(OptionError, match="9 bits"):
        WeightGrid(9)
    with pytest.raises(OptionError, match="'row'"):
        WeightGrid(8, "row")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="positive and finite"):
        WeightGrid(8, "tensor", np.zeros(1, np.float32))
    with pytest.raises(DataError, match="3 held scales of the weight 'w'; it takes 16"):
        QuantizedWeights({"w": WeightGrid(8, "channel", np.ones(3, np.float32))}).start(many)
    with pytest.raises(DataError, match="NaN or infinity"):
        QuantizedWeights({"w": WeightGrid()}).start({"w": np.array([[np.nan]], np.float32)})
