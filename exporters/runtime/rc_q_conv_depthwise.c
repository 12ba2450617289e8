/* rc_q_conv_depthwise.c - depthwise convolutions of dense int8 weights, four channels at a time. */
#include "rc_q_conv.h"
#include "rc_q_words.h"

/* The taps of one pixel that lie inside the image. */
typedef struct patch {
    const int8_t *x; /* of the first of them, channel 0 */
    const RC_FLASH int8_t *weights;
    uint32_t rows, columns;
    uint32_t x_step, x_pitch; /* from tap to tap and from row to row of the input */
    uint32_t w_step, w_pitch; /* the same in the weights */
} patch;

static uint32_t inside(uint32_t at, uint32_t pad, uint32_t dilation, uint32_t taps, uint32_t length, uint32_t *first)
{
    const uint32_t begin = at < pad ? (pad - at + dilation - 1u) / dilation : 0u;
    const uint32_t stop = length + pad > at ? (length + pad - at + dilation - 1u) / dilation : 0u;
    const uint32_t end = stop < taps ? stop : taps;

    *first = begin;
    return begin < end ? end - begin : 0u;
}

static void place_patch(patch *place, const rc_q_conv *conv, const int8_t *x, uint32_t out_y, uint32_t out_x)
{
    const rc_q_window *const window = &conv->window;
    const uint32_t at_y = out_y * window->stride_h, at_x = out_x * window->stride_w;
    uint32_t top, left;

    place->rows = inside(at_y, window->pad_top, window->dilation_h, window->kernel_h, window->in_h, &top);
    place->columns = inside(at_x, window->pad_left, window->dilation_w, window->kernel_w, window->in_w, &left);
    place->w_step = window->in_channels;
    place->w_pitch = window->kernel_w * place->w_step;
    place->x_step = window->dilation_w * window->in_channels;
    place->x_pitch = window->dilation_h * window->in_w * window->in_channels;
    if (place->rows == 0u || place->columns == 0u) {
        place->rows = 0u;
        top = left = 0u;
        place->x = x;
    } else {
        place->x = x + ((at_y + top * window->dilation_h - window->pad_top) * window->in_w + at_x +
                        left * window->dilation_w - window->pad_left) *
                           window->in_channels;
    }
    place->weights = conv->rows.weights + top * place->w_pitch + left * place->w_step;
}

/* One product for each of four channels; `plus` is minus the zero point, where four of them are made at once twice. */
RC_INLINE void one_tap(const RC_FLASH int8_t *w, const int8_t *x, int32_t plus, int32_t sums[4])
{
#if RC_DSP
    rc_each(rc_load_bytes(w), rc_load_bytes(x), (uint32_t)plus, sums);
#else
    sums[0] += w[0] * (x[0] + plus);
    sums[1] += w[1] * (x[1] + plus);
    sums[2] += w[2] * (x[2] + plus);
    sums[3] += w[3] * (x[3] + plus);
#endif
}

RC_INLINE void four_channels(const patch *place, uint32_t channel, int32_t zero_point, int32_t sums[4])
{
    const uint32_t x_step = place->x_step, w_step = place->w_step, columns = place->columns;
    const RC_FLASH int8_t *w = place->weights + channel;
    const int8_t *x = place->x + channel;
    uint32_t rows, column;
#if RC_DSP
    const int32_t plus = (int32_t)(((uint32_t)-zero_point & 0xFFFFu) * 0x10001u);
#else
    const int32_t plus = -zero_point;
#endif

    for (rows = place->rows; rows != 0u; rows--, x += place->x_pitch, w += place->w_pitch) {
        if (columns == 3u) { /* the usual number */
            one_tap(w, x, plus, sums);
            one_tap(w + w_step, x + x_step, plus, sums);
            one_tap(w + 2u * w_step, x + 2u * x_step, plus, sums);
        } else {
            for (column = 0u; column < columns; column++) {
                one_tap(w + column * w_step, x + column * x_step, plus, sums);
            }
        }
    }
}

RC_OUTLINE int32_t one_channel(const patch *place, uint32_t channel, int32_t zero_point, int32_t sum)
{
    uint32_t row, column;

    for (row = 0u; row < place->rows; row++) {
        const int8_t *x = place->x + row * place->x_pitch + channel;
        const RC_FLASH int8_t *w = place->weights + row * place->w_pitch + channel;
        for (column = place->columns; column != 0u; column--, x += place->x_step, w += place->w_step) {
            sum += *w * (*x - zero_point);
        }
    }
    return sum;
}

static void one_pixel(const rc_q_rows *rows, const patch *place, int8_t *y)
{
    const RC_FLASH int32_t *bias = rows->scale.bias, *factors = rows->scale.factors;
    const RC_FLASH int8_t *shifts = rows->scale.shifts;
    const int32_t offset = 2 * rows->scale.zero_point + 1, zero_point = rows->in_zero_point;
    const uint32_t channels = rows->rows;
    uint32_t channel, i;

    for (channel = 0u; channels - channel >= 4u; channel += 4u, bias += 4, factors += 4, shifts += 4, y += 4) {
        int32_t sums[4];
        sums[0] = bias[0];
        sums[1] = bias[1];
        sums[2] = bias[2];
        sums[3] = bias[3];
        four_channels(place, channel, zero_point, sums);
        y[0] = (int8_t)rc_q_small(sums[0], factors[0], shifts[0], offset);
        y[1] = (int8_t)rc_q_small(sums[1], factors[1], shifts[1], offset);
        y[2] = (int8_t)rc_q_small(sums[2], factors[2], shifts[2], offset);
        y[3] = (int8_t)rc_q_small(sums[3], factors[3], shifts[3], offset);
    }
    for (i = 0u; channel < channels; channel++, i++) {
        y[i] = (int8_t)rc_q_small(one_channel(place, channel, zero_point, bias[i]), factors[i], shifts[i], offset);
    }
}

void rc_q_conv_depthwise(const rc_q_conv *conv, const int8_t *x, int8_t *y)
{
    uint32_t out_y, out_x;
    patch place;

    for (out_y = 0u; out_y < conv->window.out_h; out_y++) {
        for (out_x = 0u; out_x < conv->window.out_w; out_x++) {
            place_patch(&place, conv, x, out_y, out_x);
            one_pixel(&conv->rows, &place, y);
            y += conv->rows.rows;
        }
    }
}
