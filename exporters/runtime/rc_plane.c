/* rc_plane.c - the inner loops of the weight-stationary convolutions. */
#include "rc_plane.h"

/* Outputs first..first+count-1 of `n_outputs` whose tap at `offset` - pad lies inside an input of `length`. */
static uint32_t reach(uint32_t offset, uint32_t pad, uint32_t stride, uint32_t length, uint32_t n_outputs,
                      uint32_t *first)
{
    const uint32_t begin = pad > offset ? (pad - offset + stride - 1u) / stride : 0u;
    uint32_t end = length + pad > offset ? (length + pad - offset + stride - 1u) / stride : 0u;

    end = end < n_outputs ? end : n_outputs;
    *first = begin;
    return end > begin ? end - begin : 0u;
}

/* One output is loaded and stored once for n_taps weights; n_taps is a constant of each instance. */
RC_INLINE void apply(const rc_plane *plane, uint32_t n_taps)
{
    const rc_conv *const conv = plane->conv;
    const uint32_t x_step = conv->stride_w * conv->in_channels, y_step = plane->step;
    const uint32_t x_pitch = conv->stride_h * conv->in_w * conv->in_channels, y_pitch = conv->out_w * y_step;
    const uint32_t columns = plane->columns;
    const float w0 = plane->weight[0], w1 = plane->weight[1], w2 = plane->weight[2], w3 = plane->weight[3];
    uint32_t row, column;

    for (row = 0u; row < plane->rows; row++) {
        const float *const x0 = plane->from[0] + row * x_pitch;
        const float *const x1 = n_taps > 1u ? plane->from[1] + row * x_pitch : x0;
        const float *const x2 = n_taps > 2u ? plane->from[2] + row * x_pitch : x0;
        const float *const x3 = n_taps > 3u ? plane->from[3] + row * x_pitch : x0;
        float *const y = plane->y_first + row * y_pitch;
        uint32_t i = 0u, j = 0u;
        for (column = columns; column != 0u; column--, i += x_step, j += y_step) {
            float sum = y[j];
            sum += w0 * x0[i];
            sum = n_taps > 1u ? sum + w1 * x1[i] : sum;
            sum = n_taps > 2u ? sum + w2 * x2[i] : sum;
            sum = n_taps > 3u ? sum + w3 * x3[i] : sum;
            y[j] = sum;
        }
    }
}

void rc_plane_flush(rc_plane *plane)
{
    switch (plane->n_taps) {
    case 0u: break;
    case 1u: apply(plane, 1u); break;
    case 2u: apply(plane, 2u); break;
    case 3u: apply(plane, 3u); break;
    default: apply(plane, RC_PLANE_TAPS); break;
    }
    plane->n_taps = 0u;
}

void rc_plane_move(rc_plane *plane, uint32_t out_channel, uint32_t tap)
{
    const rc_conv *const conv = plane->conv;
    const uint32_t kh = tap / conv->kernel_w, kw = tap - kh * conv->kernel_w;
    const uint32_t down = kh * conv->dilation_h, right = kw * conv->dilation_w;
    uint32_t group = 0u, top, left, rows, columns;
    float *first;

    rows = reach(down, conv->pad_top, conv->stride_h, conv->in_h, conv->out_h, &top);
    columns = reach(right, conv->pad_left, conv->stride_w, conv->in_w, conv->out_w, &left);
    if (rows == 0u || columns == 0u) {
        rc_plane_flush(plane);
        plane->rows = 0u;
        return;
    }
    first = plane->y + out_channel * plane->channel + (top * conv->out_w + left) * plane->step;
    if (first != plane->y_first || rows != plane->rows || columns != plane->columns) {
        rc_plane_flush(plane);
    }
    plane->y_first = first;
    plane->rows = rows;
    plane->columns = columns;
    if (conv->group > 1u) {
        group = out_channel / (conv->out_channels / conv->group) * (conv->in_channels / conv->group);
    }
    plane->x_first = plane->x + group +
                     ((top * conv->stride_h + down - conv->pad_top) * conv->in_w +
                      (left * conv->stride_w + right - conv->pad_left)) *
                         conv->in_channels;
}

void rc_plane_begin(rc_plane *plane, const rc_conv *conv, const float *x, float *y, uint32_t step, uint32_t channel)
{
    plane->conv = conv;
    plane->x = x;
    plane->y = y;
    plane->step = step;
    plane->channel = channel;
    plane->weight[0] = plane->weight[1] = plane->weight[2] = plane->weight[3] = 0.0f;
    plane->n_taps = 0u;
    plane->x_first = x;
    plane->y_first = plane->y;
    plane->rows = plane->columns = 0u;
    rc_plane_move(plane, 0u, 0u);
}

void rc_plane_open(rc_plane *plane, const rc_conv *conv, const float *x, float *y)
{
    const uint32_t channels = conv->out_channels;
    uint32_t pixel, channel;

    for (pixel = conv->out_h * conv->out_w; pixel != 0u; pixel--) {
        for (channel = 0u; channel < channels; channel++) {
            *y++ = conv->bias != RC_NO_TABLE ? conv->bias[channel] : 0.0f;
        }
    }
    rc_plane_begin(plane, conv, x, y - conv->out_h * conv->out_w * channels, channels, 1u);
}
