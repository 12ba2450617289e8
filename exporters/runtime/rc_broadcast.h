/* rc_broadcast.h - two tensors combined element by element, either of them repeated along some axes. */
#ifndef RC_BROADCAST_H
#define RC_BROADCAST_H

#include "rc_axes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_broadcast {
    rc_axes a;
    rc_axes b; /* the sizes are those of a */
} rc_broadcast;

/* y is as large as the sizes say, and may be an operand that is not repeated. */
void rc_broadcast_add(const rc_broadcast *axes, const float *a, const float *b, float *y);
void rc_broadcast_sub(const rc_broadcast *axes, const float *a, const float *b, float *y);
void rc_broadcast_mul(const rc_broadcast *axes, const float *a, const float *b, float *y);
void rc_broadcast_div(const rc_broadcast *axes, const float *a, const float *b, float *y);
/* b where it is greater, or less, and a elsewhere. */
void rc_broadcast_max(const rc_broadcast *axes, const float *a, const float *b, float *y);
void rc_broadcast_min(const rc_broadcast *axes, const float *a, const float *b, float *y);
/* a above 0, b * a elsewhere. */
void rc_broadcast_prelu(const rc_broadcast *axes, const float *a, const float *b, float *y);
/* a to the power b; rc_pow.c, in double. */
void rc_broadcast_pow(const rc_broadcast *axes, const float *a, const float *b, float *y);

/* The loops of all of them; the function is a constant of each instance. */
RC_INLINE void rc_combine(const rc_broadcast *axes, const float *a, const float *b, float *y,
                          float (*combined)(float a, float b))
{
    const uint32_t n = axes->a.sizes[RC_AXES - 1u];
    const int32_t step_a = axes->a.strides[RC_AXES - 1u];
    const int32_t step_b = axes->b.strides[RC_AXES - 1u];
    rc_walk walk_a, walk_b;

    rc_walk_open(&walk_a, &axes->a, 0);
    rc_walk_open(&walk_b, &axes->b, 0);
    do {
        int32_t at_a = walk_a.offset, at_b = walk_b.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            *y++ = combined(a[at_a], b[at_b]);
            at_a += step_a;
            at_b += step_b;
        }
        (void)rc_walk_line(&walk_b);
    } while (rc_walk_line(&walk_a) != 0u);
}

#ifdef __cplusplus
}
#endif

#endif
