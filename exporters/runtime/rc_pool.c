/* rc_pool.c - MaxPool and AveragePool; the global ones are those with one window. */
#include "rc_pool.h"

/* The part of a window that lies inside the image. */
typedef struct patch {
    const float *x;
    uint32_t rows, columns;
    uint32_t pitch;
} patch;

static void place_patch(patch *place, const rc_pool *pool, const float *x, uint32_t out_y, uint32_t out_x)
{
    uint32_t top, left;

    place->rows = rc_pool_cut(out_y * pool->stride_h, pool->pad_top, pool->kernel_h, pool->in_h, &top);
    place->columns = rc_pool_cut(out_x * pool->stride_w, pool->pad_left, pool->kernel_w, pool->in_w, &left);
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
