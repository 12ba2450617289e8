"""Forms chosen by cost: what is computed stays, preferences are kept, the model is near what QEMU counts."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.integer_builder import IntegerBuilder

import exporters.c
from exporters.costs import layer_costs
from exporters.forms import candidates, choose_forms
from refcompress.encodings.integers import from_rows, rows_of, scales_of
from refcompress.errors import OptionError
from refcompress.integer import IntegerNetwork


def _network(*, channels: int = 8, density: float = 0.12) -> tuple[IntegerBuilder, IntegerNetwork]:
    """Build two convolutions and two layers behind them, with weights of 15 kinds."""
    b = IntegerBuilder(21, x=(16, 16, channels))
    kinds = np.delete(np.arange(-70, 71, 10), 7)

    def weight(shape: tuple[int, ...], share: float = density) -> object:
        size = (shape[-1], int(np.prod(shape[:-1])))
        rows = np.where(b.rng.random(size) < share, b.rng.choice(kinds, size), 0)
        return from_rows(rows, shape, np.array([0.01], np.float32), 8)

    first = b("Conv", "x", weight=weight((3, 3, channels, 20)), pads=(1, 1, 1, 1), strides=(2, 2))
    second = b("Conv", first, weight=weight((3, 3, 20, 24)))
    flat = b("Flatten", second)
    third = b("Gemm", flat, weight=weight((6 * 6 * 24, 60)))
    return b, b.network(b("Gemm", third, weight=weight((60, 10), 0.5)))


@pytest.mark.parametrize("prefer", ["size", "speed", "balanced"])
def test_the_integers_stay_and_the_model_is_near_the_count(prefer: str) -> None:
    b, network = _network()
    chosen = choose_forms(network, prefer)  # type: ignore[arg-type]
    for name, encoding in network.graph.params.items():
        if encoding.shape[1:]:
            np.testing.assert_array_equal(rows_of(chosen.graph.params[name]), rows_of(encoding))
            np.testing.assert_array_equal(scales_of(chosen.graph.params[name]), scales_of(encoding))
    (found,) = check_export(chosen, b.samples(1), on=(targets.M4,), count=True)
    if found.instructions is not None:
        estimated = sum(cost.instructions for cost in layer_costs(chosen).values())
        assert estimated == pytest.approx(found.instructions, rel=0.15)


def test_what_is_preferred_is_the_least() -> None:
    _, network = _network()
    costs = {}
    for prefer in ("size", "speed", "balanced"):
        found = layer_costs(choose_forms(network, prefer)).values()  # type: ignore[arg-type]
        costs[prefer] = sum(cost.flash_bytes for cost in found), sum(cost.instructions for cost in found)
    assert costs["size"][0] == min(flash for flash, _ in costs.values())
    assert costs["speed"][1] == min(instructions for _, instructions in costs.values())
    assert costs["size"][0] < costs["speed"][0]
    assert costs["size"][1] > costs["speed"][1]


def test_the_bytes_are_those_of_the_generated_tables() -> None:
    _, network = _network()
    chosen = choose_forms(network, "size")
    told = exporters.c.export(chosen, prefix="net")["net.h"].decode().split("Flash: ")[1].split(" bytes")[0]
    assert sum(cost.flash_bytes for cost in layer_costs(chosen).values()) == int(told)


def test_candidates_hold_the_same_integers() -> None:
    rng = np.random.default_rng(3)
    for scales in (np.array([0.5], np.float32), rng.random(7).astype(np.float32) + 0.1):
        rows = np.where(rng.random((7, 400)) < 0.1, rng.integers(-5, 6, (7, 400)), 0)
        for each in candidates(from_rows(rows, (400, 7), scales, 8)):
            np.testing.assert_array_equal(rows_of(each), rows)
            np.testing.assert_array_equal(scales_of(each), scales)


def test_weights_of_zeros_have_forms_too() -> None:
    b = IntegerBuilder(5, x=(30,))
    network = b.network(b("Gemm", "x", weight=from_rows(np.zeros((4, 30)), (30, 4), np.ones(1, np.float32), 8)))
    for prefer in ("size", "speed", "balanced"):
        check_export(choose_forms(network, prefer), b.samples(1), on=(targets.GCC,))  # type: ignore[arg-type]


def test_an_unknown_preference_is_refused() -> None:
    _, network = _network()
    with pytest.raises(OptionError, match="prefer 'small'; allowed are size, speed, balanced"):
        choose_forms(network, "small")  # type: ignore[arg-type]
