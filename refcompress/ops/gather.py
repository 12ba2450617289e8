"""Gather: rows of a table, an embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, ModelError
from refcompress.ops import weights
from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


def _infer_shape(_attrs: NoAttrs, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    if len(params["weight"]) != 2:
        raise ModelError(f"a weight of shape {params['weight']}; it must be (rows, dim)")
    return (*inputs[0], params["weight"][1])


def indices(x: Array, rows: int) -> NDArray[np.intp]:
    """Return the whole numbers that an array holds.

    Raises
    ------
    DataError
        One is no row of the table.

    Examples
    --------
    >>> indices(np.array([2.0, 0.0]), 3)
    array([2, 0])

    """
    allowed = (x == np.floor(x)) & (x >= 0) & (x < rows)  # false for NaN
    if not allowed.all():
        raise DataError(
            f"the index {x[~allowed][0]} into a table of {rows} rows; allowed are the whole numbers 0 to {rows - 1}"
        )
    return x.astype(np.intp)


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], params: Params) -> Array:
    table = weights.array(params["weight"], inputs[0].dtype)
    return table[indices(inputs[0], len(table))]


def _param_vjp(
    _attrs: NoAttrs, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> dict[str, Array]:
    """Add what each row was used for, in the order of the samples."""
    shape = params["weight"].shape
    table = np.zeros(shape, cotangent.dtype)
    np.add.at(table, indices(inputs[0], shape[0]), cotangent)
    return {"weight": table}


def _vjp(attrs: NoAttrs, inputs: Sequence[Array], params: Params, output: Array, cotangent: Array) -> Cotangents:
    """Nothing flows into the indices."""
    return (np.zeros_like(inputs[0]),), _param_vjp(attrs, inputs, params, output, cotangent)


def _error_bound(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Nothing is rounded; an index that may be off by 1/2 or more may name any row."""
    return np.asarray(np.where(errors[0][..., None] < 0.5, np.zeros_like(output), np.inf))


OP = Op(
    name="Gather",
    attrs=NoAttrs,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_forward,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=no_macs,
    roles=("weight",),
    param_vjp=_param_vjp,
)
