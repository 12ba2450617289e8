/* rc_q_conv_stream.c - weight-stationary convolutions of int8 networks: each weight is decoded once and applied to the
 * plane of its output channel. */
#include "rc_q_conv.h"
#include "rc_q_plane.h"

RC_INLINE void conv_dense(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums, uint32_t form)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t channels = window->in_channels / window->group, taps = window->kernel_h * window->kernel_w;
    uint32_t row, tap, channel;
    rc_q_cursor cursor;
    rc_q_plane plane;

    rc_q_plane_open(&plane, conv, x, y, sums);
    rc_q_cursor_open(&cursor, conv->weights, form);
    for (row = 0u; row < window->out_channels; row++) {
        rc_q_cursor_row(&cursor, conv->weights, row, form);
        for (tap = 0u; tap < taps; tap++) {
            rc_q_plane_move(&plane, tap);
            for (channel = 0u; channel < channels; channel++) {
                rc_q_plane_add(&plane, channel, rc_q_cursor_value(&cursor, form));
            }
        }
        rc_q_plane_next(&plane);
    }
}

RC_INLINE void conv_csr(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums, uint32_t form)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t channels = window->in_channels / window->group, taps = window->kernel_h * window->kernel_w;
    const uint32_t escape = conv->weights->stream.escape;
    uint32_t tap = 0u, channel = 0u, left;
    rc_q_cursor cursor;
    rc_q_plane plane;

    rc_q_plane_open(&plane, conv, x, y, sums);
    rc_q_cursor_open(&cursor, conv->weights, form);
    for (left = conv->weights->stream.n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor.stream, form);
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
                rc_q_plane_next(&plane);
                rc_q_cursor_row(&cursor, conv->weights, plane.row, form);
            }
            rc_q_plane_move(&plane, tap);
        }
        rc_q_plane_add(&plane, channel, rc_q_cursor_value(&cursor, form));
        channel++;
    }
    while (plane.row < window->out_channels) {
        rc_q_plane_next(&plane);
    }
}

#define RC_DEFINE(name, form)                                                                   \
    void rc_q_conv_##name(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums) \
    {                                                                                           \
        if (((form)&RC_CSR) != 0u) {                                                            \
            conv_csr(conv, x, y, sums, form);                                                   \
        } else {                                                                                \
            conv_dense(conv, x, y, sums, form);                                                 \
        }                                                                                       \
    }
RC_Q_FORMS(RC_DEFINE)

RC_INLINE void conv_entries(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums, uint32_t form)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t channels = window->in_channels / window->group, taps = window->kernel_h * window->kernel_w;
    uint32_t tap = 0u, channel = UINT32_MAX; /* one less than an entry's, until it is advanced */
    rc_q_reader reader;
    rc_q_plane plane;

    rc_q_plane_open(&plane, conv, x, y, sums);
    rc_q_reader_open(&reader, conv->entries);
    for (;;) {
        const uint32_t advance = rc_q_advance(&reader, form);
        if (RC_Q_IS_ESCAPE(advance, form)) {
            channel += rc_q_escaped(advance, form);
            continue;
        }
        channel += advance >> RC_Q_ADVANCE_BITS(form);
        if (channel >= channels) {
            do {
                channel -= channels;
                tap++;
            } while (channel >= channels);
            while (tap >= taps) {
                tap -= taps;
                rc_q_plane_next(&plane);
                if (plane.row == window->out_channels) {
                    return;
                }
            }
            rc_q_plane_move(&plane, tap);
        }
        rc_q_plane_add(&plane, channel, rc_q_value(&reader, form));
    }
}

#define RC_DEFINE_ENTRIES(name, form)                                                                   \
    void rc_q_conv_##name(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums) \
    {                                                                                           \
        conv_entries(conv, x, y, sums, form);                                                            \
    }
RC_Q_ENTRY_FORMS(RC_DEFINE_ENTRIES)
