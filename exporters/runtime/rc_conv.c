/* rc_conv.c - weight-stationary convolutions whose accumulator is the output plane. */
#include "rc_conv.h"

#include "rc_conv_stream.h"

#define RC_DEFINE(name, form)                                         \
    void rc_conv_##name(const rc_conv *conv, const float *x, float *y) \
    {                                                                 \
        rc_plane plane;                                               \
        rc_plane_open(&plane, conv, x, y);                            \
        rc_conv_stream(conv, &plane, NULL, y, form);                  \
    }
RC_DEFINE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DEFINE)
