/* rc_q_mean.c - GlobalAveragePool of int8 networks. */
#include "rc_q_pool.h"

void rc_q_global_mean(const rc_q_mean *mean, const int8_t *x, int8_t *y)
{
    const int32_t offset = 2 * mean->out_zero_point + 1;
    uint32_t channel, pixel;

    for (channel = 0u; channel < mean->channels; channel++) {
        const int8_t *next = x + channel;
        int32_t sum = 0;
        for (pixel = mean->pixels; pixel != 0u; pixel--, next += mean->channels) {
            sum += *next - mean->in_zero_point;
        }
        y[channel] = (int8_t)rc_q_output(sum, mean->factor, mean->shift, offset);
    }
}
