"""Accuracy counts what a network classifies correctly, and refuses what is no classification."""

from __future__ import annotations

import numpy as np
import pytest
from checks.small_networks import classifier, two_ended
from hypothesis import given
from hypothesis import strategies as st

from refcompress.analysis import Accuracy, accuracy
from refcompress.encodings import encode
from refcompress.errors import DataError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs
from refcompress.run import run


def _identity(units: int) -> Graph:
    nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, make_attrs("Gemm", {})),)
    return Graph((TensorSpec("x", (units,)),), ("y",), nodes, {"w": encode(np.eye(units))})


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=150),
    batch_size=st.integers(1, 200),
    one_hot=st.booleans(),
    column=st.booleans(),
)
def test_it_counts_as_a_loop_over_samples_does(labels: list[int], batch_size: int, one_hot: bool, column: bool) -> None:
    graph = classifier()
    x = np.random.default_rng(len(labels)).normal(size=(len(labels), 12)).astype(np.float32)
    expected = 0
    for sample, label in zip(x, labels, strict=True):
        scores = run(graph, sample[None])[0][0].tolist()
        expected += scores.index(max(scores)) == label
    y = np.eye(4)[labels] if one_hot else np.array(labels)[:, None] if column else np.array(labels)
    assert accuracy(graph, x, y, batch_size=batch_size) == Accuracy(expected, len(labels))


def test_images_of_bytes_need_no_conversion() -> None:
    x = np.array([[0, 255], [3, 1]], np.uint8)
    assert accuracy(_identity(2), x, np.array([1, 1], np.uint8)) == Accuracy(1, 2)


def test_a_single_unit_answers_at_one_half() -> None:
    x = np.array([[0.2], [0.5], [0.7]], np.float32)
    assert accuracy(_identity(1), x, np.array([0, 0, 1])) == Accuracy(3, 3)


def test_progress_ends_with_everything() -> None:
    said: list[float] = []
    accuracy(_identity(2), np.ones((5, 2)), np.zeros(5, int), batch_size=2, progress=said.append)
    assert said == [0.4, 0.8, 1.0]


X = np.ones((2, 4), np.float32)
BAD = {
    "fewer labels": (X, np.zeros(1, int), "2 samples and 1 labels"),
    "no samples": (X[:0], np.zeros(0, int), "at least one"),
    "a label too large": (X, np.array([0, 4]), "know 0 to 3"),
    "a negative label": (X, np.array([0, -1]), "labels from -1 to 0"),
    "labels between classes": (X, np.array([0.5, 1]), "give integers"),
    "labels that are texts": (X, np.array(["a", "b"]), "give integers"),
    "labels of a wrong shape": (X, np.zeros((2, 3)), "rows of 4 scores"),
    "samples that are texts": (np.array([["a"] * 4] * 2), np.zeros(2, int), "give real numbers"),
    "samples of a wrong shape": (np.ones((2, 5)), np.zeros(2, int), "5"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_data_are_refused(case: str) -> None:
    x, y, words = BAD[case]
    with pytest.raises(DataError, match=words):
        accuracy(_identity(4), x, y)


def test_networks_that_classify_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="one input and one output"):
        accuracy(two_ended(), np.ones((2, 3)), np.zeros(2, int))
    relu = Node("Relu", "r", ("x",), "y", attrs=make_attrs("Relu", {}))
    with pytest.raises(DataError, match="one score for each class"):
        accuracy(Graph((TensorSpec("x", (2, 2)),), ("y",), (relu,), {}), np.ones((1, 2, 2)), np.zeros(1, int))
