/* rc_math.c - exp, sigmoid and tanh; every statement is one float32 rounding. */
#include "rc_math.h"

#include <string.h>

/* Constants are the decimals that round to them; in hexadecimal notation they stand on the right. */
#define LOG2_E 1.442695f         /* 0x1.715476p+0 */
#define LN2_HI 0.693359375f      /* 0x1.63p-1: 10 bits, so that k * LN2_HI is exact */
#define LN2_LO (-0.00021219444f) /* -0x1.bd0106p-13 */
#define ROUNDER 12582912.0f      /* 1.5 * 2^23 */
#define ROUNDER_BITS 0x4B400000u

static const float exp_polynomial[5] = {
    0.0013819826f, /* 0x1.6a4748p-10 */
    0.008368687f,  /* 0x1.1239a2p-7 */
    0.041668277f,  /* 0x1.5558b6p-5 */
    0.16666521f,   /* 0x1.555492p-3 */
    0.49999994f    /* 0x1.fffffcp-2 */
};

static const float tanh_polynomial[5] = {
    -0.005692296f, /* -0x1.750ce2p-8 */
    0.020628167f,  /* 0x1.51f8cep-6 */
    -0.053736515f, /* -0x1.b835a4p-5 */
    0.13331406f,   /* 0x1.1106f6p-3 */
    -0.3333328f    /* -0x1.555532p-2 */
};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float horner(const float *coefficients, float x)
{
    float p = coefficients[0];
    int i;
    for (i = 1; i < 5; i++) {
        p = p * x;
        p = p + coefficients[i];
    }
    return p;
}

/* exp(x) = 2^k * exp(r), k the nearest integer of x / ln 2. */
float rc_expf(float x)
{
    float k, r, p, low;
    uint32_t power, half;

    if (x != x) {
        return x;
    }
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    k = x * LOG2_E;
    k = k + ROUNDER; /* the nearest integer stands in the low bits */
    power = bits_of(k) - ROUNDER_BITS + 254u;
    k = k - ROUNDER;
    low = k * LN2_HI;
    r = x - low;
    low = k * LN2_LO;
    r = r - low;
    p = horner(exp_polynomial, r);
    low = r * r;
    p = p * low;
    p = p + r;
    p = p + 1.0f;
    half = power >> 1; /* 2^k in two steps, so that denormal results are rounded once */
    p = p * float_of(half << 23);
    return p * float_of((power - half) << 23);
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
        p = horner(tanh_polynomial, z);
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
