/* rc_math.c - exp, sigmoid, tanh and erf; every statement is one float32 rounding. */
#include "rc_bits.h"
#include "rc_math.h"

#define LOG2_E 1.442695f    /* 0x1.715476p+0 */
#define ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define ROUNDER_BITS 0x4B400000u
#define POWER_BIAS 254u /* of a power that is split in two */

static const RC_FLASH float exp_polynomial[5] = {
    0.0013819826f, /* 0x1.6a4748p-10 */
    0.008368687f,  /* 0x1.1239a2p-7 */
    0.041668277f,  /* 0x1.5558b6p-5 */
    0.16666521f,   /* 0x1.555492p-3 */
    0.49999994f    /* 0x1.fffffcp-2 */
};

static const RC_FLASH float tanh_polynomial[5] = {
    -0.005692296f, /* -0x1.750ce2p-8 */
    0.020628167f,  /* 0x1.51f8cep-6 */
    -0.053736515f, /* -0x1.b835a4p-5 */
    0.13331406f,   /* 0x1.1106f6p-3 */
    -0.3333328f    /* -0x1.555532p-2 */
};

/* (erf(x) - x) / x in powers of x^2 for |x| < 0.84375 */
static const RC_FLASH float erf_polynomial[6] = {
    -0.0006374964f, /* -0x1.4e3b52p-11 */
    0.0050618816f,  /* 0x1.4bbc48p-8 */
    -0.026809536f,  /* -0x1.b73f58p-6 */
    0.11282912f,    /* 0x1.ce25e8p-4 */
    -0.37612593f,   /* -0x1.812728p-2 */
    0.12837917f     /* 0x1.06eba8p-3 */
};

/* log(1 - erf(x)) / x for 0.84375 <= x <= 4 */
static const RC_FLASH float erfc_polynomial[6] = {
    0.00021581039f, /* 0x1.c49652p-13 */
    -0.0032298733f, /* -0x1.a75890p-9 */
    0.022937344f,   /* 0x1.77ce32p-6 */
    -0.10533497f,   /* -0x1.af73b8p-4 */
    -0.63566345f,   /* -0x1.4575aep-1 */
    -1.1285304f     /* -0x1.20e75ep+0 */
};

/* exp(x) = 2^k * exp(r), k the nearest integer of x / ln 2: exp(r) - 1, and k + POWER_BIAS; x is no NaN. */
static float exp_parts(float x, float least, uint32_t *power)
{
    float k, r, p, low;

    x = x > 89.0f ? 89.0f : x;
    x = x < least ? least : x;
    k = x * LOG2_E;
    k = k + ROUNDER; /* the nearest integer stands in the low bits */
    *power = rc_bits_of(k) - ROUNDER_BITS + POWER_BIAS;
    k = k - ROUNDER;
    low = k * RC_LN2_HI;
    r = x - low;
    low = k * RC_LN2_LO;
    r = r - low;
    p = rc_horner(exp_polynomial, 5u, r);
    low = r * r;
    p = p * low;
    return p + r;
}

/* p * 2^(power - POWER_BIAS) in two steps, so that denormal results are rounded once. */
static float scaled(float p, uint32_t power)
{
    const uint32_t half = power >> 1;
    p = p * rc_float_of(half << 23);
    return p * rc_float_of((power - half) << 23);
}

float rc_expf(float x)
{
    uint32_t power;
    float p;

    if (x != x) {
        return x;
    }
    p = exp_parts(x, -104.0f, &power);
    p = p + 1.0f;
    return scaled(p, power);
}

float rc_expm1f(float x)
{
    uint32_t power;
    float p, one;

    if (x != x) {
        return x;
    }
    p = exp_parts(x, -20.0f, &power);
    /* 1 / 2^k; a denormal one is not worth the way */
    one = power < POWER_BIAS + 127u ? rc_float_of((POWER_BIAS + 127u - power) << 23) : 0.0f;
    one = 1.0f - one;
    p = p + one;
    return scaled(p, power);
}

float rc_sigmoidf(float x)
{
    float e, d;
    if (x >= 0.0f) {
        e = rc_expf(-x);
        d = 1.0f + e;
        return 1.0f / d;
    }
    e = rc_expf(x);
    d = 1.0f + e;
    return e / d;
}

float rc_tanhf(float x)
{
    const float size = x < 0.0f ? -x : x;
    float p, e, d, q;

    if (size < 0.625f) {
        const float z = x * x;
        p = rc_horner(tanh_polynomial, 5u, z);
        p = p * z;
        p = p * x;
        return p + x;
    }
    e = rc_expf(size + size);
    d = e + 1.0f;
    q = 2.0f / d;
    p = 1.0f - q;
    return x < 0.0f ? -p : p;
}

float rc_erff(float x)
{
    float size = x < 0.0f ? -x : x, p;

    if (size < 0.84375f) {
        p = rc_horner(erf_polynomial, 6u, x * x);
        p = p * x;
        return p + x;
    }
    size = size > 4.0f ? 4.0f : size;
    p = rc_horner(erfc_polynomial, 6u, size);
    p = p * size;
    p = rc_expf(p);
    p = 1.0f - p;
    return x < 0.0f ? -p : p;
}
