/* rc_batch_norm.c - batch normalization at inference: a factor and an offset for each channel. */
#include "rc_activation.h"

void rc_batch_norm(const float *x, float *y, uint32_t pixels, uint32_t channels, const RC_FLASH float *factor,
                   const RC_FLASH float *offset)
{
    uint32_t channel;

    for (; pixels != 0u; pixels--) {
        for (channel = 0u; channel < channels; channel++) {
            const float product = *x++ * factor[channel];
            *y++ = product + offset[channel];
        }
    }
}
