/* rc_arrange.c - Transpose, Slice, Expand, DepthToSpace and SpaceToDepth. */
#include "rc_layout.h"

void rc_arrange(const rc_arrangement *from, const float *x, float *y)
{
    const uint32_t n = from->axes.sizes[RC_AXES - 1u];
    const int32_t step = from->axes.strides[RC_AXES - 1u];
    rc_walk walk;

    rc_walk_open(&walk, &from->axes, from->first);
    do {
        int32_t at = walk.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            *y++ = x[at];
            at += step;
        }
    } while (rc_walk_line(&walk) != 0u);
}
