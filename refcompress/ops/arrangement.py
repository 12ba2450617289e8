"""Operators that only put elements elsewhere, repeat or drop them: errors move as their elements do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


def arrangement(
    name: str,
    attrs_type: type[Any],
    infer_shape: Callable[[Any, Sequence[Shape], Mapping[str, Shape]], Shape],
    move: Callable[[Any, Array], Array],
    adjoint: Callable[[Any, Array, tuple[int, ...]], Array],
) -> Op:
    """Make the row of such an operator.

    Parameters
    ----------
    name, attrs_type, infer_shape
        As in :class:`refcompress.ops.base.Op`.
    move
        ``(attrs, x) -> output``, both with the batch axis first, of any dtype.
    adjoint
        ``(attrs, cotangent, shape of x) -> cotangent of x``: elements go back to where they came from, those of a
        repeated one added up, and what was dropped gets 0.

    """

    def forward(attrs: Any, inputs: Sequence[Array], _params: Params) -> Array:
        return move(attrs, inputs[0])

    def vjp(attrs: Any, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
        return (adjoint(attrs, cotangent, inputs[0].shape),), {}

    def error_bound(
        attrs: Any,
        _inputs: Sequence[Array],
        errors: Sequence[Array],
        _params: Params,
        _output: Array,
        _gamma: Callable[[int], float],
    ) -> Array:
        return move(attrs, errors[0])

    return Op(name, attrs_type, infer_shape, forward, forward, vjp, error_bound, no_macs)
