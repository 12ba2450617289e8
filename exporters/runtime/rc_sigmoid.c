/* rc_sigmoid.c - Sigmoid and Tanh. */
#include "rc_activation.h"
#include "rc_math.h"

void rc_sigmoid(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_sigmoidf(*x++);
    }
}

void rc_tanh(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_tanhf(*x++);
    }
}
