/* rc_conv_pixels.c - convolutions of plain float32 weights, pixel by pixel, four output channels at a time. */
#include "rc_conv.h"
#include "rc_dot.h"

/* The taps of one output pixel that lie inside the image. */
typedef struct window {
    const float *x;            /* input under the first of them */
    uint32_t top, bottom;      /* kh of the first, and one past the last */
    uint32_t left, right;      /* kw likewise */
    uint32_t n, n_runs;        /* contiguous inputs of a run, and runs in a row of the kernel */
    uint32_t x_run, x_pitch;   /* from run to run and from row to row of the input */
    uint32_t w_pitch, w_run;   /* the same in the weights */
    uint32_t row_pitch;        /* from output channel to output channel in the weights */
} window;

/* First tap at or after the image's edge, and one past the last before its other edge. */
static void clip_taps(uint32_t at, uint32_t pad, uint32_t dilation, uint32_t taps, uint32_t length, uint32_t *first,
                      uint32_t *end)
{
    const uint32_t begin = at < pad ? (pad - at + dilation - 1u) / dilation : 0u;
    const uint32_t stop = length + pad > at ? (length + pad - at + dilation - 1u) / dilation : 0u;

    *end = stop < taps ? stop : taps;
    *first = begin < *end ? begin : *end;
}

static void place_window(window *place, const rc_conv *conv, const float *x, uint32_t out_y, uint32_t out_x)
{
    const uint32_t channels = conv->in_channels / conv->group;
    const uint32_t at_y = out_y * conv->stride_h, at_x = out_x * conv->stride_w;

    clip_taps(at_y, conv->pad_top, conv->dilation_h, conv->kernel_h, conv->in_h, &place->top, &place->bottom);
    clip_taps(at_x, conv->pad_left, conv->dilation_w, conv->kernel_w, conv->in_w, &place->left, &place->right);
    place->x_pitch = conv->dilation_h * conv->in_w * conv->in_channels;
    place->w_pitch = conv->kernel_w * channels;
    place->row_pitch = conv->kernel_h * place->w_pitch;
    place->x_run = conv->dilation_w * conv->in_channels;
    place->w_run = channels;
    place->n = channels;
    place->n_runs = place->right - place->left;
    if (place->x_run == channels) { /* one group, not dilated: a row of the window is contiguous */
        place->n = channels * place->n_runs;
        place->n_runs = place->n_runs != 0u ? 1u : 0u;
    }
    place->x = x;
    if (place->top < place->bottom && place->left < place->right) {
        place->x = x + ((at_y + place->top * conv->dilation_h - conv->pad_top) * conv->in_w +
                        (at_x + place->left * conv->dilation_w - conv->pad_left)) *
                           conv->in_channels;
    }
}

/* Sums of four output channels (or one); n_rows is a constant of each instance. */
RC_INLINE void sum_window(const window *place, const float *x, const RC_FLASH float *w, float sums[4], uint32_t n_rows)
{
    uint32_t kh, run;

    for (kh = place->top; kh < place->bottom; kh++) {
        const float *xs = x + (kh - place->top) * place->x_pitch;
        const RC_FLASH float *ws = w + kh * place->w_pitch + place->left * place->w_run;
        for (run = place->n_runs; run != 0u; run--) {
            if (n_rows == 4u) {
                rc_dot4(sums, xs, ws, place->row_pitch, place->n);
            } else {
                sums[0] = rc_dot1(sums[0], xs, ws, place->n);
            }
            if (run > 1u) {
                xs += place->x_run;
                ws += place->w_run;
            }
        }
    }
}

/* The output channels of one group at one pixel. */
static void conv_group(const rc_conv *conv, const window *place, uint32_t group, float *y)
{
    const uint32_t channels = conv->in_channels / conv->group, rows = conv->out_channels / conv->group;
    const float *const x = place->x + group * channels;
    const RC_FLASH float *const bias = conv->bias;
    uint32_t row = group * rows, i;
    const uint32_t end = row + rows;
    const RC_FLASH float *w = conv->weights->values + row * place->row_pitch;

    while (row < end) {
        const uint32_t step = end - row >= 4u ? 4u : 1u;
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (i = 0u; bias != RC_NO_TABLE && i < step; i++) {
            sums[i] = bias[row + i];
        }
        if (step == 4u) {
            sum_window(place, x, w, sums, 4u);
        } else {
            sum_window(place, x, w, sums, 1u);
        }
        for (i = 0u; i < step; i++) {
            y[row + i] = sums[i];
        }
        row += step;
        w += step * place->row_pitch;
    }
}

void rc_conv_pixels_float32(const rc_conv *conv, const float *x, float *y)
{
    uint32_t out_y, out_x, group;

    for (out_y = 0u; out_y < conv->out_h; out_y++) {
        for (out_x = 0u; out_x < conv->out_w; out_x++) {
            window place;
            place_window(&place, conv, x, out_y, out_x);
            for (group = 0u; group < conv->group; group++) {
                conv_group(conv, &place, group, y);
            }
            y += conv->out_channels;
        }
    }
}
