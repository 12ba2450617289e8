/* rc_pool.h - maximum and average over windows, channels last. */
#ifndef RC_POOL_H
#define RC_POOL_H

#include "rc_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_pool {
    uint32_t in_h, in_w, channels;
    uint32_t out_h, out_w;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_top, pad_left; /* less than the kernel, so that every window meets the image */
    uint32_t count_padding;     /* average: 1 divides by all taps, 0 by those inside the image */
} rc_pool;

/* Inputs at..at+kernel-1, less pad, cut to 0..length-1: the first and how many. */
RC_INLINE uint32_t rc_pool_cut(uint32_t at, uint32_t pad, uint32_t kernel, uint32_t length, uint32_t *first)
{
    const uint32_t end = at + kernel - pad;
    *first = at > pad ? at - pad : 0u;
    return (end < length ? end : length) - *first;
}

/* In the order (kh, kw), the padding left out; y must not overlap x. */
void rc_max_pool(const rc_pool *pool, const float *x, float *y);
void rc_average_pool(const rc_pool *pool, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
