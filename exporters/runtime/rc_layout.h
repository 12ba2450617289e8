/* rc_layout.h - elements put elsewhere, repeated or left out; planes in another size; rows of a table. */
#ifndef RC_LAYOUT_H
#define RC_LAYOUT_H

#include "rc_axes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the elements of the output, one after the other, come from. */
typedef struct rc_arrangement {
    int32_t first;
    rc_axes axes;
} rc_arrangement;

/* Transpose, Slice, Expand and the like; y must not overlap x. */
void rc_arrange(const rc_arrangement *from, const float *x, float *y);

typedef struct rc_resize {
    const RC_FLASH uint32_t *lines;        /* for each line of the output: the input's, or the one before it */
    const RC_FLASH uint32_t *lines_behind; /* linear: the one behind */
    const RC_FLASH float *line_weights;    /* linear: weight of the latter */
    const RC_FLASH uint32_t *columns;
    const RC_FLASH uint32_t *columns_behind;
    const RC_FLASH float *column_weights;
    uint32_t in_w, channels;
    uint32_t out_h, out_w;
} rc_resize;

/* y must not overlap x. */
void rc_resize_nearest(const rc_resize *resize, const float *x, float *y);
/* Between two columns, then between two lines: a * (1 - v) + b * v. */
void rc_resize_linear(const rc_resize *resize, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
