"""Layer, group, RMS and Lp normalization against loops; their bounds against every usual float32 formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad
from checks.ops import check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.errors import ModelError
from refcompress.ops import OPS
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.group_normalization import GroupNormalization
from refcompress.ops.layer_normalization import LayerNormalization
from refcompress.ops.lp_normalization import LpNormalization
from refcompress.ops.rms_normalization import RMSNormalization
from refcompress.verify.bounds import probabilistic_gamma

F = np.float32
Index = tuple[int, ...]
sizes, seeds = st.integers(1, 4), st.integers(0, 2**32 - 1)


def members(name: str, attrs: Any, shape: tuple[int, ...]) -> dict[Any, list[Index]]:
    """Which elements of an input, batch included, are normalised together, in their order."""
    groups: dict[Any, list[Index]] = {}
    for index in np.ndindex(*shape):
        if name == "GroupNormalization":
            key: Any = (index[0], index[-1] // (shape[-1] // attrs.num_groups))
        elif name == "LpNormalization":
            key = (*index[: attrs.axis], *index[attrs.axis + 1 :])
        else:
            key = index[: attrs.axis]
        groups.setdefault(key, []).append(index)
    return groups


def normalised(name: str, values: list[Any], epsilon: float) -> list[Any]:
    """Compute the formula, one scalar operation after another in the stated order, in the dtype of the values."""
    number = type(values[0])
    count, zero, small = number(len(values)), number(0), number(epsilon)
    if name == "LpNormalization":
        square = sum((x * x for x in values), zero)
        length = np.sqrt(max(small, square))
        return [x / length if length else x for x in values]
    if name == "RMSNormalization":
        root = np.sqrt(sum((x * x for x in values), zero) / count + small)
        return [x / root for x in values]
    mean = sum(values, zero) / count
    deviation = np.sqrt(sum(((x - mean) * (x - mean) for x in values), zero) / count + small)
    return [(x - mean) / deviation for x in values]


def loops(name: str, attrs: Any, x: NDArray[Any], params: Any) -> NDArray[Any]:
    out = np.empty_like(x)
    for group in members(name, attrs, x.shape).values():
        for index, value in zip(group, normalised(name, [x[i] for i in group], attrs.epsilon), strict=True):
            out[index] = value
    for role in ("scale", "bias"):
        if role in params:
            for index in np.ndindex(*x.shape):
                factor = params[role][index[x.ndim - params[role].ndim :]]
                out[index] = out[index] * factor if role == "scale" else out[index] + factor
    return out


@st.composite
def normalizations(draw: st.DrawFn) -> tuple[str, Any, NDArray[Any], dict[str, NDArray[Any]]]:
    name = draw(st.sampled_from(["LayerNormalization", "RMSNormalization", "GroupNormalization", "LpNormalization"]))
    shape = draw(st.lists(sizes, min_size=1, max_size=3))
    epsilon = draw(st.sampled_from([1e-3, 0.1]))
    rng = np.random.default_rng(draw(seeds))
    axis = draw(st.integers(1, len(shape)))
    if name == "GroupNormalization":
        groups = draw(st.integers(1, 3))
        shape[-1] *= groups
        attrs: Any = GroupNormalization(groups, epsilon)
    else:
        attrs = OPS[name].attrs(axis, epsilon)
    factor_shape = tuple(shape[-1:] if name == "GroupNormalization" else shape[axis - 1 :])
    params = {role: rng.standard_normal(factor_shape).astype(F) for role in OPS[name].roles if draw(st.booleans())}
    x = rng.standard_normal((2, *shape)) + rng.choice([0.0, 0.5], (2, *[1] * len(shape)))
    return name, attrs, x, params


@given(normalizations())
@settings(max_examples=80)
def test_normalizations_equal_their_formulas(case: tuple[str, Any, NDArray[Any], Any]) -> None:
    name, attrs, x, params = case
    check_op(
        OPS[name],
        attrs,
        [x],
        lambda inputs, arrays: loops(name, attrs, inputs[0], arrays),
        params=params,
        exact_oracle=lambda inputs, arrays: loops(name, attrs, inputs[0], arrays),
    )
    if attrs.epsilon == 0.1:  # a small one makes third derivatives too large for central differences
        check_grad(OPS[name], attrs, [x], params=params)


def ordered(values: NDArray[Any]) -> Any:
    """Sum the last axis one after another."""
    return np.cumsum(values, -1)[..., -1:]


def two_passes(x: NDArray[Any]) -> tuple[Any, Any]:
    mean = ordered(x) / F(x.shape[-1])
    return mean, ordered((x - mean) ** 2) / F(x.shape[-1])


def pairwise(x: NDArray[Any]) -> tuple[Any, Any]:
    return x.mean(-1, keepdims=True), x.var(-1, keepdims=True)


def difference_of_squares(x: NDArray[Any]) -> tuple[Any, Any]:
    """Compute mean(x**2) - mean(x)**2."""
    n = F(x.shape[-1])
    mean = ordered(x) / n
    return mean, ordered(x * x) / n - mean * mean


def clamped(x: NDArray[Any]) -> tuple[Any, Any]:
    mean, variance = difference_of_squares(x[..., ::-1])
    return mean, np.maximum(variance, F(0))


def welford(x: NDArray[Any], chunks: int = 1) -> tuple[Any, Any]:
    """Update mean and sum of squares one by one (Welford 1962), in chunks that are merged (Chan et al. 1983)."""
    parts = []
    for chunk in np.array_split(x, chunks, -1):
        mean, total = np.zeros_like(x[..., :1]), np.zeros_like(x[..., :1])
        for i in range(chunk.shape[-1]):
            delta = chunk[..., i : i + 1] - mean
            mean = mean + delta / F(i + 1)
            total = total + delta * (chunk[..., i : i + 1] - mean)
        parts.append((F(chunk.shape[-1]), mean, total))
    count, mean, total = parts[0]
    for more, other, squares in parts[1:]:
        delta, both = other - mean, count + more
        mean = mean + delta * (more / both)
        total = total + squares + delta * delta * (count * more / both)
        count = both
    return mean, total / count


MOMENTS: list[Callable[[NDArray[Any]], tuple[Any, Any]]] = [
    two_passes,
    pairwise,
    difference_of_squares,
    clamped,
    welford,
    lambda x: welford(x, 4),
]


def quotient(x: Any, mean: Any, variance: Any, scale: Any, bias: Any, epsilon: Any) -> Any:
    return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def reciprocal(x: Any, mean: Any, variance: Any, scale: Any, bias: Any, epsilon: Any) -> Any:
    return (x - mean) * (F(1) / np.sqrt(variance + epsilon)) * scale + bias


def folded(x: Any, mean: Any, variance: Any, scale: Any, bias: Any, epsilon: Any) -> Any:
    """Compute as TensorFlow's batch_normalization does: x * factor + (bias - mean * factor)."""
    factor = scale * (F(1) / np.sqrt(variance + epsilon))
    return x * factor + (bias - mean * factor)


@pytest.mark.parametrize("gamma", [deterministic_gamma, probabilistic_gamma])
@pytest.mark.parametrize(("offset", "n"), [(0.0, 7), (3.0, 64), (-20.0, 300), (100.0, 50)])
def test_the_bound_covers_every_usual_formula(gamma: Any, offset: float, n: int) -> None:
    rng = np.random.default_rng(n)
    x = (rng.standard_normal((40, n)) + offset).astype(F)
    params = {"scale": rng.standard_normal(n).astype(F), "bias": rng.standard_normal(n).astype(F)}
    encoded = {role: encode(value) for role, value in params.items()}
    attrs, op = LayerNormalization(1, 1e-3), OPS["LayerNormalization"]
    x64 = x.astype(np.float64)
    reference = op.forward(attrs, [x64], encoded)
    for size in (0.0, 1e-6, 1e-3):
        moved = (x * (1 + size * rng.uniform(-1, 1, x.shape))).astype(F)
        bound = op.error_bound(attrs, [x64], [np.abs(moved - x64)], encoded, reference, gamma)
        assert np.isfinite(bound).all()
        for moments in MOMENTS:
            mean, variance = moments(moved)
            for formula in (quotient, reciprocal, folded):
                got = formula(moved, mean, variance, params["scale"], params["bias"], F(1e-3))
                assert got.dtype == F
                assert (np.abs(got - reference) <= bound).all(), (moments, formula)


def test_where_cancellation_may_leave_no_variance_nothing_is_promised() -> None:
    attrs, op = LayerNormalization(1, 1e-12), OPS["LayerNormalization"]
    x = np.array([[1000.0, 1000.001, 999.999, 1000.0], [1.0, -1.0, 2.0, -2.0]])
    reference = op.forward(attrs, [x], {})
    bound = op.error_bound(attrs, [x], [np.zeros_like(x)], {}, reference, deterministic_gamma)
    assert np.isinf(bound[0]).all()
    assert (bound[1] < 1e-5).all()


@pytest.mark.parametrize("name", ["RMSNormalization", "LpNormalization"])
def test_bounds_of_scaled_vectors_are_tight_and_hold(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 200)).astype(F)
    attrs, op, x64 = OPS[name].attrs(1, 1e-6), OPS[name], x.astype(np.float64)
    reference = op.forward(attrs, [x64], {})
    bound = op.error_bound(attrs, [x64], [np.zeros_like(x64)], {}, reference, deterministic_gamma)
    assert (bound < 400 * 2.0**-24 * np.abs(reference) + 1e-30).all()
    for _ in range(20):
        total = ordered((x * x)[:, rng.permutation(200)])
        root = np.sqrt(total / F(200) + F(1e-6)) if name == "RMSNormalization" else np.sqrt(np.maximum(total, F(1e-6)))
        for got in (x / root, x * (F(1) / root)):
            assert (np.abs(got - reference) <= bound).all()


def test_a_vector_of_zeros_stays_one() -> None:
    x = np.zeros((1, 3))
    for epsilon in (0.0, 1e-12, 1e-60):
        attrs, op = LpNormalization(1, epsilon), OPS["LpNormalization"]
        for dtype, function in ((np.float64, op.forward), (F, op.forward), (F, op.exact)):
            assert not function(attrs, [x.astype(dtype)], {}).any()
        assert not op.error_bound(attrs, [x], [x], {}, x, deterministic_gamma).any()
        ((back,), _) = op.vjp(attrs, [x], {}, x, x)
        assert not back.any()


def test_huge_epsilon_only_divides() -> None:
    x = np.array([[3.0, 4.0]])
    ((back,), _) = check_grad(OPS["LpNormalization"], LpNormalization(1, 10000.0), [x])
    assert np.isfinite(back).all()
    assert OPS["LpNormalization"].forward(LpNormalization(1, 10000.0), [x], {}).tolist() == [[0.03, 0.04]]


def test_torch_agrees_within_the_bound() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch where it is installed")
    rng = np.random.default_rng(1)
    x = (3 * rng.standard_normal((3, 6, 5, 8)) + 1).astype(F)
    scale, bias = rng.standard_normal(8).astype(F), rng.standard_normal(8).astype(F)
    tensors = [torch.from_numpy(array) for array in (x, scale, bias)]
    functional = torch.nn.functional
    grouped = functional.group_norm(tensors[0].permute(0, 3, 1, 2), 4, *tensors[1:], 1e-3).permute(0, 2, 3, 1)
    wanted = {
        "LayerNormalization": (LayerNormalization(3), functional.layer_norm(tensors[0], (8,), *tensors[1:], 1e-3)),
        "GroupNormalization": (GroupNormalization(4), grouped),
        "RMSNormalization": (RMSNormalization(3, 1e-3), functional.rms_norm(tensors[0], (8,), tensors[1], 1e-3)),
        "LpNormalization": (LpNormalization(2), functional.normalize(tensors[0], dim=2)),
    }
    for name, (attrs, got) in wanted.items():
        op = OPS[name]
        params = {role: encode({"scale": scale, "bias": bias}[role]) for role in op.roles}
        x64 = x.astype(np.float64)
        reference = op.forward(attrs, [x64], params)
        bound = op.error_bound(attrs, [x64], [np.zeros_like(x64)], params, reference, deterministic_gamma)
        assert (np.abs(got.numpy() - reference) <= bound).all()
        assert bound.max() < 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNormalization(0), "at least 1"),
        (lambda: LayerNormalization(1, -1.0), "epsilon"),
        (lambda: RMSNormalization(1, math.inf), "epsilon"),
        (lambda: LpNormalization(-1), "at least 1"),
        (lambda: GroupNormalization(0), "num_groups"),
        (lambda: OPS["LayerNormalization"].infer_shape(LayerNormalization(3), [(4, 4)], {}), "last axis is 2"),
        (
            lambda: OPS["LayerNormalization"].infer_shape(LayerNormalization(1), [(4, 5)], {"scale": (5,)}),
            r"scale of shape \(5,\); it must be \(4, 5\)",
        ),
        (lambda: OPS["GroupNormalization"].infer_shape(GroupNormalization(3), [(4, 4)], {}), "3 groups must divide"),
        (
            lambda: OPS["GroupNormalization"].infer_shape(GroupNormalization(2), [(4, 4)], {"bias": (2,)}),
            r"bias of shape \(2,\); it must be \(4,\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()
