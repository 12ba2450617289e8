"""What an operator is: a row of the OPS table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding
from refcompress.errors import ModelError

Shape = tuple[int, ...]
Array = NDArray[np.floating[Any]]
Params = Mapping[str, Encoding]
Cotangents = tuple[tuple[Array, ...], dict[str, Array]]  # of the inputs in order, and of the parameters by role

UNIT_ROUNDOFF = 2.0**-24  # float32, round to nearest
SMALLEST_NORMAL = 2.0**-126  # float32; below it results lose digits, or all of them where hardware flushes to zero
FLOAT64_SLACK = 1 + 2.0**-20  # more than all float64 roundings of a reference and its bound amount to


@dataclass(frozen=True, slots=True)
class NoAttrs:
    """The attributes of an operator that has none."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Attributes
    ----------
    name
        ONNX's name for it.
    attrs
        Frozen dataclass of its attributes; each field is a bool, int, float, str or tuple of int.
    infer_shape
        ``(attrs, input_shapes, param_shapes) -> output shape``, without the batch axis. Raises ModelError.
    forward
        ``(attrs, inputs, params) -> output`` with the batch axis first, in the dtype of the inputs (float32
        or float64), by NumPy and BLAS; sparse weights run sparse.
    exact
        The same in float32 with every rounding in a stated order: the twin of the C runtime.
    vjp
        ``(attrs, inputs, params, output, cotangent) -> (cotangents of the inputs, {role: cotangent})``: the
        product of a vector with the Jacobian matrix, in the dtype of the inputs. ``output`` is what
        ``forward`` gave and ``cotangent`` has its shape; those of parameters are summed over the batch, and
        dense whatever the encoding. Results may share memory with the cotangent: nobody writes into either.
    error_bound
        ``(attrs, inputs, errors, params, output, gamma) -> bound``: ``inputs`` and ``output`` are the float64
        reference activations, ``errors`` bounds on how far a float32 computation's inputs may be from them,
        all of the same shapes; the result bounds the output of any float32 computation of the usual formula,
        in any order of summation.
    macs
        ``(attrs, input_shapes, output_shape, params) -> multiply-accumulates`` of one sample; stored weights.
    roles
        Names of its parameters.
    optional_roles
        Those of them that may be absent.
    n_inputs
        How many inputs it takes: (least, most); None for any number.
    param_vjp
        The second half of ``vjp`` alone, for nodes whose inputs need no gradient, as a network's first layer;
        None where that would spare nothing.

    """

    name: str
    attrs: type[Any]
    infer_shape: Callable[[Any, Sequence[Shape], Mapping[str, Shape]], Shape]
    forward: Callable[[Any, Sequence[Array], Params], Array]
    exact: Callable[[Any, Sequence[NDArray[np.float32]], Params], NDArray[np.float32]]
    vjp: Callable[[Any, Sequence[Array], Params, Array, Array], Cotangents]
    error_bound: Callable[[Any, Sequence[Array], Sequence[Array], Params, Array, Callable[[int], float]], Array]
    macs: Callable[[Any, Sequence[Shape], Shape, Params], int]
    roles: tuple[str, ...] = ()
    optional_roles: tuple[str, ...] = ()
    n_inputs: tuple[int, int | None] = (1, 1)
    param_vjp: Callable[[Any, Sequence[Array], Params, Array, Array], dict[str, Array]] | None = None


def deterministic_gamma(n: int) -> float:
    """Bound on the relative error of n roundings in float32 (Higham 2002, Lemma 3.1).

    Examples
    --------
    >>> deterministic_gamma(1) > UNIT_ROUNDOFF
    True

    """
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)


def sum_error(
    magnitude: Callable[[Array], Array],
    x: Array,
    error: Array,
    bias: Array | None,
    n: int,
    gamma: Callable[[int], float],
) -> Array:
    """Bound the error of sums of products ``W x + b`` in float32 (Higham 2002, section 3.5, for any order).

    A product is rounded once and then takes part in at most n additions, hence n + 1 roundings:
    ``|W| e + gamma(n + 1) (|W| (|x| + e) + |b|)``, and what underflow costs where results are flushed to
    zero.

    Parameters
    ----------
    magnitude
        Multiplies with ``|W|`` in float64.
    x, error
        Reference input and how far the float32 input may be from it.
    bias
        Added to the last axis, or None.
    n
        Most products in one sum.
    gamma
        Relative error of so many roundings.

    """
    relative = gamma(n + 1)
    bound = magnitude(error + relative * (np.abs(x) + error))
    if bias is not None:
        bound += relative * np.abs(bias)
    return (bound + 2 * (n + 1) * SMALLEST_NORMAL) * FLOAT64_SLACK


def batch_sum(x: Array) -> Array:
    """Sum over all axes but the last.

    BLAS does it: NumPy adds short rows one after another, eight times slower, and piles up roundings.

    Examples
    --------
    >>> batch_sum(np.ones((2, 3, 4), np.float32))
    array([6., 6., 6., 6.], dtype=float32)

    """
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return np.asarray(np.ones(len(rows), x.dtype) @ rows)


def check_bias(params: Mapping[str, Shape], units: int) -> None:
    """Refuse a bias that is not one number for each output unit.

    Raises
    ------
    ModelError
        The bias has another shape.

    """
    if "bias" in params and params["bias"] != (units,):
        raise ModelError(f"a bias of shape {params['bias']} for {units} output units; it must be ({units},)")
