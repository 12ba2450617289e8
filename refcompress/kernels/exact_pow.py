"""Powers of float32 numbers, computed in float64 with every rounding in a stated order, and rounded once.

The exponent multiplies the error of the logarithm, by up to 150, so a logarithm in float32 would not do. Float64 has
29 bits more: each operation below is one float64 operation, rounded to nearest even, never contracted, and the last
one rounds to float32. In C that is ``double``; targets whose FPU has none compute it in software, bit for bit the same,
at the price of some fifty such operations. (A ``double`` must have 64 bits: with avr-gcc, ``-mdouble=64``.)

Both series are Taylor's, with the nearest floats to their coefficients; the reduction of the argument of the
logarithm is that of :mod:`refcompress.kernels.exact_log`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_math import BLOCK_ELEMENTS, Float32

Float64 = NDArray[np.float64]

ONE_BITS = np.int64(0x3FF0000000000000)
SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)  # of sqrt(1/2)
FRACTION = np.int64(0xFFFFFFFFFFFFF)
LOG2_E, LN2 = 1 / math.log(2), math.log(2)  # 0x1.71547652b82fep+0, 0x1.62e42fefa39efp-1
ROUNDER = 1.5 * 2.0**52
MOST = 160.0  # 2**160 and its reciprocal are infinite and 0 in float32
# log(1 + f) / s in powers of s**2, s = f / (2 + f), |s| <= 0.1716, highest power first; relative error 2**-49
LOG_SERIES = tuple(2 / n for n in range(17, 0, -2))
# exp(r) for |r| <= ln(2) / 2, highest power first; relative error 2**-47
EXP_SERIES = tuple(1 / math.factorial(n) for n in range(11, -1, -1))


def pow32(x: Float32, y: Float32) -> Float32:
    """Return x to the power y, at most 0.50001 ULP off; for y = 2 the product ``x * x``, rounded once.

    Special values are those of C99 (F.9.4.4): ``pow(x, 0)`` and ``pow(1, y)`` are 1 whatever else is NaN, a negative
    base has powers for whole exponents only.

    In C, with ``bits`` and ``value`` between a double and its pattern::

        if (y == 0.0f || x == 1.0f) return 1.0f;
        if (x != x || y != y) return NaN;
        if (y == 2.0f) return x * x;
        large = fabsf(y) >= 16777216.0f;                 /* then it is an even number */
        n = large ? 0 : (int32_t)y;
        if (x < 0.0f && x != -INFINITY && !large && y != (float)n) return NaN;
        a = fabs((double)x);
        if (a == 0.0 || a == INFINITY) l = a == 0.0 ? -INFINITY : INFINITY;
        else {
            i = (int64_t)bits(a) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD);
            f = value((i & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0;    /* exact, -0.293 .. 0.414 */
            s = f / (2.0 + f);
            z = s * s;
            p = P[0];
            for (j = 1; j < 9; j++) { p = p * z; p = p + P[j]; }            /* P = LOG_SERIES */
            p = p * s;
            p = p * LOG2_E;
            l = p + (double)((i >> 52) - 1023);
        }
        t = l == 0.0 ? 0.0 : (double)y * l;                                 /* log2 of the result */
        t = t > 160.0 ? 160.0 : t < -160.0 ? -160.0 : t;
        k = t + 6755399441055744.0; k = k - 6755399441055744.0;             /* nearest integer, ties to even */
        r = t - k;                                                          /* exact */
        r = r * LN2;
        q = Q[0];
        for (j = 1; j < 12; j++) { q = q * r; q = q + Q[j]; }               /* Q = EXP_SERIES */
        q = q * value((uint64_t)((int32_t)k + 1023) << 52);                 /* exact */
        w = (float)q;
        return signbit(x) && !large && y == (float)n && (n & 1) ? -w : w;

    Parameters
    ----------
    x, y
        float32, shapes that broadcast.

    Returns
    -------
    power
        float32, of the broadcast shape.

    Examples
    --------
    >>> pow32(np.array([3.0, -2.0, -2.0, 0.0], np.float32), np.array([2.0, 3.0, 0.5, -1.0], np.float32))
    array([ 9., -8., nan, inf], dtype=float32)

    """
    shape = np.broadcast_shapes(x.shape, y.shape)
    base, exponent = (np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1) for a in (x, y))
    out = np.empty(base.size, np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, out.size, BLOCK_ELEMENTS):
            block = slice(start, start + BLOCK_ELEMENTS)
            out[block] = _pow_block(base[block], exponent[block])
    return out.reshape(shape)


def _pow_block(x: Float32, y: Float32) -> Float32:
    size, exponent = np.abs(x).astype(np.float64), y.astype(np.float64)
    log = _log2(size)
    t = np.where(log == 0, 0.0, exponent * log)
    result = _exp2(np.minimum(np.maximum(t, -MOST), MOST)).astype(np.float32)
    whole = exponent == np.rint(exponent)
    odd = whole & (np.abs(exponent) < 2.0**24) & (np.fmod(exponent, 2.0) != 0)
    np.negative(result, out=result, where=odd & np.signbit(x))
    np.copyto(result, np.nan, where=(x < 0) & (size != np.inf) & ~whole)
    np.copyto(result, x * x, where=exponent == 2)
    np.copyto(result, np.nan, where=np.isnan(x) | np.isnan(y))
    np.copyto(result, 1, where=(y == 0) | (x == 1))
    return result


def _log2(a: Float64) -> Float64:
    """Binary logarithm of numbers from 0 to infinity."""
    shifted = a.view(np.int64) + (ONE_BITS - SQRT_HALF_BITS)
    f = ((shifted & FRACTION) + SQRT_HALF_BITS).view(np.float64) - 1
    s = f / (2 + f)
    p = _series(LOG_SERIES, s * s)
    p *= s
    p *= LOG2_E
    p += (shifted >> 52) - 1023
    np.copyto(p, -np.inf, where=a == 0)
    np.copyto(p, np.inf, where=a == np.inf)
    return p


def _exp2(t: Float64) -> Float64:
    """2 to powers of at most :data:`MOST`."""
    k = (t + ROUNDER) - ROUNDER
    q = _series(EXP_SERIES, (t - k) * LN2)
    q *= ((np.nan_to_num(k).astype(np.int64) + 1023) << 52).view(np.float64)
    return q


def _series(coefficients: tuple[float, ...], x: Float64) -> Float64:
    total: Float64 = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
