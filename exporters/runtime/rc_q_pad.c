/* rc_q_pad.c - Pad of int8 networks with the zero point. */
#include "rc_q_merge.h"

#include <string.h>

static int8_t *fill(int8_t *y, int32_t value, uint32_t n)
{
    memset(y, (int)value, (size_t)n);
    return y + n;
}

void rc_q_pad(const rc_q_pad_sizes *sizes, const int8_t *x, int8_t *y)
{
    const uint32_t wide = sizes->left + sizes->row + sizes->right;
    uint32_t row;

    y = fill(y, sizes->value, sizes->top * wide);
    for (row = 0u; row < sizes->height; row++, x += sizes->row) {
        y = fill(y, sizes->value, sizes->left);
        memcpy(y, x, (size_t)sizes->row);
        y = fill(y + sizes->row, sizes->value, sizes->right);
    }
    (void)fill(y, sizes->value, sizes->bottom * wide);
}
