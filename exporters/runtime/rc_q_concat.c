/* rc_q_concat.c - Concat of int8 networks. */
#include "rc_q_merge.h"

#include <string.h>

void rc_q_concat(const int8_t *x, int8_t *y, uint32_t blocks, uint32_t n, uint32_t pitch)
{
    for (; blocks != 0u; blocks--, x += n, y += pitch) {
        memcpy(y, x, (size_t)n);
    }
}
