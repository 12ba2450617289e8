/* rc_q_plane.h - the sums of one output channel while weights are applied to them, up to four at a time. */
#ifndef RC_Q_PLANE_H
#define RC_Q_PLANE_H

#include "rc_q_conv.h"

#define RC_Q_PLANE_TAPS 4u

/* Weights that wait to be applied, all to the same outputs, and where they apply. */
typedef struct rc_q_plane {
    const rc_q_conv_stream *conv;
    const int8_t *x;
    int8_t *y;
    uint32_t *sums;       /* of the output channel `row`; they wrap */
    const int8_t *x_first; /* input under the first output that the tap reaches, channel 0 of the group */
    uint32_t *first;
    uint32_t rows, columns; /* outputs that the tap reaches: outside it meets the padding */
    uint32_t row;
    uint32_t n_taps;
    int32_t weight[RC_Q_PLANE_TAPS];
    const int8_t *from[RC_Q_PLANE_TAPS]; /* inputs under the first output that the weights apply to */
} rc_q_plane;

/* Stand at the first tap of the first output channel, every sum its bias. */
void rc_q_plane_open(rc_q_plane *plane, const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums);

/* Go to a tap (kh * kernel_w + kw) of this output channel. What waits is applied unless this tap reaches the same
 * outputs. */
void rc_q_plane_move(rc_q_plane *plane, uint32_t tap);

/* Apply what waits, make the outputs of this channel, and go to the first tap of the next. */
void rc_q_plane_next(rc_q_plane *plane);

/* Apply what waits. */
void rc_q_plane_flush(rc_q_plane *plane);

RC_INLINE void rc_q_plane_add(rc_q_plane *plane, uint32_t channel, int32_t weight)
{
    const uint32_t n = plane->n_taps;
    plane->weight[n] = weight;
    plane->from[n] = plane->x_first + channel;
    plane->n_taps = n + 1u;
    if (n + 1u == RC_Q_PLANE_TAPS) {
        rc_q_plane_flush(plane);
    }
}

#endif
