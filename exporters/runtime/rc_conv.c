/* rc_conv.c - weight-stationary convolutions: each weight is decoded once and applied to the whole output plane. */
#include "rc_conv.h"

#include "rc_plane.h"

RC_INLINE void conv_dense(const rc_conv *conv, const float *x, float *y, uint32_t form)
{
    const uint32_t channels = conv->in_channels / conv->group, taps = conv->kernel_h * conv->kernel_w;
    uint32_t row, tap, channel;
    rc_cursor cursor;
    rc_plane plane;

    rc_plane_open(&plane, conv, x, y);
    rc_cursor_open(&cursor, conv->weights, form);
    for (row = 0u; row < conv->out_channels; row++) {
        rc_cursor_row(&cursor, conv->weights, row, form);
        for (tap = 0u; tap < taps; tap++) {
            rc_plane_move(&plane, row, tap);
            for (channel = 0u; channel < channels; channel++) {
                rc_plane_add(&plane, channel, rc_cursor_value(&cursor, form));
            }
        }
    }
    rc_plane_flush(&plane);
}

RC_INLINE void conv_csr(const rc_conv *conv, const float *x, float *y, uint32_t form)
{
    const uint32_t channels = conv->in_channels / conv->group, taps = conv->kernel_h * conv->kernel_w;
    const uint32_t escape = conv->weights->escape;
    uint32_t row = 0u, tap = 0u, channel = 0u, left;
    rc_cursor cursor;
    rc_plane plane;

    rc_plane_open(&plane, conv, x, y);
    rc_cursor_open(&cursor, conv->weights, form);
    for (left = conv->weights->n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor, form);
        channel += gap;
        if (gap == escape) {
            continue;
        }
        if (channel >= channels) {
            do {
                channel -= channels;
                tap++;
            } while (channel >= channels);
            while (tap >= taps) {
                tap -= taps;
                row++;
                rc_cursor_row(&cursor, conv->weights, row, form);
            }
            rc_plane_move(&plane, row, tap);
        }
        rc_plane_add(&plane, channel, rc_cursor_value(&cursor, form));
        channel++;
    }
    rc_plane_flush(&plane);
}

#define RC_DEFINE(name, form)                                         \
    void rc_conv_##name(const rc_conv *conv, const float *x, float *y) \
    {                                                                 \
        if (((form)&RC_CSR) != 0u) {                                  \
            conv_csr(conv, x, y, form);                               \
        } else {                                                      \
            conv_dense(conv, x, y, form);                             \
        }                                                             \
    }
RC_DEFINE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DEFINE)
