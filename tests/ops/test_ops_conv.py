"""Conv against naive loops and SciPy, dense and sparse, and its float32 twin against scalar loops."""

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
from scipy.signal import correlate

from refcompress import encodings
from refcompress.errors import ModelError
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.conv import OP, Conv

Arrays = Sequence[NDArray[Any]]


def naive(attrs: Conv, inputs: Arrays, params: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Compute the formula, one scalar operation after another, in the dtype of the inputs."""
    x, weight = inputs[0], params["weight"]
    batch, height, width, _ = x.shape
    kh, kw, group_in, cout = weight.shape
    top, left, bottom, right = attrs.pads
    oh = (height + top + bottom - (kh - 1) * attrs.dilations[0] - 1) // attrs.strides[0] + 1
    ow = (width + left + right - (kw - 1) * attrs.dilations[1] - 1) // attrs.strides[1] + 1
    out = np.zeros((batch, oh, ow, cout), x.dtype)
    for n, oy, ox, oc in np.ndindex(*out.shape):
        first = oc // (cout // attrs.group) * group_in
        total = params["bias"][oc] if "bias" in params else x.dtype.type(0)
        for ky, kx, c in np.ndindex(kh, kw, group_in):
            iy = oy * attrs.strides[0] - top + ky * attrs.dilations[0]
            ix = ox * attrs.strides[1] - left + kx * attrs.dilations[1]
            if 0 <= iy < height and 0 <= ix < width:
                total = total + weight[ky, kx, c, oc] * x[n, iy, ix, first + c]
        out[n, oy, ox, oc] = total
    return out


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, NDArray[Any], dict[str, NDArray[Any]]]:
    group = draw(st.sampled_from([1, 1, 2, 3]))
    group_in, group_out = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    attrs = Conv(
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        draw(st.tuples(*[st.integers(0, 3)] * 4)),
        dilations,
        group,
    )
    least = [max(1, (kernel[i] - 1) * dilations[i] + 1 - attrs.pads[i] - attrs.pads[i + 2]) for i in range(2)]
    plane = [draw(st.integers(size, size + 4)) for size in least]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((draw(st.integers(0, 3)), *plane, group * group_in))
    weight = rng.standard_normal((*kernel, group_in, group * group_out)).astype(np.float32)
    params = {"weight": weight}
    if draw(st.booleans()):
        params["bias"] = rng.standard_normal(group * group_out).astype(np.float32)
    return attrs, x, params


@given(convolutions())
@settings(max_examples=40)
def test_dense_convolution_equals_the_formula(case: tuple[Conv, NDArray[Any], dict[str, NDArray[Any]]]) -> None:
    attrs, x, params = case
    check_op(
        OP,
        attrs,
        [x],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params=params,
        exact_oracle=lambda inputs, arrays: naive(attrs, inputs, arrays),
    )


@given(convolutions(), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 99))
@settings(max_examples=40)
def test_sparse_convolution_equals_the_formula(
    case: tuple[Conv, NDArray[Any], dict[str, NDArray[Any]]], density: float, seed: int
) -> None:
    attrs, x, params = case
    weight = params["weight"]
    weight *= np.random.default_rng(seed).random(weight.shape) < density
    check_op(
        OP,
        attrs,
        [x],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params={**params, "weight": sparse_encoding(weight)},
        exact_oracle=lambda inputs, arrays: naive(attrs, inputs, arrays),
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_valid_convolution_equals_scipy(sparse: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 17, 12, 6))
    weight = rng.standard_normal((5, 3, 6, 7)).astype(np.float32)
    encoding = sparse_encoding(weight) if sparse else encodings.encode(weight)
    got = OP.forward(Conv(), [x], {"weight": encoding})
    for n, oc in np.ndindex(5, 7):
        wanted = correlate(x[n], weight[..., oc].astype(np.float64), mode="valid")[:, :, 0]
        np.testing.assert_allclose(got[n, :, :, oc], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_do_not_depend_on_their_neighbours(sparse: bool, dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((40, 16, 16, 3)).astype(dtype)
    weight = rng.standard_normal((3, 3, 3, 8)).astype(np.float32)
    params = {"weight": sparse_encoding(weight) if sparse else encodings.encode(weight)}
    attrs = Conv(pads=(1, 1, 1, 1))
    together = OP.forward(attrs, [x], params)
    alone = np.concatenate([OP.forward(attrs, [x[n : n + 1]], params) for n in range(len(x))])
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-5 if dtype is np.float32 else 1e-13)


def test_infinite_pixels_stay_in_their_windows() -> None:
    x = np.ones((2, 6, 6, 1), np.float32)
    x[0, 5, 5, 0] = np.inf
    weight = np.ones((3, 3, 1, 2), np.float32)
    for encoding in (encodings.encode(weight), sparse_encoding(weight)):
        for function in (OP.forward, OP.exact):
            out = function(Conv(pads=(1, 1, 1, 1)), [x], {"weight": encoding})
            assert np.array_equal(np.argwhere(~np.isfinite(out))[::2, :3], [[0, 4, 4], [0, 4, 5], [0, 5, 4], [0, 5, 5]])


@pytest.mark.parametrize("sparse", [False, True])
def test_the_bound_is_not_absurdly_loose(sparse: bool) -> None:
    rng = np.random.default_rng(5)
    x = np.abs(rng.standard_normal((4, 12, 12, 16))).astype(np.float32).astype(np.float64)
    weight = np.abs(rng.standard_normal((3, 3, 16, 8))).astype(np.float32)
    encoding = sparse_encoding(weight) if sparse else encodings.encode(weight)
    reference = OP.forward(Conv(), [x], {"weight": encoding})
    bound = OP.error_bound(Conv(), [x], [np.zeros_like(x)], {"weight": encoding}, reference, deterministic_gamma)
    # all terms positive: the bound is (n + 1) unit roundoffs of the result, errors are about sqrt(n) of them
    np.testing.assert_allclose(bound / reference, 145 * 2.0**-24, rtol=1e-3)
    actual = np.abs(OP.exact(Conv(), [x.astype(np.float32)], {"weight": encoding}) - reference)
    assert bound.max() < 100 * actual.max()


def test_the_bound_holds_for_every_order_of_summation() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 3, 3, 32)).astype(np.float32)
    weight = rng.standard_normal((3, 3, 32, 1)).astype(np.float32)
    params = {"weight": encodings.encode(weight)}
    reference = OP.forward(Conv(), [x.astype(np.float64)], params)
    bound = OP.error_bound(Conv(), [x], [np.zeros(x.shape)], params, reference, deterministic_gamma)
    products = (x[0] * weight[..., 0]).ravel()
    for _ in range(100):
        order = rng.permutation(products)
        assert abs(np.cumsum(order)[-1] - reference.item()) <= bound.item()


def test_macs_count_stored_weights_at_every_output() -> None:
    weight = np.zeros((3, 3, 2, 4), np.float32)
    weight[1, 1] = 1.0
    attrs = Conv()
    dense, sparse = {"weight": encodings.encode(weight)}, {"weight": sparse_encoding(weight, gap_bits=8)}
    assert OP.macs(attrs, [(5, 4, 2)], (3, 2, 4), dense) == 72 * 6
    assert OP.macs(attrs, [(5, 4, 2)], (3, 2, 4), sparse) == 8 * 6


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "attrs", "message"),
    [
        ((8, 8), (3, 3, 1, 4), None, Conv(), "three axes"),
        ((8, 8, 3), (3, 3, 3), None, Conv(), r"must be \(kh, kw, cin / group, cout\)"),
        ((8, 8, 3), (3, 3, 0, 4), None, Conv(), r"must be \(kh, kw, cin / group, cout\)"),
        ((8, 8, 3), (3, 3, 2, 4), None, Conv(), "takes 2 channels"),
        ((8, 8, 4), (3, 3, 2, 3), None, Conv(group=2), "do not divide into 2 groups"),
        ((2, 8, 3), (3, 3, 3, 4), None, Conv(), "larger than the input"),
        ((4, 8, 3), (3, 3, 3, 4), None, Conv(dilations=(2, 1)), "larger than the input"),
        ((8, 8, 3), (3, 3, 3, 4), (3,), Conv(), "4 output units"),
    ],
)
def test_what_does_not_fit_is_named(
    shape: tuple[int, ...], weight: tuple[int, ...], bias: tuple[int, ...] | None, attrs: Conv, message: str
) -> None:
    params = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    with pytest.raises(ModelError, match=message):
        OP.infer_shape(attrs, [shape], params)


@pytest.mark.parametrize(
    "attrs",
    [
        {"strides": (0, 1)},
        {"strides": (1,)},
        {"pads": (0, 0, -1, 0)},
        {"pads": (1, 1)},
        {"dilations": (1, 0)},
        {"group": 0},
    ],
)
def test_attributes_out_of_range_are_refused(attrs: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(attrs))):
        Conv(**attrs)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("sparse", [False, True])
def test_many_output_channels_equal_the_formula(group: int, sparse: bool) -> None:
    rng = np.random.default_rng(7)
    weight = rng.standard_normal((2, 3, 2, 40 * group)).astype(np.float32)
    attrs = Conv((1, 2), (1, 0, 1, 2), (1, 1), group)
    check_op(
        OP,
        attrs,
        [rng.standard_normal((2, 3, 5, 2 * group))],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params={"weight": sparse_encoding(weight) if sparse else weight, "bias": rng.standard_normal(40 * group)},
        exact_oracle=lambda inputs, arrays: naive(attrs, inputs, arrays),
    )
