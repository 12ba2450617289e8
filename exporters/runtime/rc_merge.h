/* rc_merge.h - tensors combined, copied and padded. */
#ifndef RC_MERGE_H
#define RC_MERGE_H

#include "rc_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = a + b; y may be a or b. */
void rc_add(const float *a, const float *b, float *y, uint32_t n);
/* One input of a concatenation: `blocks` runs of n elements, each to its place in y, `pitch` apart. */
void rc_concat(const float *x, float *y, uint32_t blocks, uint32_t n, uint32_t pitch);

/* Zeros around an image of `height` rows of `row` elements: elements before and after, counted in elements. */
typedef struct rc_pad_sizes {
    uint32_t height;
    uint32_t row;
    uint32_t top, left, bottom, right; /* top and bottom in rows, left and right in elements */
} rc_pad_sizes;

void rc_pad(const rc_pad_sizes *sizes, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
