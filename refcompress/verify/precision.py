"""Precisions that frameworks compute in, and how far one operator may be from its float64 value in each of them.

There are two ways of computing in a low precision. *Storage*: weights and every array that one operation hands to the
next are rounded to it, sums run in float32 (PyTorch's autocast, TensorFlow's mixed precision, the matrix units of
accelerators). *Sums*: all arithmetic runs in it. TF32 and its kin are a third thing: only the factors of products
are rounded, inside matrix products and convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode, encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node
from refcompress.ops import find_op
from refcompress.ops.base import SMALLEST_NORMAL, UNIT_ROUNDOFF, deterministic_gamma

Float64 = NDArray[np.float64]
Gamma = Callable[[int, float], float]  # relative error that n roundings of unit roundoff u amount to

CONFIDENCE = 6.0  # lambda: a sum leaves its bound with a probability below 2 exp(-lambda**2 / 2) = 3e-8
# Where an operator is computed as several operations, as many of them as this hand a rounded array to the next: nine
# for a normalization made of elementary functions, which is the longest chain that frameworks are seen to make.
MOST_STORED = 8
STORED_BY_PRODUCTS = 3  # products, their sum with another product, the sum with the bias; the result comes on top
PRODUCTS = frozenset({"Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format, round to nearest.

    Attributes
    ----------
    name
        What it is called.
    bits
        Of the significand, the implicit one included.
    smallest_normal
        Below it results lose digits, or all of them where hardware flushes to zero.
    largest
        Largest finite value.

    Examples
    --------
    >>> FLOAT16.unit_roundoff == 2.0**-11
    True

    """

    name: str
    bits: int
    smallest_normal: float
    largest: float

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error of one rounding."""
        return 2.0**-self.bits

    def rounded(self, x: NDArray[Any]) -> Float64:
        """Round to the nearest value of the format, ties to even; beyond the largest one to infinity.

        Examples
        --------
        >>> BFLOAT16.rounded(np.array([1.001953125, 1.005859375, 1e-41]))
        array([1.       , 1.0078125, 0.       ])
        >>> FLOAT16.rounded(np.array([1 / 3, 65519.0, 65520.0, 1e-7]))
        array([3.33251953e-01, 6.55040000e+04,            inf, 1.19209290e-07])

        """
        x = np.asarray(x, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            _, exponent = np.frexp(x)
            least = math.frexp(self.smallest_normal)[1]  # denormals share its spacing
            spacing = np.ldexp(1.0, np.maximum(exponent, least) - self.bits)
            near: Float64 = np.rint(x / spacing) * spacing
            near = np.where(np.isfinite(x), near, x)
            return np.where(np.abs(near) > self.largest, np.copysign(np.inf, x), near)

    def holds(self, x: NDArray[Any]) -> bool:
        """Whether every element is a value of the format.

        Examples
        --------
        >>> FLOAT16.holds(np.array([0.5, np.inf])), FLOAT16.holds(np.array([0.1]))
        (True, False)

        """
        x = np.asarray(x, np.float64)
        return bool(np.array_equal(self.rounded(x), x, equal_nan=True))


FLOAT32 = Format("float32", 24, SMALLEST_NORMAL, float(np.finfo(np.float32).max))
FLOAT16 = Format("float16", 11, 2.0**-14, 65504.0)
BFLOAT16 = Format("bfloat16", 8, SMALLEST_NORMAL, (2 - 2.0**-7) * 2.0**127)
TF32 = Format("tf32", 11, SMALLEST_NORMAL, (2 - 2.0**-10) * 2.0**127)


@dataclass(frozen=True, slots=True)
class Precision:
    """A way of computing a network.

    Attributes
    ----------
    name
        Key of :data:`PRECISIONS`.
    text
        What it is, for people.
    storage
        Of weights and activations.
    sums
        Of all arithmetic.
    products
        To which the factors of matrix products and convolutions are rounded.

    """

    name: str
    text: str
    storage: Format
    sums: Format
    products: Format


# from the highest to the lowest: the first that explains a difference is named
PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        row.name: row
        for row in (
            Precision("float32", "float32", FLOAT32, FLOAT32, FLOAT32),
            Precision("tf32", "TF32 products, float32 sums", FLOAT32, FLOAT32, TF32),
            Precision("float16", "float16 weights and activations, float32 sums", FLOAT16, FLOAT32, FLOAT16),
            Precision("bfloat16_products", "bfloat16 products, float32 sums", FLOAT32, FLOAT32, BFLOAT16),
            Precision("bfloat16", "bfloat16 weights and activations, float32 sums", BFLOAT16, FLOAT32, BFLOAT16),
            Precision("float16_sums", "float16 throughout, sums too", FLOAT16, FLOAT16, FLOAT16),
            Precision("bfloat16_sums", "bfloat16 throughout, sums too", BFLOAT16, BFLOAT16, BFLOAT16),
        )
    }
)


def find_precision(name: str) -> Precision:
    """Return a row of :data:`PRECISIONS`.

    Raises
    ------
    OptionError
        There is no such precision.

    Examples
    --------
    >>> find_precision("tf32").text
    'TF32 products, float32 sums'

    """
    if name not in PRECISIONS:
        raise OptionError(f"no precision is named {name!r}; there are {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def certain_gamma(n: int, unit_roundoff: float = UNIT_ROUNDOFF) -> float:
    """Relative error that n roundings cannot exceed (Higham 2002, Lemma 3.1); infinite for n u >= 1.

    Examples
    --------
    >>> certain_gamma(2**24)
    inf

    """
    if unit_roundoff == UNIT_ROUNDOFF and n * unit_roundoff < 1:
        return deterministic_gamma(n)
    return n * unit_roundoff / (1 - n * unit_roundoff) if n * unit_roundoff < 1 else math.inf


def probabilistic_gamma(n: int, unit_roundoff: float = UNIT_ROUNDOFF) -> float:
    """Relative error that n roundings exceed with a probability of at most 3e-8.

    Higham and Mary (2019), Theorem 2.4, with lambda = :data:`CONFIDENCE`: roundings are taken as independent
    random variables of mean zero. For few roundings the certain bound is smaller and is returned.

    Examples
    --------
    >>> certain_gamma(10_000) / probabilistic_gamma(10_000) > 16
    True
    >>> probabilistic_gamma(4) == certain_gamma(4)
    True

    """
    u = unit_roundoff
    exponent = CONFIDENCE * math.sqrt(n) * u + n * u * u / (1 - u)
    return min(certain_gamma(n, u), math.expm1(exponent) if exponent < 700 else math.inf)


def node_bound(
    graph: Graph,
    node: Node,
    values: Sequence[Float64],
    errors: Sequence[Float64],
    output: Float64,
    *,
    precision: Precision,
    gamma: Gamma,
) -> Float64:
    """Bound the error of one node in a precision.

    The operator's own bound counts all roundings of its formula, with weights as they are. Where weights and arrays
    are stored in fewer digits, what the rounding of each of its weights does is added, measured, and the rounding
    of the result.

    Parameters
    ----------
    graph, node
        The network and its node.
    values, errors
        Reference inputs in float64, and how far the framework's inputs may be from them.
    output
        Reference output in float64.
    precision
        In which it is computed.
    gamma
        Relative error of n roundings of a unit roundoff.

    """
    params = {role: graph.params[name] for role, name in node.params.items()}
    bound = find_op(node.op).error_bound(node.attrs, values, errors, params, output, _roundings(node, precision, gamma))
    if precision.storage is FLOAT32:
        return np.asarray(bound, np.float64)
    stored = gamma(1, precision.storage.unit_roundoff)
    for role, encoding in params.items():
        bound = bound + _effect_of_rounding(node, values, output, params, role, encoding, precision.storage)
    return np.asarray(bound + stored * (np.abs(output) + bound))


def _roundings(node: Node, precision: Precision, gamma: Gamma) -> Callable[[int], float]:
    """Relative error of n roundings of an operator's formula, some of which are to storage."""
    arithmetic, storage = precision.sums.unit_roundoff, precision.storage.unit_roundoff
    factors = precision.products.unit_roundoff if node.op in PRODUCTS else 0.0
    most_stored = STORED_BY_PRODUCTS if node.op in PRODUCTS else MOST_STORED

    def roundings(n: int) -> float:
        total = gamma(n, arithmetic)
        if storage > arithmetic:
            total += gamma(min(n, most_stored), storage)
        elif factors > arithmetic:
            total += gamma(2, factors)
        return total

    return roundings


def _effect_of_rounding(
    node: Node,
    values: Sequence[Float64],
    output: Float64,
    params: Mapping[str, Encoding],
    role: str,
    encoding: Encoding,
    storage: Format,
) -> Float64:
    rounded = storage.rounded(decode(encoding)).astype(np.float32)
    moved = find_op(node.op).forward(node.attrs, values, {**params, role: encode(rounded)})
    return np.abs(np.asarray(moved, np.float64) - output)


def finished(bound: NDArray[Any], output: Float64, precision: Precision) -> Float64:
    """Allow for a denormal result that is flushed to zero; promise nothing where the precision could overflow."""
    bound = bound + precision.storage.smallest_normal
    safe = np.abs(output) + bound <= precision.storage.largest  # false for NaN, which 0 * infinity makes
    return np.where(safe, bound, np.inf)
