"""BatchNormalization against its formula, and a bound that covers how frameworks compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from checks.ops import check_op
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.errors import ModelError
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.batch_normalization import OP, BatchNormalization

Arrays = Mapping[str, NDArray[Any]]


def naive(attrs: BatchNormalization, inputs: Sequence[NDArray[Any]], params: Arrays) -> NDArray[Any]:
    x = inputs[0]
    out = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        c = place[-1]
        normal = (x[place] - params["mean"][c]) / (params["var"][c] + attrs.epsilon) ** 0.5
        out[place] = normal * params.get("scale", np.ones(x.shape[-1]))[c]
        out[place] += params.get("bias", np.zeros(x.shape[-1]))[c]
    return out


def two_roundings(
    attrs: BatchNormalization, inputs: Sequence[NDArray[np.float32]], params: Arrays
) -> NDArray[np.float32]:
    x = inputs[0]
    out = np.zeros(x.shape, np.float32)
    for place in np.ndindex(*x.shape):
        wide = {role: np.float64(array[place[-1]]) for role, array in params.items()}
        factor = wide.get("scale", np.float64(1)) / np.sqrt(wide["var"] + attrs.epsilon)
        offset = wide.get("bias", np.float64(0)) - wide["mean"] * factor
        out[place] = x[place] * np.float32(factor) + np.float32(offset)
    return out


def moments(rng: np.random.Generator, channels: int) -> dict[str, NDArray[np.float32]]:
    return {
        "scale": rng.standard_normal(channels).astype(np.float32),
        "bias": rng.standard_normal(channels).astype(np.float32),
        "mean": (3 * rng.standard_normal(channels)).astype(np.float32),
        "var": (rng.random(channels) ** 4).astype(np.float32),
    }


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sets(st.sampled_from(["scale", "bias"])),
    st.floats(1e-5, 1.0),
    st.integers(0, 2**32 - 1),
)
def test_normalization_equals_the_formula(
    leading: list[int], channels: int, absent: set[str], epsilon: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    attrs = BatchNormalization(epsilon)
    params = {role: array for role, array in moments(rng, channels).items() if role not in absent}
    check_op(
        OP,
        attrs,
        [rng.standard_normal((*leading, channels))],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params=params,
        exact_oracle=lambda inputs, arrays: two_roundings(attrs, inputs, arrays),
    )


def float32_ways(x: NDArray[Any], p: Arrays, epsilon: float) -> list[NDArray[np.float32]]:
    """How frameworks compute it, all in float32, with a reciprocal root that is off by a few roundings."""
    spread = p["var"] + np.float32(epsilon)
    ways = []
    for wrong in (-4, 0, 4):
        root = (np.float32(1) / np.sqrt(spread)) * np.float32(1 + wrong * 2.0**-24)
        factor = root * p["scale"]
        ways += [
            (x - p["mean"]) * factor + p["bias"],
            x * factor + (p["bias"] - p["mean"] * factor),
            (x - p["mean"]) * root * p["scale"] + p["bias"],
        ]
    return [*ways, (x - p["mean"]) / np.sqrt(spread) * p["scale"] + p["bias"]]


@given(st.integers(0, 2**32 - 1))
def test_the_bound_covers_the_usual_orders_of_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params, attrs = moments(rng, 50), BatchNormalization(1e-3)
    x = (10 * rng.standard_normal((4, 50))).astype(np.float32)
    x64, encoded = x.astype(np.float64), {role: encode(array) for role, array in params.items()}
    reference = OP.forward(attrs, [x64], encoded)
    bound = OP.error_bound(attrs, [x64], [np.zeros(x.shape)], encoded, reference, deterministic_gamma)
    for way in float32_ways(x, params, attrs.epsilon):
        assert way.dtype == np.float32
        assert (np.abs(way - reference) <= bound).all()


def test_the_bound_is_not_absurdly_loose() -> None:
    rng = np.random.default_rng(2)
    params, attrs = moments(rng, 2000), BatchNormalization(1e-3)
    x = (10 * rng.standard_normal((4, 2000))).astype(np.float32)
    x64, encoded = x.astype(np.float64), {role: encode(array) for role, array in params.items()}
    reference = OP.forward(attrs, [x64], encoded)
    bound = OP.error_bound(attrs, [x64], [np.zeros(x.shape)], encoded, reference, deterministic_gamma)
    actual = np.max([np.abs(way - reference) for way in float32_ways(x, params, attrs.epsilon)], axis=0)
    assert np.median(bound / actual) < 20


def test_a_variance_that_has_no_root_is_refused() -> None:
    params = {"mean": encode([0.0]), "var": encode([-0.5])}
    with pytest.raises(ModelError, match=r"variance of -0\.5"):
        OP.forward(BatchNormalization(), [np.zeros((1, 1))], params)


@pytest.mark.parametrize("epsilon", [-1e-3, float("nan"), float("inf")])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(ModelError, match="epsilon"):
        BatchNormalization(epsilon)


@pytest.mark.parametrize(
    ("shape", "params", "message"),
    [
        ((), {"mean": (1,), "var": (1,)}, "without axes"),
        ((4, 3), {"mean": (3,), "var": (4,)}, r"a var of shape \(4,\)"),
        ((3,), {"mean": (3,), "var": (3,), "scale": (1, 3)}, "a scale of shape"),
    ],
)
def test_what_does_not_fit_is_named(shape: tuple[int, ...], params: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OP.infer_shape(BatchNormalization(), [shape], params)


def test_macs_are_one_an_element() -> None:
    assert OP.macs(BatchNormalization(), [(4, 5, 6)], (4, 5, 6), {}) == 120
