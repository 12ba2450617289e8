/* rc_conv_stream.h - the loops of the weight-stationary convolutions: each weight is decoded once and applied to a whole
 * output plane. The form is a constant of each instance, and so is whether what a channel sums up to is pooled. */
#ifndef RC_CONV_STREAM_H
#define RC_CONV_STREAM_H

#include "rc_conv_pooled.h"
#include "rc_plane.h"

RC_INLINE float rc_conv_largest(const float *sums, uint32_t rows, uint32_t columns, uint32_t pitch)
{
    float most = *sums;
    uint32_t i;

    for (; rows != 0u; rows--, sums += pitch) {
        for (i = 0u; i < columns; i++) {
            most = sums[i] > most ? sums[i] : most;
        }
    }
    return most;
}

RC_INLINE void rc_conv_pool(const rc_pool *pool, const float *sums, float *y)
{
    uint32_t out_y, out_x, top, left;

    for (out_y = 0u; out_y < pool->out_h; out_y++) {
        const uint32_t rows = rc_pool_cut(out_y * pool->stride_h, pool->pad_top, pool->kernel_h, pool->in_h, &top);
        for (out_x = 0u; out_x < pool->out_w; out_x++) {
            const uint32_t columns =
                rc_pool_cut(out_x * pool->stride_w, pool->pad_left, pool->kernel_w, pool->in_w, &left);
            *y = rc_conv_largest(sums + top * pool->in_w + left, rows, columns, pool->in_w);
            y += pool->channels;
        }
    }
}

/* Every sum of a channel is its bias. */
RC_OUTLINE void rc_conv_begin(const rc_conv *conv, uint32_t row, float *sums)
{
    const float bias = conv->bias != RC_NO_TABLE ? conv->bias[row] : 0.0f;
    uint32_t i;

    for (i = 0u; i < conv->out_h * conv->out_w; i++) {
        sums[i] = bias;
    }
}

/* Apply what waits, make the outputs of a channel from its sums, and begin those of the next. */
RC_OUTLINE void rc_conv_pool_row(const rc_conv_pooled *pooled, rc_plane *plane, uint32_t row, float *y)
{
    const rc_conv *const conv = &pooled->conv;
    float *const sums = plane->y;
    uint32_t i;

    rc_plane_flush(plane);
    for (i = 0u; pooled->relu != 0u && i < conv->out_h * conv->out_w; i++) {
        sums[i] = sums[i] > 0.0f ? sums[i] : 0.0f;
    }
    rc_conv_pool(&pooled->pool, sums, y + row);
    if (row + 1u < conv->out_channels) {
        rc_conv_begin(conv, row + 1u, sums);
    }
}

RC_INLINE void rc_conv_dense(const rc_conv *conv, rc_plane *plane, const rc_conv_pooled *pooled, float *y,
                             uint32_t form)
{
    const uint32_t channels = conv->in_channels / conv->group, taps = conv->kernel_h * conv->kernel_w;
    uint32_t row, tap, channel;
    rc_cursor cursor;

    rc_cursor_open(&cursor, conv->weights, form);
    for (row = 0u; row < conv->out_channels; row++) {
        rc_cursor_row(&cursor, conv->weights, row, form);
        for (tap = 0u; tap < taps; tap++) {
            rc_plane_move(plane, row, tap);
            for (channel = 0u; channel < channels; channel++) {
                rc_plane_add(plane, channel, rc_cursor_value(&cursor, form));
            }
        }
        if (pooled != NULL) {
            rc_conv_pool_row(pooled, plane, row, y);
        }
    }
    rc_plane_flush(plane);
}

RC_INLINE void rc_conv_csr(const rc_conv *conv, rc_plane *plane, const rc_conv_pooled *pooled, float *y,
                           uint32_t form)
{
    const uint32_t channels = conv->in_channels / conv->group, taps = conv->kernel_h * conv->kernel_w;
    const uint32_t escape = conv->weights->escape;
    uint32_t row = 0u, tap = 0u, channel = 0u, left;
    rc_cursor cursor;

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
                if (pooled != NULL) {
                    rc_conv_pool_row(pooled, plane, row, y);
                }
                row++;
                rc_cursor_row(&cursor, conv->weights, row, form);
            }
            rc_plane_move(plane, row, tap);
        }
        rc_plane_add(plane, channel, rc_cursor_value(&cursor, form));
        channel++;
    }
    rc_plane_flush(plane);
    for (; pooled != NULL && row < conv->out_channels; row++) {
        rc_conv_pool_row(pooled, plane, row, y);
    }
}

RC_INLINE void rc_conv_stream(const rc_conv *conv, rc_plane *plane, const rc_conv_pooled *pooled, float *y,
                              uint32_t form)
{
    if ((form & RC_CSR) != 0u) {
        rc_conv_csr(conv, plane, pooled, y, form);
    } else {
        rc_conv_dense(conv, plane, pooled, y, form);
    }
}

#endif
