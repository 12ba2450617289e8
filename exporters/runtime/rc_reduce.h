/* rc_reduce.h - sums, means and extremes over axes, and elements brought to a common size over axes. */
#ifndef RC_REDUCE_H
#define RC_REDUCE_H

#include "rc_axes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of elements that are reduced together, in the order in which they lie in the input. */
typedef struct rc_rows {
    rc_axes kept;    /* to the first element of each row */
    rc_axes reduced; /* from there to all of them */
    uint32_t n;      /* elements of a row, at least 1 */
    float epsilon;   /* of the normalizations */
} rc_rows;

/* One output for each row; y must not overlap x. */
void rc_reduce_sum(const rc_rows *rows, const float *x, float *y);
void rc_reduce_mean(const rc_rows *rows, const float *x, float *y);
void rc_reduce_max(const rc_rows *rows, const float *x, float *y);
void rc_reduce_min(const rc_rows *rows, const float *x, float *y);

/* Of each element x of a row; y may be x. */
/* (x - mean) / sqrt(variance + epsilon) */
void rc_center(const rc_rows *rows, const float *x, float *y);
/* x / sqrt(mean of squares + epsilon) */
void rc_root_mean_square(const rc_rows *rows, const float *x, float *y);
/* x / sqrt(sum of squares), which is at least epsilon; a row of zeros stays one */
void rc_unit_length(const rc_rows *rows, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
