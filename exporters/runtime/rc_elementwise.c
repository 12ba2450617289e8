/* rc_elementwise.c - functions of single elements made of sums, products and comparisons. */
#include "rc_bits.h"
#include "rc_elementwise.h"

void rc_abs(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_float_of(rc_bits_of(*x++) & 0x7FFFFFFFu);
    }
}

void rc_reciprocal(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = 1.0f / *x++;
    }
}

void rc_softsign(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        const float size = value < 0.0f ? -value : value;
        const float sum = 1.0f + size;
        *y++ = value / sum;
    }
}

void rc_leaky_relu(const float *x, float *y, uint32_t n, float alpha)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value > 0.0f ? value : alpha * value;
    }
}

void rc_thresholded_relu(const float *x, float *y, uint32_t n, float alpha)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value > alpha ? value : 0.0f;
    }
}

/* x * alpha + beta, kept between 0 and 1. */
static float ramp(float x, float alpha, float beta)
{
    float value = x * alpha;
    value = value + beta;
    value = value < 0.0f ? 0.0f : value;
    return value > 1.0f ? 1.0f : value;
}

void rc_hard_sigmoid(const float *x, float *y, uint32_t n, float alpha, float beta)
{
    for (; n != 0u; n--) {
        *y++ = ramp(*x++, alpha, beta);
    }
}

void rc_hard_sigmoid_sixth(const float *x, float *y, uint32_t n)
{
    rc_hard_sigmoid(x, y, n, 0.16666667f /* 0x1.555556p-3 */, 0.5f);
}

void rc_hard_sigmoid_fifth(const float *x, float *y, uint32_t n)
{
    rc_hard_sigmoid(x, y, n, 0.2f, 0.5f);
}

void rc_hard_swish(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value * ramp(value, 0.16666667f /* 0x1.555556p-3 */, 0.5f);
    }
}

void rc_not_equal(const float *x, float *y, uint32_t n, float value)
{
    for (; n != 0u; n--) {
        *y++ = *x++ != value ? 1.0f : 0.0f;
    }
}
