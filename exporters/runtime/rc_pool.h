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

/* In the order (kh, kw), the padding left out; y must not overlap x. */
void rc_max_pool(const rc_pool *pool, const float *x, float *y);
void rc_average_pool(const rc_pool *pool, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
