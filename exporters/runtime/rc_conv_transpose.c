/* rc_conv_transpose.c - transposed convolutions whose weights are decoded while they are multiplied. */
#include "rc_conv_transpose.h"

static void fill(const rc_conv_transpose *conv, float *y)
{
    uint32_t pixel, channel;

    for (pixel = conv->out_h * conv->out_w; pixel != 0u; pixel--) {
        for (channel = 0u; channel < conv->out_channels; channel++) {
            *y++ = conv->bias != RC_NO_TABLE ? conv->bias[channel] : 0.0f;
        }
    }
}

/* Inputs first..first+count-1 of n whose place i * stride + offset - pad lies inside an output of `length`. */
static uint32_t reach(uint32_t offset, uint32_t pad, uint32_t stride, uint32_t length, uint32_t n, uint32_t *first)
{
    const uint32_t begin = pad > offset ? (pad - offset + stride - 1u) / stride : 0u;
    uint32_t end = length + pad > offset ? (length + pad - offset + stride - 1u) / stride : 0u;

    end = end < n ? end : n;
    *first = begin;
    return end > begin ? end - begin : 0u;
}

/* Add weight * x of one channel to the plane of an output channel. */
static void add_plane(const rc_conv_transpose *conv, const float *x, float *y, uint32_t row, uint32_t column,
                      float weight)
{
    const uint32_t tap = column / conv->in_channels, channel = column - tap * conv->in_channels;
    const uint32_t kh = tap / conv->kernel_w, kw = tap - kh * conv->kernel_w;
    const uint32_t down = kh * conv->dilation_h, right = kw * conv->dilation_w;
    const uint32_t group = channel / (conv->in_channels / conv->group);
    const uint32_t y_step = conv->stride_w * conv->out_channels;
    uint32_t top, left, line;
    const uint32_t lines = reach(down, conv->pad_top, conv->stride_h, conv->out_h, conv->in_h, &top);
    const uint32_t columns = reach(right, conv->pad_left, conv->stride_w, conv->out_w, conv->in_w, &left);

    if (columns == 0u) {
        return;
    }
    x += channel + left * conv->in_channels;
    y += group * (conv->out_channels / conv->group) + row +
         (left * conv->stride_w + right - conv->pad_left) * conv->out_channels;
    for (line = top; line < top + lines; line++) {
        const float *from = x + line * conv->in_w * conv->in_channels;
        float *to = y + (line * conv->stride_h + down - conv->pad_top) * conv->out_w * conv->out_channels;
        uint32_t i;
        for (i = 0u; i < columns; i++) {
            to[i * y_step] += weight * from[i * conv->in_channels];
        }
    }
}

RC_INLINE void conv_dense(const rc_conv_transpose *conv, const float *x, float *y, uint32_t form)
{
    const uint32_t rows = conv->out_channels / conv->group;
    const uint32_t n = conv->kernel_h * conv->kernel_w * conv->in_channels;
    uint32_t row, column;
    rc_cursor cursor;

    rc_cursor_open(&cursor, conv->weights, form);
    for (row = 0u; row < rows; row++) {
        rc_cursor_row(&cursor, conv->weights, row, form);
        for (column = 0u; column < n; column++) {
            add_plane(conv, x, y, row, column, rc_cursor_value(&cursor, form));
        }
    }
}

RC_INLINE void conv_csr(const rc_conv_transpose *conv, const float *x, float *y, uint32_t form)
{
    const rc_weights *const weights = conv->weights;
    const uint32_t n = conv->kernel_h * conv->kernel_w * conv->in_channels;
    uint32_t row = 0u, column = 0u, left;
    rc_cursor cursor;

    rc_cursor_open(&cursor, weights, form);
    for (left = weights->n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor, form);
        column += gap;
        if (gap == weights->escape) {
            continue;
        }
        for (; column >= n; column -= n) {
            row++;
        }
        rc_cursor_row(&cursor, weights, row, form);
        add_plane(conv, x, y, row, column, rc_cursor_value(&cursor, form));
        column++;
    }
}

#define RC_DEFINE(name, form)                                                             \
    void rc_conv_transpose_##name(const rc_conv_transpose *conv, const float *x, float *y) \
    {                                                                                     \
        fill(conv, y);                                                                    \
        if (((form)&RC_CSR) != 0u) {                                                      \
            conv_csr(conv, x, y, form);                                                   \
        } else {                                                                          \
            conv_dense(conv, x, y, form);                                                 \
        }                                                                                 \
    }
RC_DEFINE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DEFINE)
