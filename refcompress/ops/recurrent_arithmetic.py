"""Steps of recurrent operators by NumPy and BLAS, and in the order of the C runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops import gate_functions, weights
from refcompress.ops.base import Array, Params
from refcompress.ops.gemm import multiply
from refcompress.ops.recurrent import Cell, collect, given, unroll
from refcompress.ops.weights import SparseRows, Weight

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """NumPy and BLAS, in the dtype of the inputs; an :class:`refcompress.ops.recurrent.Arithmetic`.

    Attributes
    ----------
    projected
        (time, batch, gates * units): bias + weight x.
    rows
        Of the recurrent weight.
    recurrent_bias
        (gates * units,), or None.
    units
        How many.

    """

    projected: Array
    rows: Weight
    recurrent_bias: Array | None
    units: int

    def sums(self, t: int, h: Array, first: int, last: int) -> tuple[Array, ...]:
        """Return the sums of some gates."""
        columns = slice(first * self.units, last * self.units)
        total = multiply(h, rows_between(self.rows, columns))
        total += self.projected[t, :, columns]
        return gates_of(total, self.units)

    def of_input(self, t: int) -> tuple[Array, ...]:
        """Return what the input adds to each gate."""
        return gates_of(self.projected[t], self.units)

    def of_state(self, h: Array) -> tuple[Array, ...]:
        """Return what the state adds to each gate."""
        total = multiply(h, self.rows)
        if self.recurrent_bias is not None:
            total += self.recurrent_bias
        return gates_of(total, self.units)

    def apply(self, name: str, x: Array) -> Array:
        """Apply an activation."""
        return gate_functions.forward(name, x)

    def blend(self, z: Array, h: Array, g: Array) -> Array:
        """Return z h + (1 - z) g."""
        return z * h + (1 - z) * g


def plain(x: Array, params: Params) -> Plain:
    """Multiply the inputs of all steps, (time, batch, channels), at once."""
    projected = multiply(x, weights.weight(params["weight"], x.dtype))
    bias = weights.optional_array(params.get("bias"), x.dtype)
    if bias is not None:
        projected += bias
    recurrent = params["recurrent_weight"]
    recurrent_bias = weights.optional_array(params.get("recurrent_bias"), x.dtype)
    return Plain(projected, weights.weight(recurrent, x.dtype), recurrent_bias, recurrent.shape[0])


def forward(cell: Cell, attrs: Any, inputs: Sequence[Array], params: Params) -> Array:
    """Run all steps."""
    start = given(cell, attrs, inputs, params)
    return collect(attrs, unroll(cell, attrs, plain(start.x, params), start), len(start.x))


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A float32 matrix whose products with vectors are summed in increasing column order of its stored entries.

    Attributes
    ----------
    weight
        (columns, rows), or the rows if they are sparse.
    blocks
        Rows that were asked for, kept contiguous.

    """

    weight: Float32 | SparseRows
    blocks: dict[tuple[int, int], Float32] = field(default_factory=dict)

    def sums(self, vectors: Float32, rows: slice, bias: Float32) -> Float32:
        """Return ``bias + weight v`` for some rows and each vector (batch, columns), as (batch, rows)."""
        from refcompress.kernels import exact

        bias = weights.read_only(bias[rows])
        if isinstance(self.weight, SparseRows):
            part = rows_between(self.weight, rows)
            sums = np.empty((len(bias), len(vectors)), np.float32)
            columns = weights.read_only(vectors.T)
            exact.gemm_sparse(columns, part.data, part.indices, part.indptr, bias, sums)
            return np.ascontiguousarray(sums.T)
        key = (rows.start, rows.stop)
        if key not in self.blocks:
            self.blocks[key] = weights.read_only(self.weight[:, rows])
        out = np.empty((len(vectors), len(bias)), np.float32)
        exact.gemm_dense(weights.read_only(vectors), self.blocks[key], bias, out)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """Float32 with every rounding in a stated order; an :class:`refcompress.ops.recurrent.Arithmetic`.

    Attributes
    ----------
    x
        (time, batch, channels).
    weight, recurrent, joined
        Of the input, of the state, and of both, the columns of the input first.
    bias, recurrent_bias
        (gates * units,).
    units
        How many.

    """

    x: Float32
    weight: Matrix
    recurrent: Matrix
    joined: Matrix
    bias: Float32
    recurrent_bias: Float32
    units: int

    def sums(self, t: int, h: Float32, first: int, last: int) -> tuple[Float32, ...]:
        """Return sums that start at the bias, add the products of x in their order, then those of h."""
        rows = slice(first * self.units, last * self.units)
        return gates_of(self.joined.sums(np.concatenate([self.x[t], h], 1), rows, self.bias), self.units)

    def of_input(self, t: int) -> tuple[Float32, ...]:
        """Return sums that start at the bias and add the products of x."""
        return gates_of(self.weight.sums(self.x[t], slice(0, len(self.bias)), self.bias), self.units)

    def of_state(self, h: Float32) -> tuple[Float32, ...]:
        """Return sums that start at the recurrent bias and add the products of h."""
        return gates_of(self.recurrent.sums(h, slice(0, len(self.bias)), self.recurrent_bias), self.units)

    def apply(self, name: str, x: Float32) -> Float32:
        """Apply an activation in its operator's order."""
        return gate_functions.exact(name, x)

    def blend(self, z: Float32, h: Float32, g: Float32) -> Float32:
        """Return z h + (1 - z) g: two products and the difference rounded, then the sum."""
        return z * h + (np.float32(1) - z) * g


def exact(cell: Cell, attrs: Any, inputs: Sequence[Float32], params: Params) -> Float32:
    """Run all steps in the order of the C runtime."""
    start = given(cell, attrs, inputs, params)
    rows = tuple(weights.weight(params[role], np.float32) for role in ("weight", "recurrent_weight"))
    units, columns = params["recurrent_weight"].shape
    bias, recurrent_bias = (weights.bias_or_zeros(params.get(role), columns) for role in ("bias", "recurrent_bias"))
    of_input, of_state, joined = (Matrix(_by_column(part)) for part in (*rows, _side_by_side(*rows)))
    arithmetic = Exact(start.x, of_input, of_state, joined, bias, recurrent_bias, units)
    return collect(attrs, unroll(cell, attrs, arithmetic, start), len(start.x))


def gates_of(total: Any, units: int) -> tuple[Any, ...]:
    """Split (batch, gates * units) into its gates."""
    return tuple(total[:, start : start + units] for start in range(0, total.shape[1], units))


def rows_between(rows: Weight, part: slice) -> Any:
    """Return some of the rows of a weight, dense or sparse as they are.

    Examples
    --------
    >>> rows_between(np.eye(3), slice(1, 2))
    array([[0., 1., 0.]])

    """
    if isinstance(rows, SparseRows):
        return replace(rows, indptr=rows.indptr[part.start : part.stop + 1])
    return rows[part]


def _by_column(rows: Weight) -> Any:
    return rows if isinstance(rows, SparseRows) else rows.T


def _side_by_side(left: Weight, right: Weight) -> Weight:
    """Join two matrices of the same rows, the columns of the second after those of the first."""
    if not isinstance(left, SparseRows) and not isinstance(right, SparseRows):
        return np.concatenate([left, right], 1)
    a, b = weights.all_stored(left), weights.all_stored(right)
    counts = np.diff(a.indptr), np.diff(b.indptr)
    owners = np.concatenate([np.repeat(np.arange(len(count)), count) for count in counts])
    order = np.argsort(owners, kind="stable")
    data = np.concatenate([a.data, b.data])[order]
    indices = np.concatenate([a.indices, b.indices + np.int32(a.columns)])[order]
    indptr = a.indptr + b.indptr
    return SparseRows(
        weights.read_only(data), weights.read_only(indices), weights.read_only(indptr), a.columns + b.columns
    )
