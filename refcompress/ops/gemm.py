"""Gemm: the last axis times a matrix (in, out), plus a bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import weights
from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params, Shape, batch_sum, check_bias, sum_error
from refcompress.ops.weights import SparseRows, Weight

MIN_COLUMNS = 4  # fewer vectors than that are multiplied one by one
BLOCK_COLUMNS = 64  # vectors multiplied together: their input stays in the second-level cache


def _infer_shape(_attrs: NoAttrs, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    shape, weight = inputs[0], params["weight"]
    if len(weight) != 2:
        raise ModelError(f"a weight of shape {weight}; it must be (in, out)")
    if not shape or shape[-1] != weight[0]:
        raise ModelError(
            f"an input of shape {shape} and a weight of shape {weight}, whose first axis must equal the "
            "input's last; flatten the input, or check the weight's orientation (in, out)"
        )
    check_bias(params, weight[1])
    return (*shape[:-1], weight[1])


def multiply(x: Array, rows: Weight) -> Array:
    """Multiply the last axis of ``x`` with every row.

    Examples
    --------
    >>> multiply(np.array([[1.0, 10.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[21., 43.]])

    """
    if not isinstance(rows, SparseRows):
        # one product: matmul would make one for each index of the leading axes
        vectors = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return (vectors @ rows.T).reshape(*x.shape[:-1], len(rows))
    units = len(rows.indptr) - 1
    vectors = weights.read_only(x.reshape(math.prod(x.shape[:-1]), rows.columns))
    return _multiply_sparse(vectors, rows, units).reshape(*x.shape[:-1], units)


def _multiply_sparse(vectors: Array, rows: SparseRows, units: int) -> Array:
    from refcompress.kernels import sparse

    out = np.empty((len(vectors), units), vectors.dtype)
    if len(vectors) < MIN_COLUMNS:
        sparse.multiply(rows.data, rows.indices, rows.indptr, vectors, out)
        return out
    for start in range(0, len(vectors), BLOCK_COLUMNS):
        block = vectors[start : start + BLOCK_COLUMNS]
        width = sparse.padded_positions(len(block))
        columns = np.zeros((rows.columns, width), vectors.dtype)
        columns[:, : len(block)] = block.T
        shifts = np.arange(rows.columns, dtype=np.int64) * width
        sums = np.empty((units, width), vectors.dtype)
        sparse.accumulate(rows.data, rows.indices, rows.indptr, shifts, columns.reshape(-1), units, 0, sums)
        out[start : start + len(block)] = sums[:, : len(block)].T
    return out


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], params: Params) -> Array:
    x = inputs[0]
    out = multiply(x, weights.weight(params["weight"], x.dtype))
    bias = weights.optional_array(params.get("bias"), x.dtype)
    if bias is not None:
        out += bias
    return out


def _exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    from refcompress.kernels import exact

    x, encoding = inputs[0], params["weight"]
    columns, units = encoding.shape
    bias = weights.bias_or_zeros(params.get("bias"), units)
    rows = weights.weight(encoding, np.float32)
    vectors = weights.read_only(x.reshape(math.prod(x.shape[:-1]), columns))
    if isinstance(rows, SparseRows):
        sums = np.empty((units, len(vectors)), np.float32)
        first = weights.read_only(vectors.T)
        exact.gemm_sparse(first, rows.data, rows.indices, rows.indptr, bias, sums)
        out = np.ascontiguousarray(sums.T)
    else:
        out = np.empty((len(vectors), units), np.float32)
        exact.gemm_dense(vectors, weights.array(encoding, np.float32), bias, out)
    return out.reshape(*x.shape[:-1], units)


def _param_vjp(
    _attrs: NoAttrs, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> dict[str, Array]:
    shape = params["weight"].shape
    vectors = inputs[0].reshape(math.prod(inputs[0].shape[:-1]), shape[0])
    gradients: dict[str, Array] = {"weight": vectors.T @ cotangent.reshape(len(vectors), shape[1])}
    if "bias" in params:
        gradients["bias"] = batch_sum(cotangent)
    return gradients


def _vjp(attrs: NoAttrs, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
    rows = weights.dense_rows(params["weight"], cotangent.dtype)
    vectors = cotangent.reshape(math.prod(cotangent.shape[:-1]), len(rows))
    return ((vectors @ rows).reshape(inputs[0].shape),), _param_vjp(attrs, inputs, params, output, cotangent)


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    rows = weights.magnitude(weights.weight(params["weight"], np.float64))
    bias = weights.optional_array(params.get("bias"), np.float64)
    n = weights.longest_sum(rows)
    return sum_error(lambda x: multiply(x, rows), inputs[0], errors[0], bias, n, gamma)


def _macs(_attrs: NoAttrs, _inputs: Sequence[Shape], output: Shape, params: Params) -> int:
    return weights.stored_count(params["weight"]) * math.prod(output[:-1])


OP = Op(
    name="Gemm",
    attrs=NoAttrs,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=_macs,
    roles=("weight", "bias"),
    optional_roles=("bias",),
    param_vjp=_param_vjp,
)
