/* rc_check_sizes.c - do the sizes of a step make sense? The geometries that kernels of both kinds share. */
#include "rc_check.h"

static int all_sizes(const uint32_t *sizes, uint32_t n, uint32_t least)
{
    for (; n != 0u; n--, sizes++) {
        if (*sizes < least || *sizes > RC_MOST_SIZE) {
            return 0;
        }
    }
    return 1;
}

/* S6: in_h, in_w, in_channels, out_h, out_w, out_channels, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left,
 * dilation_h, dilation_w, group. */
int rc_check_window(const uint32_t *sizes, rc_extent *extent)
{
    if (!all_sizes(sizes, 10u, 1u) || !all_sizes(sizes + 10, 2u, 0u) || !all_sizes(sizes + 12, 3u, 1u)) {
        return 0;
    }
    extent->n_x = rc_product(rc_product(sizes[0], sizes[1]), sizes[2]);
    extent->n_y = rc_product(rc_product(sizes[3], sizes[4]), sizes[5]);
    return sizes[2] % sizes[14] == 0u && sizes[5] % sizes[14] == 0u && rc_product(sizes[6], sizes[12]) != 0u &&
           rc_product(sizes[7], sizes[13]) != 0u && rc_product(sizes[3], sizes[8]) != 0u &&
           rc_product(sizes[4], sizes[9]) != 0u;
}

uint32_t rc_check_columns(const uint32_t *sizes)
{
    return rc_product(rc_product(sizes[6], sizes[7]), sizes[2] / sizes[14]);
}

/* S8: in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left; every window meets
 * the image. */
int rc_check_pool(const uint32_t *sizes, rc_extent *extent)
{
    if (!all_sizes(sizes, 9u, 1u) || !all_sizes(sizes + 9, 2u, 0u)) {
        return 0;
    }
    extent->n_x = rc_product(rc_product(sizes[0], sizes[1]), sizes[2]);
    extent->n_y = rc_product(rc_product(sizes[3], sizes[4]), sizes[2]);
    return sizes[9] < sizes[5] && sizes[10] < sizes[6] && rc_product(sizes[5], sizes[6]) != 0u &&
           (uint64_t)(sizes[3] - 1u) * sizes[7] < (uint64_t)sizes[0] + sizes[9] &&
           (uint64_t)(sizes[4] - 1u) * sizes[8] < (uint64_t)sizes[1] + sizes[10];
}

/* S9: blocks of n elements, pitch apart; the last one ends inside the output. */
int rc_check_concat(const uint32_t *sizes, rc_extent *extent)
{
    const uint32_t blocks = sizes[0], n = sizes[1], pitch = sizes[2];
    const uint32_t span = rc_product(blocks, pitch);

    if (n == 0u || n > pitch || span == 0u) {
        return 0;
    }
    extent->n_x = rc_product(blocks, n);
    extent->n_y = span - (pitch - n);
    return 1;
}

/* S10: height, row, top, left, bottom, right. */
int rc_check_pad(const uint32_t *sizes, rc_extent *extent)
{
    extent->n_x = rc_product(sizes[0], sizes[1]);
    extent->n_y = rc_product(sizes[2] + sizes[0] + sizes[4], sizes[3] + sizes[1] + sizes[5]);
    return all_sizes(sizes, 2u, 1u) && all_sizes(sizes + 2, 4u, 0u);
}
