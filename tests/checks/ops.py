"""check_op: everything an operator promises, against an oracle that knows nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress import encodings, ops
from refcompress.encodings import Csr, Dense, Encoding
from refcompress.ops.base import Array, Op, deterministic_gamma

Oracle = Callable[[Sequence[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]], NDArray[np.float64]]
ExactOracle = Callable[[Sequence[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]], NDArray[np.float32]]

TOLERANCE64 = 1e-11  # of the largest number involved; sums of a few thousand float64 terms stay far below


def check_op(
    op: Op,
    attrs: Any,
    inputs: Sequence[ArrayLike],
    oracle: Oracle,
    *,
    params: Mapping[str, ArrayLike | Encoding] | None = None,
    exact_oracle: ExactOracle | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Check one operator on given inputs.

    Parameters
    ----------
    op, attrs
        The row of OPS and its attributes.
    inputs
        Arrays with the batch axis first; rounded to float32 before anything else.
    oracle
        ``(inputs, params by role) -> output`` in float64, written from the formula (naive loops, SciPy).
    params
        Role to array or encoding.
    exact_oracle
        The same in float32, every rounding in the stated order (scalar loops); compared bit for bit.
    seed
        Of the perturbations that test how the error bound carries errors of the inputs on.

    Returns
    -------
    NDArray
        What the oracle computed.

    """
    x32 = [_frozen(np.asarray(x, np.float32)) for x in inputs]
    x64 = [_frozen(x.astype(np.float64)) for x in x32]
    encoded = {role: as_encoding(value) for role, value in (params or {}).items()}
    plain = {role: encodings.decode(value) for role, value in encoded.items()}
    expected = np.asarray(oracle(x64, {role: value.astype(np.float64) for role, value in plain.items()}))
    check_table(op, attrs)
    shapes = [x.shape[1:] for x in x32]
    shape = op.infer_shape(attrs, shapes, {role: value.shape for role, value in plain.items()})
    assert tuple(shape) == expected.shape[1:], f"shape rule gives {shape}, the oracle {expected.shape[1:]}"
    assert isinstance(macs := op.macs(attrs, shapes, shape, encoded), int)
    assert macs >= 0
    y64 = op.forward(attrs, x64, encoded)
    _same_kind(y64, expected, np.float64)
    _close(y64, expected, [*x64, expected])
    _check_empty_batch(op, attrs, x32, encoded, expected.shape)
    _check_roundings(op, attrs, x32, encoded, y64, expected, seed)
    if exact_oracle is not None:
        assert_same_bits(op.exact(attrs, x32, encoded), np.asarray(exact_oracle(x32, plain)))
    return expected


def check_table(op: Op, attrs: Any) -> None:
    """Check that the operator stands in OPS and that its attributes survive JSON."""
    assert ops.OPS[op.name] is op
    assert ops.make_attrs(op.name, json.loads(json.dumps(ops.attrs_to_dict(attrs)))) == attrs


def _check_empty_batch(
    op: Op, attrs: Any, x32: Sequence[Array], encoded: Mapping[str, Encoding], shape: tuple[int, ...]
) -> None:
    for function in (op.forward, op.exact):
        none = function(attrs, [x[:0] for x in x32], encoded)  # type: ignore[arg-type]
        assert none.shape == (0, *shape[1:])
        assert none.dtype == np.float32


def _check_roundings(
    op: Op,
    attrs: Any,
    x32: Sequence[NDArray[np.float32]],
    encoded: Mapping[str, Encoding],
    y64: Array,
    expected: NDArray[np.float64],
    seed: int,
) -> None:
    """Every float32 result is within the bound: of these inputs, and of inputs that carry errors themselves."""
    rng = np.random.default_rng(seed)
    x64 = [x.astype(np.float64) for x in x32]
    for size in (0.0, 1e-6, 1e-2):
        moved = [_frozen((x * (1 + size * rng.uniform(-1, 1, x.shape))).astype(np.float32)) for x in x32]
        errors = [np.abs(m.astype(np.float64) - x) for m, x in zip(moved, x64, strict=True)]
        bound = op.error_bound(attrs, x64, errors, encoded, y64, deterministic_gamma)
        assert bound.shape == expected.shape
        assert bound.dtype == np.float64
        assert np.isfinite(bound).all()
        assert (bound >= 0).all()
        for function in (op.forward, op.exact):
            y32 = function(attrs, moved, encoded)
            _same_kind(y32, expected, np.float32)
            excess = np.abs(y32.astype(np.float64) - expected) - bound
            # the oracle and the reference round in float64 too
            slack = 1e-13 * np.maximum(1.0, np.abs(expected)) if size else 1e-15 * np.abs(expected)
            assert (excess <= slack).all(), f"{function} leaves its error bound by {excess.max()} (inputs moved {size})"


def as_encoding(value: ArrayLike | Encoding) -> Encoding:
    """Encode an array as dense float32; leave an encoding as it is."""
    return value if isinstance(value, Dense | Csr) else encodings.encode(value)


def assert_same_bits(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    """Compare float32 arrays bit for bit; any NaN equals any NaN."""
    assert got.dtype == wanted.dtype == np.float32
    assert got.shape == wanted.shape
    a = np.where(np.isnan(got), np.float32(np.nan), got).view(np.int32)
    b = np.where(np.isnan(wanted), np.float32(np.nan), wanted).view(np.int32)
    where = np.argwhere(a != b)
    assert not len(where), (
        f"{len(where)} differ, first at {where[0]}: {got[tuple(where[0])]!r}, {wanted[tuple(where[0])]!r}"
    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


def _same_kind(got: Array, expected: NDArray[np.float64], dtype: type[np.floating[Any]]) -> None:
    assert got.shape == expected.shape, f"forward gives {got.shape}, the oracle {expected.shape}"
    assert got.dtype == dtype


def _close(got: Array, expected: NDArray[np.float64], involved: Sequence[Array]) -> None:
    scale = max(float(np.abs(a).max(initial=1.0)) for a in involved)
    assert np.abs(got - expected).max(initial=0.0) <= TOLERANCE64 * scale
