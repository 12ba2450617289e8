/* rc_plane.h - the output plane of a convolution while weights are applied to it, up to four at a time. */
#ifndef RC_PLANE_H
#define RC_PLANE_H

#include "rc_conv.h"

#define RC_PLANE_TAPS 4u

/* Weights that wait to be applied, all to the same outputs of one channel, and where they apply. */
typedef struct rc_plane {
    const rc_conv *conv;
    const float *x;
    float *y;
    uint32_t step;    /* from output to output of a channel */
    uint32_t channel; /* from channel to channel: 1, or 0 if the plane is that of one channel */
    const float *x_first; /* input under the first output that the tap reaches, channel 0 of the group */
    float *y_first;
    uint32_t rows, columns; /* outputs that the tap reaches: outside it meets the padding */
    uint32_t n_taps;
    float weight[RC_PLANE_TAPS];
    const float *from[RC_PLANE_TAPS]; /* inputs under the first output that the weights apply to */
} rc_plane;

/* Fill the plane with the bias and stand at the first tap of the first output channel. */
void rc_plane_open(rc_plane *plane, const rc_conv *conv, const float *x, float *y);

/* Stand there, in a plane that is filled already. */
void rc_plane_begin(rc_plane *plane, const rc_conv *conv, const float *x, float *y, uint32_t step, uint32_t channel);

/* Go to a tap (kh * kernel_w + kw) of an output channel. What waits is applied unless this tap reaches the same
 * outputs. */
void rc_plane_move(rc_plane *plane, uint32_t out_channel, uint32_t tap);

/* Apply what waits. */
void rc_plane_flush(rc_plane *plane);

RC_INLINE void rc_plane_add(rc_plane *plane, uint32_t channel, float weight)
{
    const uint32_t n = plane->n_taps;
    plane->weight[n] = weight;
    plane->from[n] = plane->x_first + channel;
    plane->n_taps = n + 1u;
    if (n + 1u == RC_PLANE_TAPS) {
        rc_plane_flush(plane);
    }
}

#endif
