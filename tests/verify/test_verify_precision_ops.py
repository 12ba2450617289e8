"""Every operator there is: its bound holds in each precision, and says something."""

from __future__ import annotations

import numpy as np
import pytest
from checks.low_precision import bfloat16, float16, run_products, run_stored, tf32
from checks.single_nodes import SINGLES, single_node

from refcompress.ops import OPS
from refcompress.run import run_all, run_exact_all
from refcompress.verify import compare_layers, error_bounds

# functions whose inverse or difference is ill-conditioned in eight bits are granted nothing better
LOOSE = 3.0


def test_every_operator_has_a_network() -> None:
    assert sorted(SINGLES) == sorted(OPS)


@pytest.mark.parametrize("op", SINGLES)
def test_float32_runs_are_within_as_layers(op: str) -> None:
    graph, inputs = single_node(op, np.random.default_rng(1))
    for activations in (run_all(graph, inputs), run_exact_all(graph, inputs)):
        assert compare_layers(graph, activations).within


@pytest.mark.parametrize("op", SINGLES)
def test_runs_in_low_precisions_are_within_their_bounds(op: str) -> None:
    graph, inputs = single_node(op, np.random.default_rng(2))
    runs = {
        "tf32": run_products(graph, inputs, tf32),
        "bfloat16_products": run_products(graph, inputs, bfloat16),
        "float16": run_stored(graph, inputs, float16),
        "bfloat16": run_stored(graph, inputs, bfloat16),
    }
    for precision, activations in runs.items():
        given = {name: activations[name] for name in inputs}
        for model in ("deterministic", "probabilistic"):
            reference, bounds = error_bounds(graph, given, model=model, precision=precision)  # type: ignore[arg-type]
            assert np.isfinite(bounds["y"]).all()
            assert (np.abs(activations["y"] - reference["y"]) <= bounds["y"]).all(), (precision, model)
            assert np.median(bounds["y"]) <= LOOSE * max(1.0, np.abs(reference["y"]).max()), (precision, model)


@pytest.mark.parametrize("op", SINGLES)
def test_bounds_widen_with_the_precision(op: str) -> None:
    graph, inputs = single_node(op, np.random.default_rng(3))
    given = {name: bfloat16(array) for name, array in inputs.items()}
    order = ("float32", "float16", "bfloat16")
    sizes = [error_bounds(graph, given, precision=precision)[1]["y"].sum() for precision in order]
    assert sizes == sorted(sizes)
