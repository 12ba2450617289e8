"""The row of OPS for a kind of recurrent cell."""

from __future__ import annotations

from functools import partial
from typing import Any

from refcompress.ops.base import Op
from refcompress.ops.recurrent import Cell, infer_shape, macs
from refcompress.ops.recurrent_arithmetic import exact, forward
from refcompress.ops.recurrent_bounds import error_bound
from refcompress.ops.recurrent_gradients import param_vjp, vjp


def recurrent_op(name: str, attrs: type[Any], cell: Cell, *, recurrent_bias: bool = False) -> Op:
    """Make an operator of a cell.

    Parameters
    ----------
    name
        Key of OPS.
    attrs
        Its attributes.
    cell
        What one step computes.
    recurrent_bias
        Whether it may have a bias of its own for the state.

    """
    optional = ("bias", "recurrent_bias") if recurrent_bias else ("bias",)
    return Op(
        name=name,
        attrs=attrs,
        infer_shape=partial(infer_shape, cell),
        forward=partial(forward, cell),
        exact=partial(exact, cell),
        vjp=partial(vjp, cell),
        error_bound=partial(error_bound, cell),
        macs=macs,
        roles=("weight", "recurrent_weight", *optional),
        optional_roles=optional,
        n_inputs=(1, 2 + cell.states),
        param_vjp=partial(param_vjp, cell),
    )
