/* rc_q_conv_pixels.c - convolutions of dense int8 weights, one column of inputs for each pixel. */
#include "rc_q_conv.h"

/* Taps that lie inside the image: the first, and one past the last. */
static void inside(uint32_t at, uint32_t pad, uint32_t taps, uint32_t length, uint32_t *first, uint32_t *end)
{
    const uint32_t begin = at < pad ? pad - at : 0u, stop = length + pad > at ? length + pad - at : 0u;

    *end = stop < taps ? stop : taps;
    *first = begin < *end ? begin : *end;
}

/* Lay out the window of a pixel as a column. */
static void gather(const rc_q_conv *conv, const int8_t *x, uint32_t out_y, uint32_t out_x, int16_t *column,
                   uint32_t step)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t channels = window->in_channels, wide = window->kernel_w * channels;
    const uint32_t at_y = out_y * window->stride_h, at_x = out_x * window->stride_w;
    uint32_t top, bottom, left, right, kh, k = 0u;

    inside(at_y, window->pad_top, window->kernel_h, window->in_h, &top, &bottom);
    inside(at_x, window->pad_left, window->kernel_w, window->in_w, &left, &right);
    for (kh = 0u; kh < window->kernel_h; kh++, k += wide) {
        if (kh < top || kh >= bottom || left == right) {
            rc_q_blank(column, step, k, wide);
        } else {
            const uint32_t row = at_y + kh - window->pad_top, first = at_x + left - window->pad_left;
            const uint32_t before = left * channels, n = (right - left) * channels;
            if (n != wide) {
                rc_q_blank(column, step, k, before);
                rc_q_blank(column, step, k + before + n, wide - before - n);
            }
            rc_q_expand(column, step, k + before, x + (row * window->in_w + first) * channels, n,
                        conv->rows.in_zero_point);
        }
    }
}

void rc_q_conv_pixels(const rc_q_conv *conv, const int8_t *x, int8_t *y, void *columns)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t n = conv->rows.columns, channels = window->out_channels;
    int16_t *const column = (int16_t *)columns;
    uint32_t out_y, out_x;

    for (out_y = 0u; out_y < window->out_h; out_y++) {
        rc_q_blank(column, RC_Q_TWO, n, (0u - n) & 3u);
        rc_q_blank(column + RC_Q_ONE, RC_Q_TWO, n, (0u - n) & 3u);
        for (out_x = 0u; out_x + 1u < window->out_w; out_x += 2u, y += 2u * channels) {
            gather(conv, x, out_y, out_x, column, RC_Q_TWO);
            gather(conv, x, out_y, out_x + 1u, column + RC_Q_ONE, RC_Q_TWO);
            rc_q_rows_two(&conv->rows, column, y);
        }
        if (out_x < window->out_w) {
            rc_q_blank(column, RC_Q_ONE, n, (0u - n) & 3u);
            gather(conv, x, out_y, out_x, column, RC_Q_ONE);
            rc_q_rows_one(&conv->rows, column, y);
            y += channels;
        }
    }
}
