/* rc_conv_pooled.c - weight-stationary convolutions whose accumulator is the plane of one channel, which is pooled. */
#include "rc_conv_pooled.h"

#include "rc_conv_stream.h"

#define RC_DEFINE(name, form)                                                                     \
    void rc_conv_pooled_##name(const rc_conv_pooled *pooled, const float *x, float *y, float *sums) \
    {                                                                                             \
        rc_plane plane;                                                                           \
        rc_conv_begin(&pooled->conv, 0u, sums);                                                   \
        rc_plane_begin(&plane, &pooled->conv, x, sums, 1u, 0u);                                   \
        rc_conv_stream(&pooled->conv, &plane, pooled, y, form);                                   \
    }
RC_DEFINE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DEFINE)
