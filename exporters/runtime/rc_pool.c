/* rc_pool.c - MaxPool and AveragePool; the global ones are those with one window. */
#include "rc_pool.h"

/* The part of a window that lies inside the image. */
typedef struct patch {
    const float *x;
    uint32_t rows, columns;
    uint32_t pitch;
} patch;

/* Inputs at..at+kernel-1, less pad, cut to 0..length-1: the first and how many. */
static uint32_t cut(uint32_t at, uint32_t pad, uint32_t kernel, uint32_t length, uint32_t *first)
{
    const uint32_t end = at + kernel - pad;
    *first = at > pad ? at - pad : 0u;
    return (end < length ? end : length) - *first;
}

static void place_patch(patch *place, const rc_pool *pool, const float *x, uint32_t out_y, uint32_t out_x)
{
    uint32_t top, left;

    place->rows = cut(out_y * pool->stride_h, pool->pad_top, pool->kernel_h, pool->in_h, &top);
    place->columns = cut(out_x * pool->stride_w, pool->pad_left, pool->kernel_w, pool->in_w, &left);
    place->pitch = pool->in_w * pool->channels;
    place->x = x + top * place->pitch + left * pool->channels;
}

static void max_patch(const patch *place, uint32_t channels, float *y)
{
    uint32_t row, column, channel;

    for (channel = 0u; channel < channels; channel++) {
        y[channel] = place->x[channel];
    }
    for (row = 0u; row < place->rows; row++) {
        const float *x = place->x + row * place->pitch;
        for (column = 0u; column < place->columns; column++) {
            for (channel = 0u; channel < channels; channel++) {
                const float value = *x++;
                if (value > y[channel]) {
                    y[channel] = value;
                }
            }
        }
    }
}

static void average_patch(const patch *place, uint32_t channels, float count, float *y)
{
    uint32_t row, column, channel;

    for (channel = 0u; channel < channels; channel++) {
        y[channel] = 0.0f;
    }
    for (row = 0u; row < place->rows; row++) {
        const float *x = place->x + row * place->pitch;
        for (column = 0u; column < place->columns; column++) {
            for (channel = 0u; channel < channels; channel++) {
                y[channel] += *x++;
            }
        }
    }
    for (channel = 0u; channel < channels; channel++) {
        y[channel] /= count;
    }
}

void rc_max_pool(const rc_pool *pool, const float *x, float *y)
{
    uint32_t out_y, out_x;
    patch place;

    for (out_y = 0u; out_y < pool->out_h; out_y++) {
        for (out_x = 0u; out_x < pool->out_w; out_x++) {
            place_patch(&place, pool, x, out_y, out_x);
            max_patch(&place, pool->channels, y);
            y += pool->channels;
        }
    }
}

void rc_average_pool(const rc_pool *pool, const float *x, float *y)
{
    uint32_t out_y, out_x;
    patch place;

    for (out_y = 0u; out_y < pool->out_h; out_y++) {
        for (out_x = 0u; out_x < pool->out_w; out_x++) {
            uint32_t taps = pool->kernel_h * pool->kernel_w;
            place_patch(&place, pool, x, out_y, out_x);
            if (pool->count_padding == 0u) {
                taps = place.rows * place.columns;
            }
            average_patch(&place, pool->channels, (float)taps, y);
            y += pool->channels;
        }
    }
}
