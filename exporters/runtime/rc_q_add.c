/* rc_q_add.c - Add of int8 networks: both inputs in one scale with 20 bits behind the point. */
#include "rc_q_merge.h"

RC_INLINE int32_t term(int32_t x, int32_t zero_point, int32_t factor, int32_t left, int32_t shift)
{
    const int32_t high = rc_q_upper((x - zero_point) * ((int32_t)1 << left), factor);
    return (((high + (high >> 31)) >> shift) + 1) >> 1;
}

void rc_q_add(const rc_q_sum *sum, const int8_t *a, const int8_t *b, int8_t *y, uint32_t n)
{
    const rc_q_term p = sum->a, q = sum->b;
    const int32_t factor = sum->factor, shift = sum->shift, offset = 2 * sum->zero_point + 1;

    for (; n != 0u; n--) {
        const int32_t first = term(*a++, p.zero_point, p.factor, p.left, p.shift);
        const int32_t second = term(*b++, q.zero_point, q.factor, q.left, q.shift);
        *y++ = (int8_t)rc_q_small(first + second, factor, shift, offset);
    }
}
