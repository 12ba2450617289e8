/* rc_log.c - Log and Softplus, log and log1p; every statement is one float32 rounding. */
#include "rc_bits.h"
#include "rc_elementwise.h"
#include "rc_math.h"

#define SQRT_HALF_BITS 0x3F3504F3u /* of 0.70710677 */
#define ONE_BITS 0x3F800000u

/* (2 artanh(s) - 2 s) / s in powers of s^2 for |s| <= 0.1716 */
static const RC_FLASH float log_polynomial[3] = {
    0.29870686f, /* 0x1.31e036p-2 */
    0.39977586f, /* 0x1.995ed8p-2 */
    0.66666776f  /* 0x1.55557ap-1 */
};

/* log(u * 2^power) + added for a normal u: u = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2). */
static float log_of(float u, int32_t power, float added)
{
    const uint32_t shifted = rc_bits_of(u) + (ONE_BITS - SQRT_HALF_BITS);
    const float k = (float)(power + (int32_t)(shifted >> 23) - 127);
    const float f = rc_float_of((shifted & 0x7FFFFFu) + SQRT_HALF_BITS) - 1.0f;
    const float d = 2.0f + f;
    const float s = f / d;
    const float z = s * s;
    float p = rc_horner(log_polynomial, 3u, z), h, low;

    p = p * z;
    h = 0.5f * f;
    h = h * f;
    p = p + h;
    p = p * s;
    low = k * RC_LN2_LO;
    low = low + added;
    p = p + low;
    h = h - p;
    h = h - f;
    low = k * RC_LN2_HI;
    return low - h;
}

float rc_logf(float x)
{
    if (x != x || x < 0.0f) {
        return rc_float_of(RC_BITS_NAN);
    }
    if (x == 0.0f) {
        return -rc_float_of(RC_BITS_INFINITY);
    }
    if (rc_bits_of(x) == RC_BITS_INFINITY) {
        return x;
    }
    if (rc_bits_of(x) < 0x00800000u) { /* denormal */
        return log_of(x * 33554432.0f, -25, 0.0f);
    }
    return log_of(x, 0, 0.0f);
}

float rc_log1pf(float x)
{
    float u, lost;

    if (x != x || x < -1.0f) {
        return rc_float_of(RC_BITS_NAN);
    }
    if (x == -1.0f) {
        return -rc_float_of(RC_BITS_INFINITY);
    }
    if (rc_bits_of(x) == RC_BITS_INFINITY) {
        return x;
    }
    u = 1.0f + x;
    if (x < 1.0f) { /* what the sum lost, exactly */
        lost = u - 1.0f;
        lost = x - lost;
    } else {
        lost = u - x;
        lost = 1.0f - lost;
    }
    return log_of(u, 0, lost / u);
}

float rc_softplusf(float x)
{
    const float rest = rc_log1pf(rc_expf(x < 0.0f ? x : -x));
    return x > 0.0f ? x + rest : rest;
}

void rc_log(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_logf(*x++);
    }
}

void rc_softplus(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_softplusf(*x++);
    }
}
