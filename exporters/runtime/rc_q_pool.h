/* rc_q_pool.h - maximum and mean over windows of int8 networks, channels last. */
#ifndef RC_Q_POOL_H
#define RC_Q_POOL_H

#include "rc_q.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_q_pool {
    uint32_t in_h, in_w, channels;
    uint32_t out_h, out_w;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_top, pad_left; /* less than the kernel, so that every window meets the image */
} rc_q_pool;

/* Inputs at..at+kernel-1, less pad, cut to 0..length-1: the first and how many. */
RC_INLINE uint32_t rc_q_cut(uint32_t at, uint32_t pad, uint32_t kernel, uint32_t length, uint32_t *first)
{
    const uint32_t end = at + kernel - pad;
    *first = at > pad ? at - pad : 0u;
    return (end < length ? end : length) - *first;
}

/* The padding left out; the mean is that of the integers, halves away from zero. y must not overlap x. */
void rc_q_max_pool(const rc_q_pool *pool, const int8_t *x, int8_t *y);
void rc_q_average_pool(const rc_q_pool *pool, const int8_t *x, int8_t *y);

/* Sums of all pixels of a channel times a factor that holds the division and the change of scale. */
typedef struct rc_q_mean {
    uint32_t pixels, channels;
    int32_t in_zero_point, out_zero_point;
    int32_t factor; /* as in rc_q_scale */
    int8_t shift;
} rc_q_mean;

void rc_q_global_mean(const rc_q_mean *mean, const int8_t *x, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
