/* rc_exponential.c - functions of single elements made of exp, sigmoid, tanh and erf. */
#include "rc_elementwise.h"
#include "rc_math.h"

void rc_exp(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_expf(*x++);
    }
}

void rc_erf(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_erff(*x++);
    }
}

void rc_elu(const float *x, float *y, uint32_t n, float alpha)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value > 0.0f ? value : alpha * rc_expm1f(value);
    }
}

void rc_elu_one(const float *x, float *y, uint32_t n)
{
    rc_elu(x, y, n, 1.0f);
}

void rc_celu(const float *x, float *y, uint32_t n, float alpha)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value > 0.0f ? value : alpha * rc_expm1f(value / alpha);
    }
}

void rc_selu(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        /* 0x1.0cfabep+0 and 0x1.c212ccp+0 */
        *y++ = value > 0.0f ? 1.050701f * value : 1.7580993f * rc_expm1f(value);
    }
}

/* x * (1 + part) / 2 */
static float half_of(float x, float part)
{
    const float sum = 1.0f + part;
    const float half = 0.5f * x;
    return half * sum;
}

void rc_gelu(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = half_of(value, rc_erff(value * 0.70710677f /* 0x1.6a09e6p-1 */));
    }
}

void rc_gelu_tanh(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        float inner = value * value;
        inner = inner * value;
        inner = inner * 0.044715f; /* 0x1.6e4e26p-5 */
        inner = value + inner;
        inner = inner * 0.7978846f; /* 0x1.988454p-1 */
        *y++ = half_of(value, rc_tanhf(inner));
    }
}

void rc_swish(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value * rc_sigmoidf(value);
    }
}

/* tanh(softplus(x)) = m / (m + 2) with m = e (e + 2), which does not cancel. */
void rc_mish(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        const float e = rc_expf(value > 20.0f ? 20.0f : value);
        float top = e + 2.0f, bottom;
        top = e * top;
        bottom = top + 2.0f;
        top = top / bottom;
        *y++ = value * top;
    }
}
