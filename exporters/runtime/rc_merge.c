/* rc_merge.c - Add and Concat. */
#include "rc_merge.h"

#include <string.h>

void rc_add(const float *a, const float *b, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = *a++ + *b++;
    }
}

void rc_concat(const float *x, float *y, uint32_t blocks, uint32_t n, uint32_t pitch)
{
    uint32_t block;

    for (block = 0u; block < blocks; block++) {
        memcpy(y + (size_t)block * pitch, x + (size_t)block * n, (size_t)n * sizeof *y);
    }
}
