/* rc_q_merge.h - tensors of int8 networks added, combined and padded. */
#ifndef RC_Q_MERGE_H
#define RC_Q_MERGE_H

#include "rc_q.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of one of two inputs: the scale to twice the larger of both. */
typedef struct rc_q_term {
    int32_t zero_point;
    int32_t factor; /* 2^30 to 2^31 - 1 */
    int32_t left;   /* places to the left, so that the upper half of the product has 20 bits behind the point */
    int32_t shift;  /* then to the right, less one */
} rc_q_term;

typedef struct rc_q_sum {
    rc_q_term a, b;
    int32_t zero_point, factor, shift; /* of the output */
} rc_q_sum;

/* y = a + b; y may be a or b. */
void rc_q_add(const rc_q_sum *sum, const int8_t *a, const int8_t *b, int8_t *y, uint32_t n);

/* One input of a concatenation: `blocks` runs of n elements, each to its place in y, `pitch` apart. */
void rc_q_concat(const int8_t *x, int8_t *y, uint32_t blocks, uint32_t n, uint32_t pitch);

/* A value around an image of `height` rows of `row` elements. */
typedef struct rc_q_pad_sizes {
    uint32_t height;
    uint32_t row;
    uint32_t top, left, bottom, right; /* top and bottom in rows, left and right in elements */
    int32_t value;
} rc_q_pad_sizes;

void rc_q_pad(const rc_q_pad_sizes *sizes, const int8_t *x, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
