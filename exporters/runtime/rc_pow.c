/* rc_pow.c - Pow: float32 powers, computed in double with every rounding in a stated order and rounded once; at most
 * 0.50001 ULP off. */
#include "rc_broadcast.h"

#include <string.h>

#if DBL_MANT_DIG != 53 || DBL_MAX_EXP != 1024
#error "Pow computes in double, which must be IEEE 754 binary64 (avr-gcc: -mdouble=64)"
#endif

#define ONE_BITS 0x3FF0000000000000u
#define SQRT_HALF_BITS 0x3FE6A09E667F3BCDu
#define FRACTION 0x000FFFFFFFFFFFFFu
#define LOG2_E 1.4426950408889634
#define LN2 0.6931471805599453
#define ROUNDER 6755399441055744.0 /* 1.5 * 2^52 */
#define MOST 160.0                 /* 2^160 and its reciprocal are infinite and 0 in float32 */
#define FLOAT_INFINITY_BITS 0x7F800000u
#define LARGE 16777216.0f /* from there all float32 numbers are even */

/* log(1 + f) / s in powers of s^2, s = f / (2 + f); and exp(r) for |r| <= ln(2) / 2; highest power first. */
static const double log_series[9] = {
    0.11764705882352941, 0.13333333333333333, 0.15384615384615385, 0.18181818181818182, 0.2222222222222222,
    0.2857142857142857, 0.4, 0.6666666666666666, 2.0
};
static const double exp_series[12] = {
    2.505210838544172e-08, 2.755731922398589e-07, 2.7557319223985893e-06, 2.48015873015873e-05,
    0.0001984126984126984, 0.001388888888888889, 0.008333333333333333, 0.041666666666666664,
    0.16666666666666666, 0.5, 1.0, 1.0
};

static double value_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double series(const double *coefficients, uint32_t n, double x)
{
    double p = coefficients[0];
    uint32_t i;
    for (i = 1u; i < n; i++) {
        p = p * x;
        p = p + coefficients[i];
    }
    return p;
}

/* Of a positive finite number. */
static double log2_of(double a)
{
    uint64_t bits;
    double f, s, p;

    memcpy(&bits, &a, sizeof bits);
    bits += ONE_BITS - SQRT_HALF_BITS;
    f = value_of((bits & FRACTION) + SQRT_HALF_BITS) - 1.0;
    s = 2.0 + f;
    s = f / s;
    p = series(log_series, 9u, s * s);
    p = p * s;
    p = p * LOG2_E;
    return p + (double)((int32_t)(bits >> 52) - 1023);
}

/* 2^t for |t| <= MOST. */
static float exp2_of(double t)
{
    double k = t + ROUNDER, r, q;

    k = k - ROUNDER;
    r = t - k;
    r = r * LN2;
    q = series(exp_series, 12u, r);
    q = q * value_of((uint64_t)((int32_t)k + 1023) << 52);
    return (float)q;
}

/* The power of a base without its sign; neither is NaN. */
static float power_of(float size, float y)
{
    double t;

    if (size == 1.0f) {
        return 1.0f;
    }
    if (size == 0.0f || size > FLT_MAX) {
        t = (size == 0.0f) == (y < 0.0f) ? MOST : -MOST;
    } else {
        t = (double)y * log2_of((double)size);
        t = t > MOST ? MOST : t;
        t = t < -MOST ? -MOST : t;
    }
    return exp2_of(t);
}

static float power(float x, float y)
{
    const float y_size = y < 0.0f ? -y : y;
    const uint32_t large = y_size >= LARGE ? 1u : 0u;
    uint32_t bits, whole;
    int32_t n;
    float result;

    memcpy(&bits, &x, sizeof bits);
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (x != x || y != y) {
        return x + y;
    }
    if (y == 2.0f) {
        return x * x;
    }
    n = large != 0u ? 0 : (int32_t)y;
    whole = large != 0u || (float)n == y ? 1u : 0u;
    if (x < 0.0f && x >= -FLT_MAX && whole == 0u) {
        const uint32_t nan = FLOAT_INFINITY_BITS | 0x00400000u;
        memcpy(&result, &nan, sizeof result);
        return result;
    }
    result = power_of(x < 0.0f ? -x : x, y);
    return (bits >> 31) != 0u && whole != 0u && ((uint32_t)n & 1u) != 0u ? -result : result;
}

RC_DEFINE_BROADCAST(pow, power)
