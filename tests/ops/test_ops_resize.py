"""Resize against fractions and against PyTorch; its bound against coordinates computed in float32."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad
from checks.ops import check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import OPS, sampling
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.resize import OP, Resize

F = np.float32
HALF = Fraction(1, 2)
PICK: dict[str, Any] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda c: math.ceil(c - HALF),
    "round_prefer_ceil": lambda c: math.floor(c + HALF),
}


def coordinate(index: int, size: int, new: int, how: str) -> Fraction:
    """Place an output pixel by ONNX's formula, as a fraction."""
    if how == "half_pixel":
        return (index + HALF) * Fraction(size, new) - HALF
    if how == "asymmetric":
        return index * Fraction(size, new)
    return index * Fraction(size - 1, new - 1) if new > 1 else Fraction(0)


def taps(index: int, size: int, new: int, attrs: Resize) -> list[tuple[int, Fraction]]:
    """Pixels along one axis and their weights."""
    c = coordinate(index, size, new, attrs.coordinates)
    if attrs.mode == "nearest":
        return [(min(max(PICK[attrs.nearest](c), 0), size - 1), Fraction(1))]
    first = math.floor(c)
    return [(min(max(i, 0), size - 1), w) for i, w in ((first, 1 - (c - first)), (first + 1, c - first)) if w]


def loops(attrs: Resize, x: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros((len(x), *attrs.size, x.shape[3]))
    for y, z in np.ndindex(*attrs.size):
        for i, wy in taps(y, x.shape[1], attrs.size[0], attrs):
            for j, wx in taps(z, x.shape[2], attrs.size[1], attrs):
                out[:, y, z] += x[:, i, j] * float(wy * wx)
    return out


def exact_loops(attrs: Resize, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate scalars in the stated order: columns first, then lines."""
    if attrs.mode == "nearest":
        return loops(attrs, x.astype(np.float64)).astype(F)

    def along(index: int, size: int, new: int) -> tuple[int, int, Any]:
        c = min(max(coordinate(index, size, new, attrs.coordinates), Fraction(0)), Fraction(size - 1))
        first = math.floor(c)
        return first, min(first + 1, size - 1), F(float(c - first))

    out = np.zeros((len(x), *attrs.size, x.shape[3]), F)
    for n, y, z, c in np.ndindex(*out.shape):
        top, bottom, v = along(y, x.shape[1], attrs.size[0])
        left, right, w = along(z, x.shape[2], attrs.size[1])
        a, b = (x[n, i, left, c] * (F(1) - w) + x[n, i, right, c] * w for i in (top, bottom))
        out[n, y, z, c] = a * (F(1) - v) + b * v
    return out


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(sampling.COORDINATES),
    st.sampled_from(sampling.ROUNDINGS),
    st.integers(0, 99),
)
@settings(max_examples=60)
def test_resize_equals_the_formula(
    mode: str, plane: tuple[int, int], size: tuple[int, int], coordinates: str, rounding: str, seed: int
) -> None:
    attrs = Resize(size, mode, coordinates, rounding)
    x = np.random.default_rng(seed).standard_normal((2, *plane, 2))
    check_op(
        OP,
        attrs,
        [x],
        lambda inputs, _: loops(attrs, inputs[0]),
        exact_oracle=lambda inputs, _: exact_loops(attrs, inputs[0]),
        seed=seed,
    )
    check_grad(OP, attrs, [x], seed=seed)


def float32_coordinates(size: int, new: int, how: str, variant: int) -> NDArray[np.float32]:
    """Compute coordinates in float32: scale times index, index over the inverse scale, or times its reciprocal."""
    index = np.arange(new, dtype=F)
    over, under = (size - 1, max(new - 1, 1)) if how == "align_corners" else (size, new)
    shift = F(0.5) if how == "half_pixel" else F(0)
    if variant == 0:
        return (index + shift) * (F(over) / F(under)) - shift
    if over == 0:
        return np.zeros(new, F)
    inverse = F(under) / F(over)
    return (index + shift) / inverse - shift if variant == 1 else (index + shift) * (F(1) / inverse) - shift


def in_float32(attrs: Resize, x: NDArray[np.float32], variant: int, lines_first: bool) -> NDArray[np.float32]:
    y = x
    for axis in (1, 2) if lines_first else (2, 1):
        size = x.shape[axis]
        c = float32_coordinates(size, attrs.size[axis - 1], attrs.coordinates, variant)
        if attrs.mode == "nearest":
            half = F(0.5)
            whole = {
                "floor": np.floor(c),
                "ceil": np.ceil(c),
                "round_prefer_floor": np.ceil(c - half),
                "round_prefer_ceil": np.floor(c + half),
            }[attrs.nearest]
            y = y.take(np.clip(whole.astype(int), 0, size - 1), axis)
            continue
        first = np.floor(c)
        w = (c - first).reshape(-1, *[1] * (3 - axis))
        a, b = (y.take(np.clip(first.astype(int) + i, 0, size - 1), axis) for i in (0, 1))
        y = a + w * (b - a) if variant % 2 else a * (F(1) - w) + b * w
    return y


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", sampling.COORDINATES)
@pytest.mark.parametrize(("size", "new"), [(3, 9), (41, 123), (7, 5), (10, 47), (64, 100), (5, 10), (49, 7), (33, 97)])
def test_the_bound_covers_coordinates_in_float32(mode: str, coordinates: str, size: int, new: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, size, 4, 1)).astype(F)
    x64 = x.astype(np.float64)
    for rounding in sampling.ROUNDINGS if mode == "nearest" else ("floor",):
        attrs = Resize((new, 7), mode, coordinates, rounding)
        reference = OP.forward(attrs, [x64], {})
        bound = OP.error_bound(attrs, [x64], [np.zeros_like(x64)], {}, reference, deterministic_gamma)
        for variant in range(3):
            got = in_float32(attrs, x, variant, lines_first=variant != 1)
            assert (np.abs(got - reference) <= bound).all(), (attrs, variant)
        if mode == "linear":
            assert bound.max() < 2e-4


def test_a_float32_coordinate_does_leave_the_pixel_sometimes() -> None:
    """Repeating 41 pixels 123 times each by their floor fails where 1 / 123 is rounded: the bound must allow it."""
    c = float32_coordinates(41, 123 * 41, "asymmetric", 0)
    there = sampling.places(41, 123 * 41, "asymmetric")
    right, other = sampling.nearest(there, "floor"), sampling.other_nearest(there, "floor", deterministic_gamma)
    wrong = np.floor(c).astype(int) != right
    assert wrong.any()
    assert (np.floor(c).astype(int)[wrong] == other[wrong]).all()
    assert (other != right).sum() < len(c) // 20


@pytest.mark.parametrize("times", [2, 3, 5, 7])
def test_repeating_pixels_by_their_middles_is_beyond_doubt(times: int) -> None:
    there = sampling.places(30, 30 * times, "half_pixel")
    for rounding in ("round_prefer_floor", "round_prefer_ceil"):
        picked = sampling.nearest(there, rounding)
        assert np.array_equal(picked, np.repeat(np.arange(30), times))
        assert np.array_equal(picked, sampling.other_nearest(there, rounding, deterministic_gamma))


def test_powers_of_two_are_exact() -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, 4, 1))
    for attrs in (Resize((8, 8), "nearest", "asymmetric", "floor"), Resize((2, 2), "nearest", "asymmetric", "floor")):
        y = OP.forward(attrs, [x], {})
        bound = OP.error_bound(attrs, [x], [np.zeros_like(x)], {}, y, deterministic_gamma)
        assert not bound.any()
    attrs = Resize((8, 8), "linear")
    y = OP.forward(attrs, [x], {})
    bound = OP.error_bound(attrs, [x], [np.zeros_like(x)], {}, y, deterministic_gamma)
    assert (bound <= 13 * 2.0**-24 * np.abs(x).max()).all()


@pytest.mark.parametrize("align", [False, True])
def test_torch_agrees_within_the_bound(align: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch where it is installed")
    x = np.random.default_rng(2).standard_normal((2, 13, 9, 3)).astype(F)
    for size in ((31, 40), (5, 9), (26, 27)):
        tensor = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        got = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=align)
        attrs = Resize(size, "linear", "align_corners" if align else "half_pixel")
        x64 = x.astype(np.float64)
        reference = OP.forward(attrs, [x64], {})
        bound = OP.error_bound(attrs, [x64], [np.zeros_like(x64)], {}, reference, deterministic_gamma)
        assert (np.abs(got.numpy().transpose(0, 2, 3, 1) - reference) <= bound).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize((0, 2)), "size"),
        (lambda: Resize((2, 2), "cubic"), "nearest, linear"),
        (lambda: Resize((2, 2), "linear", "tf_crop"), "coordinates 'tf_crop'"),
        (lambda: Resize((2, 2), nearest="round"), "nearest 'round'"),
        (lambda: OPS["Resize"].infer_shape(Resize((2, 2)), [(4, 4)], {}), "three axes"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()
