/* rc_resize.c - planes in another size: the nearest pixel, or between four. */
#include "rc_layout.h"

void rc_resize_nearest(const rc_resize *resize, const float *x, float *y)
{
    uint32_t line, column, channel;

    for (line = 0u; line < resize->out_h; line++) {
        const float *const from = x + resize->lines[line] * resize->in_w * resize->channels;
        for (column = 0u; column < resize->out_w; column++) {
            const float *const pixel = from + resize->columns[column] * resize->channels;
            for (channel = 0u; channel < resize->channels; channel++) {
                *y++ = pixel[channel];
            }
        }
    }
}

static float between(float a, float b, float weight)
{
    const float rest = 1.0f - weight;
    const float first = a * rest;
    const float second = b * weight;
    return first + second;
}

void rc_resize_linear(const rc_resize *resize, const float *x, float *y)
{
    const uint32_t channels = resize->channels, pitch = resize->in_w * channels;
    uint32_t line, column, channel;

    for (line = 0u; line < resize->out_h; line++) {
        const float *const above = x + resize->lines[line] * pitch;
        const float *const below = x + resize->lines_behind[line] * pitch;
        for (column = 0u; column < resize->out_w; column++) {
            const uint32_t left = resize->columns[column] * channels;
            const uint32_t right = resize->columns_behind[column] * channels;
            const float weight = resize->column_weights[column];
            for (channel = 0u; channel < channels; channel++) {
                const float first = between(above[left + channel], above[right + channel], weight);
                const float second = between(below[left + channel], below[right + channel], weight);
                *y++ = between(first, second, resize->line_weights[line]);
            }
        }
    }
}
