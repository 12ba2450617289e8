"""exp(x) - 1 and the error function in float32 with every rounding in a stated order.

The rules are those of :mod:`refcompress.kernels.exact_math`.
"""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_math import (
    ONE,
    Float32,
    blockwise,
    exp_block,
    exp_parts,
    horner,
    scale_by_power,
)

EXPM1_LEAST = np.float32(-20.0)  # the result is -1 from -17.4 on
# erf(x) / x - 1 in powers of x**2 for |x| < 0.84375, highest power first; relative error of erf 0.11 * 2**-24
ERF_POLYNOMIAL = (
    np.float32(-0.0006374964),  # -0x1.4e3b52p-11f
    np.float32(0.0050618816),  # 0x1.4bbc48p-8f
    np.float32(-0.026809536),  # -0x1.b73f58p-6f
    np.float32(0.11282912),  # 0x1.ce25e8p-4f
    np.float32(-0.37612593),  # -0x1.812728p-2f
    np.float32(0.12837917),  # 0x1.06eba8p-3f
)
# log(1 - erf(x)) / x in powers of x for 0.84375 <= x <= 4, highest power first; relative error of erf 0.056 * 2**-24
ERFC_POLYNOMIAL = (
    np.float32(0.00021581039),  # 0x1.c49652p-13f
    np.float32(-0.0032298733),  # -0x1.a75890p-9f
    np.float32(0.022937344),  # 0x1.77ce32p-6f
    np.float32(-0.10533497),  # -0x1.af73b8p-4f
    np.float32(-0.63566345),  # -0x1.4575aep-1f
    np.float32(-1.1285304),  # -0x1.20e75ep+0f
)
ERF_SPLIT = np.float32(0.84375)  # 0x1.bp-1f
ERF_MOST = np.float32(4.0)  # erf rounds to 1 from 3.92 on


def expm1_32(x: Float32) -> Float32:
    """Exponential function less 1, at most 1.59 ULP off; +0 for -0.

    In C, with names as in :func:`refcompress.kernels.exact_math.exp32`::

        if (x != x) return x;
        if (x > 89.0f) x = 89.0f;                 /* gives +inf */
        if (x < -20.0f) x = -20.0f;               /* gives -1 */
        t = x * LOG2_E;
        t = t + 12582912.0f;
        n = (int32_t)(bits(t) - 0x4B400000u);     /* -29 .. 128 */
        k = t - 12582912.0f;
        h = k * LN2_HI;
        r = x - h;
        l = k * LN2_LO;
        r = r - l;
        p = P[0];
        for (i = 1; i < 5; i++) { p = p * r; p = p + P[i]; }     /* P = EXP_POLYNOMIAL */
        s = r * r;
        p = p * s;
        p = p + r;                                /* exp(r) - 1 */
        q = n < 127 ? value((uint32_t)(127 - n) << 23) : 0.0f;   /* 2**-n */
        q = 1.0f - q;
        p = p + q;
        n = n + 254;
        a = n >> 1;
        p = p * value((uint32_t)a << 23);
        p = p * value((uint32_t)(n - a) << 23);

    Parameters
    ----------
    x
        float32, any shape.

    Returns
    -------
    y
        float32, the same shape. Measured over all floats from 2**-25 to 105 of either sign, over which the function
        never decreases; smaller ones give themselves.

    Examples
    --------
    >>> expm1_32(np.array([1e-10, 1.0, -30.0], np.float32))
    array([ 1.0000000e-10,  1.7182819e+00, -1.0000000e+00], dtype=float32)

    """
    return blockwise(_expm1_block, x)


def erf32(x: Float32) -> Float32:
    """Error function, at most 1.25 ULP off; odd (but +0 for -0).

    Measured over all floats from 2**-25 to 105. It may step back by a few ULP.

    In C::

        a = fabsf(x);
        if (a < 0.84375f) {
            z = x * x;
            p = P[0];
            for (i = 1; i < 6; i++) { p = p * z; p = p + P[i]; }  /* P = ERF_POLYNOMIAL */
            p = p * x;
            return p + x;
        }
        if (a > 4.0f) a = 4.0f;
        p = Q[0];
        for (i = 1; i < 6; i++) { p = p * a; p = p + Q[i]; }      /* Q = ERFC_POLYNOMIAL */
        p = p * a;
        e = rc_expf(p);
        t = 1.0f - e;
        return x < 0.0f ? -t : t;                 /* NaN stays NaN */

    Examples
    --------
    >>> erf32(np.array([0.0, 0.5, -5.0], np.float32))
    array([ 0.       ,  0.5204999, -1.       ], dtype=float32)

    """
    return blockwise(_erf_block, x)


def _expm1_block(x: Float32) -> Float32:
    p, power = exp_parts(x, EXPM1_LEAST)
    # 0 for 2**-127 and 2**-128, which are denormal
    p += ONE - (np.maximum(np.int32(127) - power, np.int32(0)) << 23).view(np.float32)
    return scale_by_power(p, power, x)


def _erf_block(x: Float32) -> Float32:
    size = np.abs(x)
    small = horner(ERF_POLYNOMIAL, x * x)
    small *= x
    small += x
    tail = np.minimum(size, ERF_MOST)
    power = horner(ERFC_POLYNOMIAL, tail)
    power *= tail
    large = ONE - exp_block(power)
    return np.where(size < ERF_SPLIT, small, np.copysign(large, x))
