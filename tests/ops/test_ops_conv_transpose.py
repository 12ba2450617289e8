"""ConvTranspose against naive loops and PyTorch, dense and sparse, and its float32 twin against scalar loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad
from checks.ops import check_op
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.errors import ModelError
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.conv_transpose import OP, ConvTranspose

Arrays = Sequence[NDArray[Any]]
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def naive(attrs: ConvTranspose, inputs: Arrays, params: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Add every product to its place, the taps outside, the pixels inside, in the dtype of the inputs."""
    x, weight = inputs[0], params["weight"]
    (batch, height, width, cin), (kh, kw, _, units) = x.shape, weight.shape
    top, left, bottom, right = attrs.pads
    oh = (height - 1) * attrs.strides[0] + attrs.dilations[0] * (kh - 1) + 1 + attrs.output_padding[0] - top - bottom
    ow = (width - 1) * attrs.strides[1] + attrs.dilations[1] * (kw - 1) + 1 + attrs.output_padding[1] - left - right
    out = np.zeros((batch, oh, ow, units * attrs.group), x.dtype)
    if "bias" in params:
        out += params["bias"]
    for ky, kx, ci, r in np.ndindex(kh, kw, cin, units):
        co = ci // (cin // attrs.group) * units + r
        for n, y, z in np.ndindex(batch, height, width):
            oy = y * attrs.strides[0] + ky * attrs.dilations[0] - top
            ox = z * attrs.strides[1] + kx * attrs.dilations[1] - left
            if 0 <= oy < oh and 0 <= ox < ow:
                out[n, oy, ox, co] += x[n, y, z, ci] * weight[ky, kx, ci, r]
    return out


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ConvTranspose, NDArray[Any], dict[str, NDArray[Any]]]:
    group = draw(st.sampled_from([1, 1, 2, 3]))
    group_in, units = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel, strides, dilations = draw(pairs), draw(pairs), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    plane = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    more = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    pads = [0, 0, 0, 0]
    for i in range(2):
        spare = (plane[i] - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + more[i]
        pads[i] = draw(st.integers(0, min(spare, 3)))
        pads[i + 2] = draw(st.integers(0, min(spare - pads[i], 3)))
    attrs = ConvTranspose(strides, (pads[0], pads[1], pads[2], pads[3]), more, dilations, group)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((draw(st.integers(0, 3)), *plane, group * group_in))
    params = {"weight": rng.standard_normal((*kernel, group * group_in, units)).astype(np.float32)}
    if draw(st.booleans()):
        params["bias"] = rng.standard_normal(group * units).astype(np.float32)
    return attrs, x, params


@given(transposed())
@settings(max_examples=50)
def test_dense_transposed_convolution_equals_the_formula(case: Any) -> None:
    attrs, x, params = case
    check_op(
        OP,
        attrs,
        [x],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params=params,
        exact_oracle=lambda inputs, arrays: naive(attrs, inputs, arrays),
    )
    check_grad(OP, attrs, [x], params=params)


@given(transposed(), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 99))
@settings(max_examples=30)
def test_sparse_transposed_convolution_equals_the_formula(case: Any, density: float, seed: int) -> None:
    attrs, x, params = case
    params["weight"] *= np.random.default_rng(seed).random(params["weight"].shape) < density
    sparse = {**params, "weight": sparse_encoding(params["weight"])}
    check_op(
        OP,
        attrs,
        [x],
        lambda inputs, arrays: naive(attrs, inputs, arrays),
        params=sparse,
        exact_oracle=lambda inputs, arrays: naive(attrs, inputs, arrays),
    )
    (back,), by_role = check_grad(OP, attrs, [x], params=sparse)
    (dense_back,), dense_by_role = check_grad(OP, attrs, [x], params=params)
    np.testing.assert_allclose(back, dense_back, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(by_role["weight"], dense_by_role["weight"])


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1)])
def test_torch_agrees_within_the_bound(group: int, dilations: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch where it is installed")
    rng = np.random.default_rng(group)
    x = rng.standard_normal((2, 7, 6, 8)).astype(np.float32)
    weight = rng.standard_normal((3, 4, 8, 3)).astype(np.float32)
    bias = rng.standard_normal(3 * group).astype(np.float32)
    got = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
        torch.from_numpy(weight.transpose(2, 3, 0, 1).copy()),
        torch.from_numpy(bias),
        stride=(2, 3),
        padding=(1, 2),
        output_padding=(1, 0),
        groups=group,
        dilation=dilations,
    )
    attrs = ConvTranspose((2, 3), (1, 2, 1, 2), (1, 0), dilations, group)
    params = {"weight": encodings.encode(weight), "bias": encodings.encode(bias)}
    reference = OP.forward(attrs, [x.astype(np.float64)], params)
    bound = OP.error_bound(attrs, [x], [np.zeros(x.shape)], params, reference, deterministic_gamma)
    assert (np.abs(got.numpy().transpose(0, 2, 3, 1) - reference) <= bound).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_do_not_depend_on_their_neighbours(sparse: bool, dtype: Any) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((40, 12, 12, 3)).astype(dtype)
    weight = rng.standard_normal((3, 3, 3, 8)).astype(np.float32)
    params = {"weight": sparse_encoding(weight) if sparse else encodings.encode(weight)}
    attrs = ConvTranspose((2, 2), (1, 1, 1, 1), (1, 1))
    for function in (OP.forward, OP.exact) if dtype is np.float32 else (OP.forward,):
        together = function(attrs, [x], params)
        alone = np.concatenate([function(attrs, [x[n : n + 1]], params) for n in range(len(x))])
        np.testing.assert_allclose(together, alone, rtol=0, atol=2e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_bound_counts_the_products_that_meet(sparse: bool) -> None:
    rng = np.random.default_rng(5)
    x = np.abs(rng.standard_normal((2, 6, 6, 16))).astype(np.float32).astype(np.float64)
    weight = np.abs(rng.standard_normal((4, 4, 16, 8))).astype(np.float32)
    params = {"weight": sparse_encoding(weight) if sparse else encodings.encode(weight)}
    attrs = ConvTranspose((2, 2))
    reference = OP.forward(attrs, [x], params)
    bound = OP.error_bound(attrs, [x], [np.zeros_like(x)], params, reference, deterministic_gamma)
    # of 16 taps a stride of 2 leaves four to a place
    np.testing.assert_allclose(bound / reference, (4 * 16 + 1) * 2.0**-24, rtol=1e-3)


def test_macs_count_stored_weights_at_every_pixel() -> None:
    weight = np.zeros((3, 3, 2, 4), np.float32)
    weight[1, 1] = 1.0
    dense, sparse = {"weight": encodings.encode(weight)}, {"weight": sparse_encoding(weight, gap_bits=8)}
    assert OP.macs(ConvTranspose(), [(5, 4, 2)], (7, 6, 4), dense) == 72 * 20
    assert OP.macs(ConvTranspose(), [(5, 4, 2)], (7, 6, 4), sparse) == 8 * 20


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "attrs", "message"),
    [
        ((8, 8), (3, 3, 1, 4), None, ConvTranspose(), "three axes"),
        ((8, 8, 3), (3, 3, 3), None, ConvTranspose(), r"must be \(kh, kw, cin, cout / group\)"),
        ((8, 8, 3), (3, 3, 2, 4), None, ConvTranspose(), "must equal the channels"),
        ((8, 8, 3), (3, 3, 3, 4), None, ConvTranspose(group=2), "group divide them"),
        ((2, 8, 3), (3, 3, 3, 4), None, ConvTranspose(pads=(2, 0, 2, 0)), "crop all"),
        ((8, 8, 4), (3, 3, 4, 2), (2,), ConvTranspose(group=2), "4 output units"),
    ],
)
def test_what_does_not_fit_is_named(
    shape: tuple[int, ...], weight: tuple[int, ...], bias: tuple[int, ...] | None, attrs: Any, message: str
) -> None:
    params = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    with pytest.raises(ModelError, match=message):
        OP.infer_shape(attrs, [shape], params)


@pytest.mark.parametrize(
    "attrs",
    [{"strides": (0, 1)}, {"pads": (0, 0, -1, 0)}, {"output_padding": (-1, 0)}, {"dilations": (1, 0)}, {"group": 0}],
)
def test_attributes_out_of_range_are_refused(attrs: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(attrs))):
        ConvTranspose(**attrs)
