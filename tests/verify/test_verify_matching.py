"""Which array of another framework belongs to which activation: layouts, names, order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_verify_bounds import residual_network

from refcompress.errors import DataError, MissingToolError, OptionError
from refcompress.run import run_all
from refcompress.verify.adaptors import find_adaptor, random_inputs
from refcompress.verify.adaptors.matching import (
    Call,
    _longest_common,
    aligned,
    in_order,
    in_our_layout,
    layouts,
    library,
)

RNG = np.random.default_rng(0)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5))
def test_the_longest_common_subsequence_is_the_longest(alike: list[list[bool]]) -> None:
    pairs = _longest_common(alike)
    assert all(alike[i][j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(pairs))
    best = 0
    for size in range(1, min(len(alike), 4) + 1):
        for rows in itertools.combinations(range(len(alike)), size):
            for columns in itertools.combinations(range(4), size):
                if all(alike[i][j] for i, j in zip(rows, columns, strict=True)):
                    best = max(best, size)
    assert len(pairs) == best


def test_channels_that_stand_first_are_moved() -> None:
    ours = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
    for theirs in (ours, np.moveaxis(ours, -1, 1)):
        got = in_our_layout(theirs, (5, 4, 3))
        assert got is not None
        np.testing.assert_array_equal(got, ours)
    assert in_our_layout(ours, (4, 5, 3)) is None


def test_a_cube_is_laid_out_as_what_it_is_near_to() -> None:
    ours = RNG.normal(size=(2, 3, 3, 3)).astype(np.float32)
    theirs = np.moveaxis(ours, -1, 1) + np.float32(1e-6)
    assert len(list(layouts(theirs, (3, 3, 3)))) == 2
    got = in_our_layout(theirs, (3, 3, 3), ours)
    assert got is not None
    np.testing.assert_allclose(got, ours, atol=2e-6)


def test_axes_of_one_may_be_missing() -> None:
    sequence = RNG.normal(size=(2, 7, 4)).astype(np.float32)
    for theirs in (
        sequence,
        np.moveaxis(sequence, -1, 1),
        sequence[:, :, None],
        np.moveaxis(sequence, -1, 1)[..., None],
    ):
        got = in_our_layout(theirs, (7, 1, 4))
        assert got is not None
        np.testing.assert_array_equal(got[:, :, 0], sequence)


def test_calls_are_matched_by_name_and_then_by_order() -> None:
    graph = residual_network(RNG)
    x = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    ours = run_all(graph, x)
    kinds = {"first": "Conv", "norm": "BatchNormalization", "second": "Conv", "shortcut": "Add", "dense": "Gemm"}
    outputs = {node.name: node.output for node in graph.nodes}
    calls = [
        Call(("dense",) if name == "dense" else (f"module.{i}",), (kind,), _theirs(ours[outputs[name]]))
        for i, (name, kind) in enumerate(kinds.items())
    ]
    found = aligned([calls[-1], *calls[:-1]], graph, ours)
    assert set(found) == {outputs[name] for name in kinds}
    for name, array in found.items():
        np.testing.assert_array_equal(array, ours[name])


def test_a_convolution_with_a_folded_normalization_makes_what_the_normalization_makes() -> None:
    graph = residual_network(RNG)
    ours = run_all(graph, RNG.normal(size=(2, 8, 8, 3)).astype(np.float32))
    calls = [Call(("a",), ("Conv",), _theirs(ours["n1"])), Call(("b",), ("Conv",), _theirs(ours["c2"]))]
    assert sorted(aligned(calls, graph, ours)) == ["c2", "n1"]


def test_outputs_must_be_as_many_and_of_the_shapes() -> None:
    graph = residual_network(RNG)
    with pytest.raises(DataError, match="has 2 outputs; the network has 1"):
        in_order([np.zeros((1, 5)), np.zeros((1, 5))], graph, {})
    with pytest.raises(DataError, match=r"has the shape \(4,\), not \(5,\)"):
        in_order([np.zeros((1, 4))], graph, {})


def test_frameworks_that_are_missing_or_unknown_are_named() -> None:
    with pytest.raises(MissingToolError, match="pip install no-such-framework"):
        library("no_such_framework_at_all", "no-such-framework")
    with pytest.raises(OptionError, match="keras, torch, onnxruntime, tflite"):
        find_adaptor("caffe")
    for name in ("keras", "torch", "onnxruntime", "tflite"):
        adaptor = find_adaptor(name)
        assert all(callable(part) for part in (adaptor.load, adaptor.outputs, adaptor.capture))


def test_random_inputs_are_those_of_their_seed() -> None:
    graph = residual_network(RNG)
    first, again, other = (random_inputs(graph, 2, seed=seed)["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (2, 8, 8, 3)


def _theirs(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array
