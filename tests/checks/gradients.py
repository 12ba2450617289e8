"""check_grad: gradients of operators and networks against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from checks.ops import as_encoding
from numpy.typing import ArrayLike, NDArray

from refcompress import encodings
from refcompress.gradients import gradients
from refcompress.graph import Graph
from refcompress.ops import weights
from refcompress.ops.base import Array, Op, Params
from refcompress.run import run

Float64 = NDArray[np.float64]

STEP = 2.0**-17
# A central difference is off by STEP^2 / 6 = 1e-11 times a third derivative, and by the rounding of the two values,
# a few 2^-53 / STEP = 1e-11 of the terms they sum; both stay far below this share of the sizes involved.
TOLERANCE64 = 2.0**-27
# Gradients in float32 are sums of up to a few hundred terms, each rounded to 2^-24.
TOLERANCE32 = 2.0**-14
DIRECTIONS = 2


def check_grad(
    op: Op,
    attrs: Any,
    inputs: Sequence[ArrayLike],
    *,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> tuple[tuple[Array, ...], dict[str, Array]]:
    """Check the gradient of one operator for a random cotangent, by every input and every parameter.

    Parameters
    ----------
    op, attrs
        The row of OPS and its attributes.
    inputs
        Arrays with the batch axis first, at least :data:`STEP` away from where the operator has a kink.
    params
        Role to array or encoding.
    seed
        Of the cotangent and the directions of the differences.

    Returns
    -------
    tuple
        The cotangents in float64.

    """
    rng = np.random.default_rng(seed)
    encoded = {role: as_encoding(value) for role, value in (params or {}).items()}
    plain = {role: encodings.decode(value).astype(np.float64) for role, value in encoded.items()}
    x64 = [_frozen(np.asarray(x, np.float64)) for x in inputs]
    output = _frozen(op.forward(attrs, x64, encoded))
    cotangent = _frozen(rng.standard_normal(output.shape))
    by_input, by_role = op.vjp(attrs, x64, encoded, output, cotangent)
    _check_kind(by_input, by_role, x64, plain, np.dtype(np.float64))
    _check_parts(op, attrs, x64, encoded, output, cotangent, by_role)

    def value(xs: Sequence[Array], arrays: Mapping[str, Array]) -> float:
        with weights.kept([(encoded[role], array) for role, array in arrays.items()]):
            return float((op.forward(attrs, xs, encoded) * cotangent).sum())

    size = float(np.abs(output * cotangent).sum())
    for i, gradient in enumerate(by_input):
        check_directions(lambda x, i=i: value([*x64[:i], x, *x64[i + 1 :]], plain), x64[i], gradient, size, rng)
    for role, gradient in by_role.items():
        check_directions(lambda x, role=role: value(x64, {**plain, role: x}), plain[role], gradient, size, rng)
    _check_float32(op, attrs, x64, encoded, cotangent, (by_input, by_role))
    return by_input, by_role


def check_directions(
    function: Callable[[Float64], float], x: Float64, gradient: Array, size: float, rng: np.random.Generator
) -> None:
    """Compare a gradient with central differences along random directions of +-1."""
    assert gradient.shape == x.shape
    for _ in range(DIRECTIONS):
        direction = rng.choice([-1.0, 1.0], x.shape)
        slope = (function(x + STEP * direction) - function(x - STEP * direction)) / (2 * STEP)
        predicted = float((gradient * direction).sum())
        scale = size + float(np.abs(gradient).sum())
        assert abs(slope - predicted) <= TOLERANCE64 * scale, f"the slope is {slope}, the gradient says {predicted}"


def check_graph_grad(
    graph: Graph, inputs: Mapping[str, ArrayLike], *, seed: int = 0
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Check the gradients of a whole network by every input and every parameter; return both."""
    rng = np.random.default_rng(seed)
    x64 = {name: np.asarray(x, np.float64) for name, x in inputs.items()}
    plain = {name: encodings.decode(graph.params[name]).astype(np.float64) for _, _, name in graph.weights()}
    cotangents = [rng.standard_normal(y.shape) for y in run(graph, x64, dtype=np.float64)]
    outputs, by_input, by_parameter = gradients(graph, x64, cotangents, dtype=np.float64)
    assert set(by_input) == set(x64)
    assert set(by_parameter) == set(plain)
    size = sum(float(np.abs(y * c).sum()) for y, c in zip(outputs, cotangents, strict=True))

    def value(xs: Mapping[str, Array], arrays: Mapping[str, Array]) -> float:
        ys = gradients(graph, xs, cotangents, dtype=np.float64, params=arrays, wrt_inputs=False)[0]
        return sum(float((y * c).sum()) for y, c in zip(ys, cotangents, strict=True))

    for name, x in x64.items():
        check_directions(lambda x, name=name: value({**x64, name: x}, {}), x, by_input[name], size, rng)
    for name, x in plain.items():
        check_directions(lambda x, name=name: value(x64, {name: x}), x, by_parameter[name], size, rng)
    return by_input, by_parameter


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64:
    """Numbers at least 0.01 away from each other, from 0 and from whole numbers, in random order."""
    count = int(np.prod(shape))
    numbers = (np.arange(count) - count // 2) / 50 + 0.01
    return rng.permutation(numbers).reshape(shape)


def _check_kind(
    by_input: Sequence[Array],
    by_role: Mapping[str, Array],
    inputs: Sequence[Array],
    plain: Mapping[str, Array],
    dtype: np.dtype[Any],
) -> None:
    assert [c.shape for c in by_input] == [x.shape for x in inputs]
    assert {role: c.shape for role, c in by_role.items()} == {role: array.shape for role, array in plain.items()}
    assert all(c.dtype == dtype for c in (*by_input, *by_role.values()))


def _check_parts(
    op: Op,
    attrs: Any,
    x64: Sequence[Array],
    encoded: Params,
    output: Array,
    cotangent: Array,
    by_role: Mapping[str, Array],
) -> None:
    """Gradients of parameters alone are the same; an empty batch has gradients too, of zero."""
    if op.param_vjp is not None:
        alone = op.param_vjp(attrs, x64, encoded, output, cotangent)
        assert set(alone) == set(by_role)
        assert all(np.array_equal(alone[role], by_role[role]) for role in by_role)
    nobody, nothing = op.vjp(attrs, [x[:0] for x in x64], encoded, output[:0], cotangent[:0])
    assert [c.shape for c in nobody] == [(0, *x.shape[1:]) for x in x64]
    assert set(nothing) == set(by_role)
    assert all(c.shape == by_role[role].shape and not c.any() for role, c in nothing.items())


def _check_float32(
    op: Op,
    attrs: Any,
    x64: Sequence[Array],
    encoded: Params,
    cotangent: Array,
    wanted: tuple[Sequence[Array], Mapping[str, Array]],
) -> None:
    x32 = [_frozen(x.astype(np.float32)) for x in x64]
    output = _frozen(op.forward(attrs, x32, encoded))
    by_input, by_role = op.vjp(attrs, x32, encoded, output, _frozen(cotangent.astype(np.float32)))
    plain = {role: encodings.decode(value) for role, value in encoded.items()}
    _check_kind(by_input, by_role, x32, plain, np.dtype(np.float32))
    for got, exact in _pairs((by_input, by_role), wanted):
        scale = (
            1
            + np.abs(exact).max(initial=0)
            + np.abs(cotangent).sum() * max(float(np.abs(x).max(initial=1)) for x in x64)
        )
        assert np.abs(got - exact).max(initial=0) <= TOLERANCE32 * scale


def _pairs(
    a: tuple[Sequence[Array], Mapping[str, Array]], b: tuple[Sequence[Array], Mapping[str, Array]]
) -> Iterator[tuple[Array, Array]]:
    yield from zip(a[0], b[0], strict=True)
    yield from ((a[1][role], b[1][role]) for role in b[1])


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = array.copy()
    array.flags.writeable = False
    return array
