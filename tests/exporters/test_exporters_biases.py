"""Biases of int8 layers in one byte each, and Softmax tables that end where powers stop to count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.integer_builder import IntegerBuilder

import exporters.c
from exporters.entries import CODED, has_entries, lay_out
from exporters.forms import candidates
from refcompress.encodings import Encoding, encode
from refcompress.encodings.integers import from_rows, scales_of
from refcompress.integer import IntegerNetwork, Quantization


def _weight(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> Encoding:
    """Make a sparse weight of one scale with Huffman codes, no unit of which is empty."""
    size = (shape[-1], int(np.prod(shape[:-1])))
    rows = np.where(rng.random(size) < density, rng.integers(-16, 16, size), 0)
    rows[:, 0] = 1
    made = candidates(from_rows(rows, shape, np.array([0.02], np.float32), 8))
    return next(each for each in made if has_entries(each) and lay_out(each).form in CODED)


def _with_multiples(network: IntegerNetwork, rng: np.random.Generator, step: int) -> IntegerNetwork:
    """Give every layer biases of -127 to 127 steps."""
    biases, params = {}, dict(network.graph.params)
    for node in network.graph.nodes:
        if "bias" in node.params:
            name, weight = node.params["bias"], network.graph.params[node.params["weight"]]
            counts = rng.integers(-127, 128, weight.shape[-1])
            counts[:3] = -127, 127, 1
            biases[name] = (step * counts).astype(np.int32)
            scale = network.quantizations[node.inputs[0]].scale
            params[name] = encode(biases[name] * scale * scales_of(weight))
    return replace(network, graph=network.graph.with_params(params), biases=biases)


def _network(step: int) -> tuple[IntegerBuilder, IntegerNetwork]:
    b = IntegerBuilder(61 + step, x=(9, 8, 3))
    conv = b("Conv", "x", weight=_weight(b.rng, (3, 3, 3, 6), 0.4), pads=(1, 1, 1, 1))
    flat = b("Flatten", conv)
    streamed = b("Gemm", flat, weight=_weight(b.rng, (432, 20), 0.1))
    last = b("Gemm", streamed, weight=_weight(b.rng, (20, 7), 0.9))
    return b, _with_multiples(b.network(last), b.rng, step)


@pytest.mark.parametrize(
    "target", [targets.GCC, targets.SANITIZED, targets.M0, targets.M4, targets.AVR], ids=lambda t: t.name
)
@pytest.mark.parametrize("step", [1, 7, 300])
def test_every_target_computes_with_biases_of_a_byte(step: int, target: targets.Target) -> None:
    b, network = _network(step)
    check_export(network, b.samples(2), on=(target,))


def test_only_multiples_take_a_byte() -> None:
    _, network = _network(7)
    source = exporters.c.export(network, prefix="net")["net.c"].decode()
    assert source.count(".scale.byte_bias = ") == 3
    assert "short_bias" not in source
    for name in network.biases:
        biases = {**network.biases, name: network.biases[name] + np.int32(1)}
        changed = exporters.c.export(replace(network, biases=biases), prefix="net")["net.c"]
        assert changed.count(b"short_bias = ") == 1


@pytest.mark.parametrize("scale", [0.01, 0.06, 0.2, 1.0, 30.0])
def test_a_softmax_needs_no_powers_that_count_for_nothing(scale: float) -> None:
    b = IntegerBuilder(71, x=(2, 300))
    b.quantizations["x"] = Quantization(scale, 3)
    network = b.network(b("Softmax", "x"))
    rng = np.random.default_rng(0)
    near = rng.integers(100, 128, (4, 2, 300))
    far = np.where(rng.random((4, 2, 300)) < 0.01, 127, rng.integers(-128, 127, (4, 2, 300)))
    one = np.full((2, 2, 300), -128)
    one[..., 0] = 127
    x = np.concatenate([near, far, one]).astype(np.int8)
    check_export(network, [x], on=(targets.GCC, targets.SANITIZED))
    table = exporters.c.export(network, prefix="net")["net.c"].decode().split("powers[")[1]
    values = table.split("{")[1].split("}")[0].replace("\n", " ").split(",")
    assert int(values[-1]) >= 1 << 11
