"""Logarithms in float32 with every rounding in a stated order: log, log1p, softplus and log-softmax.

The rules are those of :mod:`refcompress.kernels.exact_math`. The reduction is fdlibm's (Sun Microsystems 1993,
``e_logf.c`` and ``s_log1pf.c``): ``x = 2**k (1 + f)`` with 1 + f between sqrt(1/2) and sqrt(2), and
``log(1 + f) = f - f**2/2 + s (f**2/2 + R(s**2))`` with ``s = f / (2 + f)``; the polynomial R is our own.
"""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_math import (
    LN2_HI,
    LN2_LO,
    ONE,
    TWO,
    ZERO,
    Float32,
    blockwise,
    exp32,
    horner,
    max_in_order,
    sum_in_order,
)

# (2 artanh(s) - 2 s) / s in powers of s**2 for |s| <= 0.1716, highest power first; relative error of log
# 0.014 * 2**-24
LOG_POLYNOMIAL = (
    np.float32(0.29870686),  # 0x1.31e036p-2f
    np.float32(0.39977586),  # 0x1.995ed8p-2f
    np.float32(0.66666776),  # 0x1.55557ap-1f
)
HALF = np.float32(0.5)
SQRT_HALF_BITS = np.int32(0x3F3504F3)  # of 0.70710677
ONE_BITS = np.int32(0x3F800000)
SMALLEST_NORMAL = np.float32(2.0**-126)
DENORMAL_SCALE = np.float32(2.0**25)


def log32(x: Float32) -> Float32:
    """Natural logarithm, less than 1 ULP off.

    In C, with ``bits(f)`` the pattern of a float and ``value(u)`` the float of a pattern::

        if (x != x || x < 0.0f) return NaN;
        if (x == 0.0f) return -INFINITY;
        if (x == INFINITY) return x;
        n = 0;
        if (x < 0x1p-126f) { x = x * 0x1p25f; n = -25; }
        return log_of(x, n, 0.0f);

        float log_of(float u, int32_t n, float c)      /* log(u * 2**n) + c */
        {
            i = (int32_t)bits(u) + (0x3F800000 - 0x3F3504F3);
            n = n + (i >> 23) - 127;
            f = value((i & 0x7FFFFF) + 0x3F3504F3) - 1.0f;    /* exact, -0.293 .. 0.414 */
            k = (float)n;
            s = f / (2.0f + f);
            z = s * s;
            p = P[0];
            for (i = 1; i < 3; i++) { p = p * z; p = p + P[i]; }     /* P = LOG_POLYNOMIAL */
            p = p * z;
            h = 0.5f * f; h = h * f;
            p = p + h;
            p = p * s;
            l = k * LN2_LO; l = l + c;
            p = p + l;
            h = h - p;
            h = h - f;
            t = k * LN2_HI;                            /* exact */
            return t - h;
        }

    Parameters
    ----------
    x
        float32, any shape.

    Returns
    -------
    y
        float32, the same shape. Measured over all positive floats, denormals included: the error is at most 0.84
        ULP of the result and the function never decreases.

    Examples
    --------
    >>> log32(np.array([1.0, 2.0, 0.0], np.float32))
    array([0.       , 0.6931472,      -inf], dtype=float32)

    """
    return blockwise(_log_block, x)


def log1p_32(x: Float32) -> Float32:
    """Natural logarithm of 1 + x, at most 0.87 ULP off, denormal results included.

    Measured over all floats from -1 on; never decreasing.

    In C, with ``log_of`` of :func:`log32`::

        if (x != x || x < -1.0f) return NaN;
        if (x == -1.0f) return -INFINITY;
        if (x == INFINITY) return x;
        u = 1.0f + x;
        if (x < 1.0f) { c = u - 1.0f; c = x - c; }     /* exact: what the sum lost */
        else { c = u - x; c = 1.0f - c; }
        c = c / u;
        return log_of(u, 0, c);

    Examples
    --------
    >>> log1p_32(np.array([0.0, 1e-10, -1.0], np.float32))
    array([0.e+00, 1.e-10,   -inf], dtype=float32)

    """
    return blockwise(_log1p_block, x)


def softplus32(x: Float32) -> Float32:
    """Logarithm of 1 + exp(x), at most 1.71 ULP off, denormal results included.

    Measured over all floats from 2**-25 to 105 of either sign. It may step back by a few ULP.

    In C::

        e = rc_expf(-fabsf(x));
        l = rc_log1pf(e);
        return x > 0.0f ? x + l : l;                   /* NaN stays NaN */

    Examples
    --------
    >>> softplus32(np.array([0.0, -100.0, 100.0], np.float32))
    array([6.931472e-01, 3.783506e-44, 1.000000e+02], dtype=float32)

    """
    with np.errstate(all="ignore"):
        rest = log1p_32(exp32(-np.abs(x)))
        return np.where(x > ZERO, x + rest, rest)


def log_softmax32(x: Float32) -> Float32:
    """Logarithm of the softmax over the last axis; maximum and sum run from the first element to the last.

    In C::

        m = x[0];
        for (i = 1; i < n; i++) m = x[i] > m ? x[i] : m;
        s = 0.0f;
        for (i = 0; i < n; i++) { y[i] = x[i] - m; e = rc_expf(y[i]); s = s + e; }
        l = rc_logf(s);
        for (i = 0; i < n; i++) y[i] = y[i] - l;

    Examples
    --------
    >>> log_softmax32(np.array([[1.0, 1.0]], np.float32))
    array([[-0.6931472, -0.6931472]], dtype=float32)

    """
    with np.errstate(all="ignore"):
        below = x - max_in_order(x)[..., None]
        return below - log32(sum_in_order(exp32(below)))[..., None]


def _log_block(x: Float32) -> Float32:
    denormal = x < SMALLEST_NORMAL
    power = np.where(denormal, np.int32(-25), np.int32(0))
    y = _log_of(np.where(denormal, x * DENORMAL_SCALE, x), power, np.zeros_like(x))
    np.copyto(y, -np.inf, where=x == ZERO)
    np.copyto(y, np.nan, where=x < ZERO)
    np.copyto(y, x, where=np.isnan(x) | (x == np.inf))
    return y


def _log1p_block(x: Float32) -> Float32:
    u = ONE + x
    lost = np.where(x < ONE, x - (u - ONE), ONE - (u - x))
    y = _log_of(u, np.zeros(x.shape, np.int32), lost / u)
    np.copyto(y, -np.inf, where=x == -ONE)
    np.copyto(y, np.nan, where=x < -ONE)
    np.copyto(y, x, where=np.isnan(x) | (x == np.inf))
    return y


def _log_of(u: Float32, power: np.ndarray[tuple[int, ...], np.dtype[np.int32]], added: Float32) -> Float32:
    """Compute log(u * 2**power) + added for normal u."""
    shifted = u.view(np.int32) + (ONE_BITS - SQRT_HALF_BITS)
    k = (power + (shifted >> 23) - np.int32(127)).astype(np.float32)
    f = ((shifted & np.int32(0x7FFFFF)) + SQRT_HALF_BITS).view(np.float32) - ONE
    s = f / (TWO + f)
    z = s * s
    p = horner(LOG_POLYNOMIAL, z)
    p *= z
    h = HALF * f
    h *= f
    p += h
    p *= s
    p += k * LN2_LO + added
    h -= p
    h -= f
    result: Float32 = k * LN2_HI - h
    return result
