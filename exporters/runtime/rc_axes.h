/* rc_axes.h - elements visited in the order of any axes: transposed, repeated, every other one, backwards. */
#ifndef RC_AXES_H
#define RC_AXES_H

#include "rc_config.h"

#define RC_AXES 6u

/* The last axis runs fastest; unused ones stand first and have the size 1. A stride is in elements, 0 repeats. */
typedef struct rc_axes {
    uint32_t sizes[RC_AXES];
    int32_t strides[RC_AXES];
} rc_axes;

/* A line is what the last axis runs over. */
typedef struct rc_walk {
    const rc_axes *axes;
    uint32_t at[RC_AXES];
    int32_t offset; /* of the line's first element */
} rc_walk;

RC_INLINE void rc_walk_open(rc_walk *walk, const rc_axes *axes, int32_t offset)
{
    uint32_t axis;

    walk->axes = axes;
    walk->offset = offset;
    for (axis = 0u; axis < RC_AXES; axis++) {
        walk->at[axis] = 0u;
    }
}

/* Go to the next line; 0 if that was the last. */
RC_INLINE uint32_t rc_walk_line(rc_walk *walk)
{
    const uint32_t *const sizes = walk->axes->sizes;
    const int32_t *const strides = walk->axes->strides;
    uint32_t axis = RC_AXES - 1u;

    while (axis != 0u) {
        axis--;
        walk->offset += strides[axis];
        walk->at[axis]++;
        if (walk->at[axis] != sizes[axis]) {
            return 1u;
        }
        walk->offset -= (int32_t)sizes[axis] * strides[axis];
        walk->at[axis] = 0u;
    }
    return 0u;
}

#endif
