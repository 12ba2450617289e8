/* rc_broadcast.c - Add, Sub, Mul, Div, Max, Min and PRelu of two tensors that are broadcast. */
#include "rc_broadcast.h"

static float sum(float a, float b)
{
    return a + b;
}

static float difference(float a, float b)
{
    return a - b;
}

static float product(float a, float b)
{
    return a * b;
}

static float quotient(float a, float b)
{
    return a / b;
}

static float larger(float a, float b)
{
    return b > a ? b : a;
}

static float smaller(float a, float b)
{
    return b < a ? b : a;
}

static float leaky(float a, float b)
{
    return a > 0.0f ? a : b * a;
}

void rc_broadcast_add(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, sum);
}

void rc_broadcast_sub(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, difference);
}

void rc_broadcast_mul(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, product);
}

void rc_broadcast_div(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, quotient);
}

void rc_broadcast_max(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, larger);
}

void rc_broadcast_min(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, smaller);
}

void rc_broadcast_prelu(const rc_broadcast *axes, const float *a, const float *b, float *y)
{
    rc_combine(axes, a, b, y, leaky);
}
