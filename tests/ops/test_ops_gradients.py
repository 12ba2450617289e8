"""The gradient of every operator against central differences, and of kinks and ties against what is stated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks.encodings import all_nestings, build
from checks.gradients import check_grad, spread
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.average_pool import AveragePool
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.clip import Clip
from refcompress.ops.concat import Concat
from refcompress.ops.conv import Conv
from refcompress.ops.dropout import Dropout
from refcompress.ops.global_average_pool import GlobalAveragePool
from refcompress.ops.global_max_pool import GlobalMaxPool
from refcompress.ops.max_pool import MaxPool
from refcompress.ops.pad import Pad
from refcompress.ops.reshape import Reshape

Arrays = dict[str, NDArray[Any]]
shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
batches = st.integers(0, 3)
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
planes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
pads = st.tuples(*[st.integers(0, 2)] * 4)


@given(st.sampled_from(["Relu", "Sigmoid", "Tanh", "Softmax", "Flatten"]), batches, shapes, seeds)
def test_functions_of_single_arrays(name: str, batch: int, shape: tuple[int, ...], seed: int) -> None:
    if name == "Softmax" and not shape:
        shape = (1,)
    rng = np.random.default_rng(seed)
    check_grad(OPS[name], NoAttrs(), [spread(rng, (batch, *shape))], seed=seed)


@given(batches, shapes, seeds)
def test_clip_dropout_and_reshape(batch: int, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = spread(rng, (batch, *shape))
    check_grad(OPS["Clip"], Clip(-0.12, 0.26), [x])
    ((back,), _) = check_grad(OPS["Dropout"], Dropout(0.5), [x])
    assert back.shape == x.shape
    check_grad(OPS["Reshape"], Reshape((1, int(np.prod(shape)))), [x])


@given(st.integers(2, 4), batches, shapes, seeds)
def test_add_and_concat(count: int, batch: int, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_grad(OPS["Add"], NoAttrs(), [rng.standard_normal((batch, *shape)) for _ in range(count)])
    for axis in range(1, len(shape) + 1):
        sizes = [(batch, *shape[: axis - 1], n, *shape[axis:]) for n in rng.integers(1, 4, count)]
        check_grad(OPS["Concat"], Concat(axis), [rng.standard_normal(size) for size in sizes])


@given(batches, planes, pads, st.booleans(), seeds)
def test_pad_and_global_pools(
    batch: int, plane: tuple[int, ...], around: tuple[int, int, int, int], keepdims: bool, seed: int
) -> None:
    x = spread(np.random.default_rng(seed), (batch, *plane))
    check_grad(OPS["Pad"], Pad(around), [x])
    check_grad(OPS["GlobalAveragePool"], GlobalAveragePool(keepdims), [x])
    check_grad(OPS["GlobalMaxPool"], GlobalMaxPool(keepdims), [x])


@st.composite
def pooled(draw: st.DrawFn) -> tuple[tuple[Any, Any, Any], NDArray[Any]]:
    kernel, strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pairs)
    around = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    least = [max(1, kernel[i] - around[i] - around[i + 2]) for i in range(2)]
    plane = [draw(st.integers(size, size + 4)) for size in least]
    shape = (draw(batches), *plane, draw(st.integers(1, 3)))
    return (kernel, strides, around), spread(np.random.default_rng(draw(seeds)), shape)


@given(pooled())
def test_max_pool(case: tuple[tuple[Any, Any, Any], NDArray[Any]]) -> None:
    check_grad(OPS["MaxPool"], MaxPool(*case[0]), [case[1]])


@given(pooled(), st.booleans())
def test_average_pool(case: tuple[tuple[Any, Any, Any], NDArray[Any]], include: bool) -> None:
    check_grad(OPS["AveragePool"], AveragePool(*case[0], count_include_pad=include), [case[1]])


@given(batches, st.lists(st.integers(1, 4), min_size=1, max_size=3), st.booleans(), st.booleans(), seeds)
def test_batch_normalization_by_its_moments_too(
    batch: int, shape: list[int], scale: bool, bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    params = {"mean": rng.standard_normal(shape[-1]), "var": rng.uniform(0.5, 2, shape[-1])}
    params |= {"scale": rng.standard_normal(shape[-1])} if scale else {}
    params |= {"bias": rng.standard_normal(shape[-1])} if bias else {}
    x = rng.standard_normal((batch, *shape))
    check_grad(OPS["BatchNormalization"], BatchNormalization(1e-3), [x], params=params)


@given(batches, st.lists(st.integers(1, 4), min_size=0, max_size=2), pairs, st.booleans(), seeds)
def test_gemm_of_any_rank(batch: int, shape: list[int], sizes: tuple[int, int], bias: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = {"weight": rng.standard_normal(sizes)} | ({"bias": rng.standard_normal(sizes[1])} if bias else {})
    check_grad(OPS["Gemm"], NoAttrs(), [rng.standard_normal((batch, *shape, sizes[0]))], params=params)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, NDArray[Any], Arrays]:
    group = draw(st.sampled_from([1, 1, 2, 3]))
    group_in, group_out = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel, dilations = draw(pairs), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    attrs = Conv(draw(pairs), draw(pads), dilations, group)
    least = [max(1, (kernel[i] - 1) * dilations[i] + 1 - attrs.pads[i] - attrs.pads[i + 2]) for i in range(2)]
    plane = [draw(st.integers(size, size + 4)) for size in least]
    rng = np.random.default_rng(draw(seeds))
    x = rng.standard_normal((draw(batches), *plane, group * group_in))
    params = {"weight": rng.standard_normal((*kernel, group_in, group * group_out)).astype(np.float32)}
    if draw(st.booleans()):
        params["bias"] = rng.standard_normal(group * group_out).astype(np.float32)
    return attrs, x, params


@given(convolutions())
@settings(max_examples=150)
def test_convolutions_dense_grouped_depthwise_dilated_strided(case: tuple[Conv, NDArray[Any], Arrays]) -> None:
    attrs, x, params = case
    check_grad(OPS["Conv"], attrs, [x], params=params)


@pytest.mark.parametrize("block_bytes", [1, 400, 3000])
def test_convolutions_cut_into_blocks_of_lines_and_images(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refcompress.ops.dense_convolution.BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(0)
    for attrs, channels in ((Conv((2, 1), (1, 0, 2, 1), (2, 1), 2), 4), (Conv((1, 2), (1, 1, 1, 1)), 1)):
        weight = rng.standard_normal((3, 2, channels // attrs.group, 6))
        check_grad(OPS["Conv"], attrs, [rng.standard_normal((3, 8, 7, channels))], params={"weight": weight})


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_sparse_weights_have_dense_gradients(density: float) -> None:
    rng = np.random.default_rng(1)
    for op, attrs, shape, x in (
        (OPS["Gemm"], NoAttrs(), (6, 5), rng.standard_normal((3, 6))),
        (OPS["Conv"], Conv(pads=(1, 1, 1, 1)), (3, 3, 2, 4), rng.standard_normal((2, 5, 4, 2))),
    ):
        weight = (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32)
        sparse, dense = (check_grad(op, attrs, [x], params={"weight": w}) for w in (sparse_encoding(weight), weight))
        np.testing.assert_array_equal(sparse[1]["weight"], dense[1]["weight"])
        np.testing.assert_allclose(sparse[0][0], dense[0][0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("nesting", all_nestings(), ids=str)
def test_parameters_in_every_encoding(nesting: Any) -> None:
    array = np.random.default_rng(2).choice(np.array([0, 0, 0.5, -2, 1.25], np.float32), (4, 3))
    encoding = build(nesting, array)
    x = np.random.default_rng(3).standard_normal((2, 4))
    cotangent = np.random.default_rng(4).standard_normal((2, 3))
    output = OPS["Gemm"].forward(NoAttrs(), [x], {"weight": encoding})
    (back,), by_role = OPS["Gemm"].vjp(NoAttrs(), [x], {"weight": encoding}, output, cotangent)
    np.testing.assert_allclose(back, cotangent @ encodings.decode(encoding).astype(np.float64).T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_role["weight"], x.T @ cotangent, rtol=0, atol=1e-13)


def back_of(name: str, attrs: Any, x: NDArray[Any], cotangent: NDArray[Any]) -> NDArray[Any]:
    output = OPS[name].forward(attrs, [x], {})
    (back,), _ = OPS[name].vjp(attrs, [x], {}, output, cotangent)
    return np.asarray(back)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_go_to_the_first_maximum(dtype: type[np.floating[Any]]) -> None:
    x = np.array([[1, 2, 2], [2, 0, -0.0]], dtype).reshape(1, 2, 3, 1)
    whole = back_of("MaxPool", MaxPool((2, 3), (1, 1)), x, np.full((1, 1, 1, 1), 5, dtype))
    assert whole.ravel().tolist() == [0, 5, 0, 0, 0, 0]
    assert back_of("GlobalMaxPool", GlobalMaxPool(), x, np.full((1, 1), 5, dtype)).tolist() == whole.tolist()
    overlapping = back_of("MaxPool", MaxPool((1, 2), (1, 1)), x, np.array([1, 2, 4, 8], dtype).reshape(1, 2, 2, 1))
    assert overlapping.ravel().tolist() == [0, 3, 0, 4, 8, 0]


def test_padding_never_wins_not_even_against_minus_infinity() -> None:
    x = np.full((1, 1, 1, 1), -np.inf)
    assert back_of("MaxPool", MaxPool((2, 2), (1, 1), (1, 1, 0, 0)), x, np.ones((1, 1, 1, 1))).tolist() == [[[[1.0]]]]


def test_nothing_passes_at_a_kink() -> None:
    x, ones = np.array([[-1.0, 0.0, 1.0, 6.0, 7.0]]), np.ones((1, 5))
    assert back_of("Relu", NoAttrs(), x, ones).tolist() == [[0, 0, 1, 1, 1]]
    assert back_of("Clip", Clip(0, 6), x, ones).tolist() == [[0, 0, 1, 0, 0]]


def test_a_blocked_relu_stops_even_infinite_cotangents() -> None:
    assert back_of("Relu", NoAttrs(), np.array([[-1.0]]), np.array([[np.inf]])).tolist() == [[0.0]]


def test_softmax_of_huge_logits_has_finite_gradients() -> None:
    x = np.array([[1e30, 0.0, -1e30]])
    assert np.isfinite(back_of("Softmax", NoAttrs(), x, np.array([[1.0, -2.0, 3.0]]))).all()
