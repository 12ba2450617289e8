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

#ifdef __cplusplus
}
#endif

#endif
