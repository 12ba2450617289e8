/* rc_q_pool.c - MaxPool and AveragePool of int8 networks. */
#include "rc_q_pool.h"

/* The part of a window that lies inside the image. */
typedef struct patch {
    const int8_t *x;
    uint32_t rows, columns;
    uint32_t pitch; /* from the end of a row to the next */
} patch;

static void place_patch(patch *place, const rc_q_pool *pool, const int8_t *x, uint32_t out_y, uint32_t out_x)
{
    uint32_t top, left;

    place->rows = rc_q_cut(out_y * pool->stride_h, pool->pad_top, pool->kernel_h, pool->in_h, &top);
    place->columns = rc_q_cut(out_x * pool->stride_w, pool->pad_left, pool->kernel_w, pool->in_w, &left);
    place->pitch = (pool->in_w - place->columns) * pool->channels;
    place->x = x + (top * pool->in_w + left) * pool->channels;
}

static int8_t largest(const patch *place, uint32_t channel, uint32_t channels)
{
    const int8_t *x = place->x + channel;
    int8_t most = *x;
    uint32_t row, column;

    for (row = place->rows; row != 0u; row--, x += place->pitch) {
        for (column = place->columns; column != 0u; column--, x += channels) {
            most = *x > most ? *x : most;
        }
    }
    return most;
}

static int8_t mean(const patch *place, uint32_t channel, uint32_t channels)
{
    const int32_t count = (int32_t)(place->rows * place->columns);
    const int8_t *x = place->x + channel;
    int32_t sum = 0;
    uint32_t row, column;

    for (row = place->rows; row != 0u; row--, x += place->pitch) {
        for (column = place->columns; column != 0u; column--, x += channels) {
            sum += *x;
        }
    }
    return (int8_t)((sum > 0 ? sum + count / 2 : sum - count / 2) / count);
}

RC_INLINE void pool_all(const rc_q_pool *pool, const int8_t *x, int8_t *y,
                        int8_t (*of_patch)(const patch *, uint32_t, uint32_t))
{
    uint32_t out_y, out_x, channel;
    patch place;

    for (out_y = 0u; out_y < pool->out_h; out_y++) {
        for (out_x = 0u; out_x < pool->out_w; out_x++) {
            place_patch(&place, pool, x, out_y, out_x);
            for (channel = 0u; channel < pool->channels; channel++) {
                *y++ = of_patch(&place, channel, pool->channels);
            }
        }
    }
}

void rc_q_max_pool(const rc_q_pool *pool, const int8_t *x, int8_t *y)
{
    pool_all(pool, x, y, largest);
}

void rc_q_average_pool(const rc_q_pool *pool, const int8_t *x, int8_t *y)
{
    pool_all(pool, x, y, mean);
}
