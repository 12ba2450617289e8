"""Gemm against loops and SciPy, dense and sparse, and its float32 twin against scalar loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from checks.ops import check_op
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse as scipy_sparse

from refcompress import encodings
from refcompress.errors import ModelError
from refcompress.ops.base import NoAttrs, deterministic_gamma
from refcompress.ops.gemm import OP


def naive(inputs: Sequence[NDArray[Any]], params: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Compute the formula, one scalar operation after another, in the dtype of the inputs."""
    x, weight = inputs[0], params["weight"]
    out = np.zeros((*x.shape[:-1], weight.shape[1]), x.dtype)
    for place in np.ndindex(*out.shape):
        total = params["bias"][place[-1]] if "bias" in params else x.dtype.type(0)
        for k in range(weight.shape[0]):
            total = total + weight[k, place[-1]] * x[(*place[:-1], k)]
        out[place] = total
    return out


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.integers(0, 9),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([None, 0.0, 0.4, 1.0]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_product_equals_the_formula(
    leading: list[int], columns: int, units: int, bias: bool, density: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((columns, units)).astype(np.float32)
    params: dict[str, Any] = {"weight": weight}
    if density is not None:
        params["weight"] = sparse_encoding(weight * (rng.random(weight.shape) < density))
    if bias:
        params["bias"] = rng.standard_normal(units)
    x = rng.standard_normal((*leading, columns))
    check_op(OP, NoAttrs(), [x], naive, params=params, exact_oracle=naive)


@pytest.mark.parametrize("batch", [1, 3, 4, 64, 65, 150])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_equal_scipy(batch: int, dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(batch)
    weight = np.where(rng.random((200, 37)) < 0.1, rng.standard_normal((200, 37)), 0).astype(np.float32)
    x = rng.standard_normal((batch, 200)).astype(dtype)
    got = OP.forward(NoAttrs(), [x], {"weight": sparse_encoding(weight)})
    wanted = x.astype(np.float64) @ scipy_sparse.csr_array(weight.astype(np.float64))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)


def test_the_twin_rounds_every_product_and_every_sum() -> None:
    # (1 + e)^2 - 1 needs the bits of the product that a fused multiply-add would keep
    e = np.float32(2.0**-12)
    weight = np.array([[1.0], [1 + e]], np.float32)
    x = np.array([[-1.0, 1 + e]], np.float32)
    for encoding in (encodings.encode(weight), sparse_encoding(weight)):
        assert OP.exact(NoAttrs(), [x], {"weight": encoding}).item() == 2 * e


@pytest.mark.parametrize("sparse", [False, True])
def test_the_bound_is_not_absurdly_loose(sparse: bool) -> None:
    rng = np.random.default_rng(1)
    x = rng.random((8, 300)).astype(np.float32).astype(np.float64)
    weight = rng.random((300, 20)).astype(np.float32)
    params = {"weight": sparse_encoding(weight) if sparse else encodings.encode(weight)}
    reference = OP.forward(NoAttrs(), [x], params)
    bound = OP.error_bound(NoAttrs(), [x], [np.zeros_like(x)], params, reference, deterministic_gamma)
    np.testing.assert_allclose(bound / reference, 301 * 2.0**-24, rtol=1e-3)
    actual = np.abs(OP.exact(NoAttrs(), [x.astype(np.float32)], params) - reference)
    assert bound.max() < 100 * actual.max()


def test_the_bound_passes_errors_of_the_input_on() -> None:
    params = {"weight": encodings.encode([[2.0], [-3.0]])}
    x, errors = np.zeros((1, 2)), np.array([[0.5, 0.25]])
    bound = OP.error_bound(NoAttrs(), [x], [errors], params, np.zeros((1, 1)), deterministic_gamma)
    np.testing.assert_allclose(bound, 1.75, rtol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_bound_holds_for_every_order_of_summation(sparse: bool) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 500)).astype(np.float32)
    weight = rng.standard_normal((500, 1)).astype(np.float32)
    params = {"weight": sparse_encoding(weight) if sparse else encodings.encode(weight)}
    reference = OP.forward(NoAttrs(), [x.astype(np.float64)], params)
    bound = OP.error_bound(NoAttrs(), [x], [np.zeros(x.shape)], params, reference, deterministic_gamma)
    products = x[0] * weight[:, 0]
    orders = [np.sort(products), products[np.argsort(-np.abs(products))]]
    for order in (*orders, *(rng.permutation(products) for _ in range(100))):
        assert abs(np.cumsum(order)[-1] - reference.item()) <= bound.item()


def test_results_flushed_to_zero_are_within_the_bound() -> None:
    x = np.full((1, 4), 2.0**-80)
    params = {"weight": encodings.encode(np.full((4, 1), 2.0**-60))}
    reference = OP.forward(NoAttrs(), [x], params)
    bound = OP.error_bound(NoAttrs(), [x], [np.zeros_like(x)], params, reference, deterministic_gamma)
    assert abs(0.0 - reference.item()) <= bound.item()


def test_macs_count_stored_weights_at_every_position() -> None:
    weight = np.eye(4, dtype=np.float32)
    assert OP.macs(NoAttrs(), [(7, 4)], (7, 4), {"weight": encodings.encode(weight)}) == 16 * 7
    assert OP.macs(NoAttrs(), [(4,)], (4,), {"weight": sparse_encoding(weight)}) == 4


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "message"),
    [
        ((8,), (4, 8), None, r"orientation \(in, out\)"),
        ((), (4, 8), None, "first axis must equal"),
        ((8,), (8,), None, r"must be \(in, out\)"),
        ((8,), (8, 3), (8,), r"must be \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(
    shape: tuple[int, ...], weight: tuple[int, ...], bias: tuple[int, ...] | None, message: str
) -> None:
    params = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    with pytest.raises(ModelError, match=message):
        OP.infer_shape(NoAttrs(), [shape], params)
