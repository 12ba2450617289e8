/* rc_activation.c - Relu and Clip. */
#include "rc_activation.h"

void rc_relu(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        const float value = *x++;
        *y++ = value > 0.0f ? value : 0.0f;
    }
}

void rc_clip(const float *x, float *y, uint32_t n, float least, float most)
{
    for (; n != 0u; n--) {
        float value = *x++;
        value = value < least ? least : value;
        *y++ = value > most ? most : value;
    }
}
