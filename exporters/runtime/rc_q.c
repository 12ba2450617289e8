/* rc_q.c - int8 networks: sums to integers of an output, in any case. */
#include "rc_q.h"

/* sum * factor, rounded twice: to 2^-31 of the product with the significand (halves up), then after the shift (halves
 * away from zero). Wraps as 32 bits do where a shift to the left overflows. */
static int32_t multiply(int32_t sum, int32_t significand, int32_t right)
{
    const uint32_t left = right < 0 ? (uint32_t)-right : 0u;
    const int32_t shifted = (int32_t)((uint32_t)sum << left);
    const int32_t high = (int32_t)(((int64_t)shifted * significand + ((int64_t)1 << 30)) >> 31);
    int32_t mask;

    if (right <= 0) {
        return high;
    }
    mask = (int32_t)(((uint32_t)1 << (uint32_t)right) - 1u);
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0));
}

int32_t rc_q_output(int32_t sum, int32_t significand, int32_t shift, int32_t offset)
{
    int32_t value = multiply(sum, significand, shift + 1);

    value = value > 255 ? 255 : value;
    value = value < -255 ? -255 : value;
    return rc_q_saturate(value + (offset >> 1));
}

int32_t rc_q_unit(uint32_t sum, const rc_q_scale *scale, uint32_t unit)
{
    const uint32_t at = unit * rc_q_factor_step(scale);
    const int32_t offset = 2 * scale->zero_point + 1;

    if (sum + ((uint32_t)1 << 30) < (uint32_t)1 << 31) {
        return rc_q_small((int32_t)sum, scale->factors[at], scale->shifts[at], offset);
    }
    return rc_q_output((int32_t)sum, scale->factors[at], scale->shifts[at], offset);
}
