"""Elementary functions in float32 with every rounding in a stated order: the twin of the C runtime.

Each statement is one float32 operation (or an integer one), rounded to nearest even with gradual underflow,
never contracted into a fused multiply-add, so C99 code that does the same operations on ``float`` in the same
order gives the same bits. NumPy's arithmetic on float32 arrays rounds after every ufunc and is the plainest
way to say it: no compiler reorders or contracts it. Constants are given as the shortest decimals that round
to them, and in C's hexadecimal notation.

Wherever a NaN goes in a NaN comes out; its sign and payload are not specified.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

BLOCK_ELEMENTS = 1 << 14  # temporaries of this many elements stay in the second-level cache

# exp: 1/ln 2, ln 2 in two parts (the high one has 10 bits, so k * LN2_HI is exact), 1.5 * 2**23
LOG2_E = np.float32(1.442695)  # 0x1.715476p+0f
LN2_HI = np.float32(0.693359375)  # 0x1.63p-1f
LN2_LO = np.float32(-0.00021219444)  # -0x1.bd0106p-13f
ROUNDER = np.float32(12582912.0)  # 0x1.8p+23f
ROUNDER_BITS = 0x4B400000
EXP_LEAST, EXP_MOST = np.float32(-104.0), np.float32(89.0)  # exp is 0 below, infinite above
# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2, highest power first; relative error of exp 0.053 * 2**-24
EXP_POLYNOMIAL = (
    np.float32(0.0013819826),  # 0x1.6a4748p-10f
    np.float32(0.008368687),  # 0x1.1239a2p-7f
    np.float32(0.041668277),  # 0x1.5558b6p-5f
    np.float32(0.16666521),  # 0x1.555492p-3f
    np.float32(0.49999994),  # 0x1.fffffcp-2f
)
# (tanh(x) - x) / x**3 in powers of x**2 for |x| < 0.625, highest power first; relative error 0.076 * 2**-24
TANH_POLYNOMIAL = (
    np.float32(-0.005692296),  # -0x1.750ce2p-8f
    np.float32(0.020628167),  # 0x1.51f8cep-6f
    np.float32(-0.053736515),  # -0x1.b835a4p-5f
    np.float32(0.13331406),  # 0x1.1106f6p-3f
    np.float32(-0.3333328),  # -0x1.555532p-2f
)
TANH_SPLIT = np.float32(0.625)  # 0x1.4p-1f
ONE, TWO, ZERO = np.float32(1.0), np.float32(2.0), np.float32(0.0)


def exp32(x: Float32) -> Float32:
    """Exponential function, less than 1 ULP off.

    In C, with ``bits(f)`` the pattern of a float and ``value(u)`` the float of a pattern::

        if (x != x) return x;
        if (x > 89.0f) x = 89.0f;                 /* gives +inf */
        if (x < -104.0f) x = -104.0f;             /* gives 0 */
        t = x * LOG2_E;
        t = t + 12582912.0f;                      /* nearest integer in the low bits, ties to even */
        n = (int32_t)(bits(t) - 0x4B400000u);     /* -150 .. 128 */
        k = t - 12582912.0f;                      /* the same as a float, exact */
        h = k * LN2_HI;                           /* exact */
        r = x - h;                                /* exact */
        l = k * LN2_LO;
        r = r - l;
        p = P[0];
        for (i = 1; i < 5; i++) { p = p * r; p = p + P[i]; }     /* P = EXP_POLYNOMIAL */
        s = r * r;
        p = p * s;
        p = p + r;
        p = p + 1.0f;
        n = n + 254;                              /* 104 .. 382 */
        a = n >> 1;                               /* 2**n in two steps, so that denormals round once */
        p = p * value((uint32_t)a << 23);
        p = p * value((uint32_t)(n - a) << 23);

    Parameters
    ----------
    x
        float32, any shape.

    Returns
    -------
    y
        float32, the same shape. Measured over all floats from 2**-25 to 105 of either sign: the error is at
        most 0.991 ULP of the result (denormals included) and the function never decreases. ``exp32(0) == 1``;
        results below ``2**-150`` are 0, those above the largest float infinite.

    Examples
    --------
    >>> exp32(np.array([0.0, 1.0, -104.0, 89.0], np.float32))
    array([1.       , 2.7182817, 0.       ,       inf], dtype=float32)

    """
    return blockwise(exp_block, x)


def sigmoid32(x: Float32) -> Float32:
    """Logistic function 1 / (1 + exp(-x)), at most 2.41 ULP off (1.5 for x >= 0), denormal results included.

    Measured over all floats from 2**-25 to 105 of either sign. For x < 0 it may step back by a few ULP.

    In C::

        if (x >= 0.0f) { e = rc_expf(-x); d = 1.0f + e; return 1.0f / d; }
        e = rc_expf(x);                           /* also for NaN */
        d = 1.0f + e;
        return e / d;

    Examples
    --------
    >>> sigmoid32(np.array([0.0, -100.0, 20.0], np.float32))
    array([5.0e-01, 3.8e-44, 1.0e+00], dtype=float32)

    """
    return blockwise(_sigmoid_block, x)


def tanh32(x: Float32) -> Float32:
    """Hyperbolic tangent, at most 1.34 ULP off; odd (but +0 for -0), never decreasing.

    Measured over all floats from 2**-25 to 105.

    In C::

        a = fabsf(x);
        if (a < 0.625f) {
            z = x * x;
            p = P[0];
            for (i = 1; i < 5; i++) { p = p * z; p = p + P[i]; }  /* P = TANH_POLYNOMIAL */
            p = p * z;
            p = p * x;
            return p + x;
        }
        e = rc_expf(a + a);                       /* may be +inf: the result is then 1 */
        d = e + 1.0f;
        q = 2.0f / d;
        t = 1.0f - q;
        return x < 0.0f ? -t : t;                 /* NaN stays NaN */

    Examples
    --------
    >>> tanh32(np.array([0.0, 0.5, -20.0], np.float32))
    array([ 0.        ,  0.46211717, -1.        ], dtype=float32)

    """
    return blockwise(_tanh_block, x)


def softmax32(x: Float32) -> Float32:
    """Softmax over the last axis; maximum and sum run from the first element to the last.

    In C::

        m = x[0];
        for (i = 1; i < n; i++) m = x[i] > m ? x[i] : m;
        s = 0.0f;
        for (i = 0; i < n; i++) { d = x[i] - m; y[i] = rc_expf(d); s = s + y[i]; }
        for (i = 0; i < n; i++) y[i] = y[i] / s;

    Examples
    --------
    >>> softmax32(np.array([[1.0, 1.0, 1.0, 1.0]], np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)

    """
    with np.errstate(all="ignore"):
        powers = exp32(x - max_in_order(x)[..., None])
        return powers / sum_in_order(powers)[..., None]


def sum_in_order(x: Float32) -> Float32:
    """Sum over the last axis: ``s = 0.0f; for (i = 0; i < n; i++) s = s + x[i];``.

    Examples
    --------
    >>> sum_in_order(np.array([1e8, 1.0, -1e8], np.float32)).item()
    0.0

    """
    total = np.zeros(x.shape[:-1], np.float32)
    with np.errstate(all="ignore"):
        for i in range(x.shape[-1]):
            total += x[..., i]
    return total


def max_in_order(x: Float32) -> Float32:
    """Maximum over the last axis: ``m = x[0]; for (i = 1; i < n; i++) m = x[i] > m ? x[i] : m;``.

    Examples
    --------
    >>> max_in_order(np.array([1.0, 3.0, 2.0], np.float32)).item()
    3.0

    """
    most = x[..., 0].copy()
    with np.errstate(invalid="ignore"):
        for i in range(1, x.shape[-1]):
            most = np.where(x[..., i] > most, x[..., i], most)
    return most


def blockwise(function: Callable[[Float32], Float32], x: Float32) -> Float32:
    """Apply an elementwise function block by block, to keep its temporaries in the cache."""
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    out = np.empty_like(flat)
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, BLOCK_ELEMENTS):
            block = slice(start, start + BLOCK_ELEMENTS)
            out[block] = function(flat[block])
    return out.reshape(x.shape)


def exp_block(x: Float32) -> Float32:
    """Compute :func:`exp32` of one block, for functions that go on with it."""
    p, power = exp_parts(x, EXP_LEAST)
    p += ONE
    return scale_by_power(p, power, x)


def exp_parts(x: Float32, least: np.float32) -> tuple[Float32, NDArray[np.int32]]:
    """Split exp(x) into ``2**power * (1 + p)`` with p small, and return p and power; x is at least ``least``."""
    clamped = np.minimum(np.maximum(x, least), EXP_MOST)
    shifted = clamped * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    r = clamped - k * LN2_HI
    r -= k * LN2_LO
    p = horner(EXP_POLYNOMIAL, r)
    p *= r * r
    p += r
    return p, shifted.view(np.int32) - np.int32(ROUNDER_BITS)


def scale_by_power(p: Float32, power: NDArray[np.int32], x: Float32) -> Float32:
    """Multiply by ``2**power`` in two steps, so that denormals round once, and put NaN where x is; overwrites both."""
    power += np.int32(254)
    half = power >> 1
    p *= (half << 23).view(np.float32)
    p *= ((power - half) << 23).view(np.float32)
    np.copyto(p, x, where=np.isnan(x))
    return p


def _sigmoid_block(x: Float32) -> Float32:
    power = exp_block(-np.abs(x))
    numerator = np.where(x >= ZERO, ONE, power)
    numerator /= ONE + power
    return numerator


def _tanh_block(x: Float32) -> Float32:
    size = np.abs(x)
    z = x * x
    small = horner(TANH_POLYNOMIAL, z)
    small *= z
    small *= x
    small += x
    large = ONE - TWO / (exp_block(size + size) + ONE)
    return np.where(size < TANH_SPLIT, small, np.copysign(large, x))


def horner(coefficients: tuple[np.float32, ...], x: Float32) -> Float32:
    """Evaluate a polynomial, highest power first: ``p = P[0]; for (i = 1; i < n; i++) { p = p * x; p = p + P[i]; }``.

    Examples
    --------
    >>> horner((np.float32(2.0), np.float32(1.0)), np.array([3.0], np.float32))
    array([7.], dtype=float32)

    """
    p: Float32 = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        p *= x
        p += coefficient
    return p
