/* rc_q_activation.c - tables and clamps of int8 networks. */
#include "rc_q_activation.h"

void rc_q_table(const int8_t *x, int8_t *y, uint32_t n, const RC_FLASH int8_t *table)
{
    for (table += 128; n != 0u; n--) {
        *y++ = table[*x++];
    }
}

void rc_q_clamp(const int8_t *x, int8_t *y, uint32_t n, int32_t low, int32_t high)
{
    for (; n != 0u; n--) {
        int32_t value = *x++;
        value = value < low ? low : value;
        *y++ = (int8_t)(value > high ? high : value);
    }
}
