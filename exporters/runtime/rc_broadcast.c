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

RC_DEFINE_BROADCAST(add, sum)
RC_DEFINE_BROADCAST(sub, difference)
RC_DEFINE_BROADCAST(mul, product)
RC_DEFINE_BROADCAST(div, quotient)
RC_DEFINE_BROADCAST(max, larger)
RC_DEFINE_BROADCAST(min, smaller)
RC_DEFINE_BROADCAST(prelu, leaky)
