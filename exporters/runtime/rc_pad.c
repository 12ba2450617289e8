/* rc_pad.c - Pad with zeros. */
#include "rc_merge.h"

#include <string.h>

static float *zeros(float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = 0.0f;
    }
    return y;
}

void rc_pad(const rc_pad_sizes *sizes, const float *x, float *y)
{
    const uint32_t wide = sizes->left + sizes->row + sizes->right;
    uint32_t row;

    y = zeros(y, sizes->top * wide);
    for (row = 0u; row < sizes->height; row++) {
        y = zeros(y, sizes->left);
        memcpy(y, x, (size_t)sizes->row * sizeof *y);
        y = zeros(y + sizes->row, sizes->right);
        x += sizes->row;
    }
    (void)zeros(y, sizes->bottom * wide);
}
