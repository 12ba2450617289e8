/* rc_q_plane.c - the inner loops of the weight-stationary convolutions of int8 networks. */
#include "rc_q_plane.h"

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

/* sum + the products of two weights, the halves of a word. */
RC_INLINE uint32_t plus_two(uint32_t sum, uint32_t weights, const int8_t *first, const int8_t *second)
{
#if RC_DSP
    int32_t x; /* loaded where it is needed: registers are few */
    __asm__("ldrsb %1, %3\n\t"
            "smlabb %0, %2, %1, %0\n\t"
            "ldrsb %1, %4\n\t"
            "smlatb %0, %2, %1, %0"
            : "+&r"(sum), "=&r"(x)
            : "r"(weights), "m"(*first), "m"(*second));
    return sum;
#else
    const int32_t low = (int16_t)(weights & 0xFFFFu), high = (int16_t)(weights >> 16);
    return sum + (uint32_t)(low * *first + high * *second);
#endif
}

RC_INLINE uint32_t both(int32_t first, int32_t second)
{
    return ((uint32_t)first & 0xFFFFu) | (uint32_t)second << 16;
}

/* From behind the last column of a row to the first of the next: back, where a stride has led beyond the row. */
RC_INLINE ptrdiff_t to_next_row(const rc_q_plane *plane, uint32_t step)
{
    const rc_q_window *const window = &plane->conv->window;
    return (ptrdiff_t)(window->stride_h * window->in_w * window->in_channels) - (ptrdiff_t)(plane->columns * step);
}

/* Add the products of four weights, and a number, to the sums. */
static void add_four(const rc_q_plane *plane, uint32_t start)
{
    const rc_q_window *const window = &plane->conv->window;
    const uint32_t step = window->stride_w * window->in_channels;
    const ptrdiff_t x_pitch = to_next_row(plane, step);
    const int8_t *x = plane->from[0];
    const ptrdiff_t to1 = plane->from[1] - x, to2 = plane->from[2] - x, to3 = plane->from[3] - x;
    const uint32_t first = both(plane->weight[0], plane->weight[1]);
    const uint32_t second = both(plane->weight[2], plane->weight[3]);
    uint32_t *sum = plane->first;
    uint32_t rows;

    for (rows = plane->rows; rows != 0u; rows--) {
        const uint32_t *const end = sum + plane->columns;
        do {
            const uint32_t more = plus_two(*sum + start, first, x, x + to1);
            *sum++ = plus_two(more, second, x + to2, x + to3);
            x += step;
        } while (sum != end);
        sum += window->out_w - plane->columns;
        x += x_pitch;
    }
}

/* The same with one weight. */
static void add_one(const rc_q_plane *plane, uint32_t start)
{
    const rc_q_window *const window = &plane->conv->window;
    const uint32_t step = window->stride_w * window->in_channels;
    const ptrdiff_t x_pitch = to_next_row(plane, step);
    const int8_t *x = plane->from[0];
    const int32_t weight = plane->weight[0];
    uint32_t *sum = plane->first;
    uint32_t rows;

    for (rows = plane->rows; rows != 0u; rows--) {
        const uint32_t *const end = sum + plane->columns;
        do {
            *sum++ += start + (uint32_t)(weight * *x);
            x += step;
        } while (sum != end);
        sum += window->out_w - plane->columns;
        x += x_pitch;
    }
}

/* A sum is loaded and stored once for all weights that wait, one or up to four; some of four may be 0. */
void rc_q_plane_flush(rc_q_plane *plane)
{
    const uint32_t n_taps = plane->n_taps;
    int32_t weights = 0;
    uint32_t k;

    for (k = 0u; k < RC_Q_PLANE_TAPS; k++) {
        if (k >= n_taps) {
            plane->weight[k] = 0;
            plane->from[k] = plane->from[0];
        }
        weights += plane->weight[k];
    }
    plane->n_taps = 0u;
    if (n_taps == 1u) {
        add_one(plane, (uint32_t)(-plane->conv->in_zero_point * weights));
    } else if (n_taps != 0u) {
        add_four(plane, (uint32_t)(-plane->conv->in_zero_point * weights));
    }
}

void rc_q_plane_move(rc_q_plane *plane, uint32_t tap)
{
    const rc_q_window *const window = &plane->conv->window;
    const uint32_t kh = tap / window->kernel_w, kw = tap - kh * window->kernel_w;
    const uint32_t down = kh * window->dilation_h, right = kw * window->dilation_w;
    uint32_t group = 0u, top, left, rows, columns;
    uint32_t *first;

    rows = reach(down, window->pad_top, window->stride_h, window->in_h, window->out_h, &top);
    columns = reach(right, window->pad_left, window->stride_w, window->in_w, window->out_w, &left);
    if (rows == 0u || columns == 0u) {
        rc_q_plane_flush(plane);
        plane->rows = 0u;
        return;
    }
    first = plane->sums + top * window->out_w + left;
    if (first != plane->first || rows != plane->rows || columns != plane->columns) {
        rc_q_plane_flush(plane);
    }
    plane->first = first;
    plane->rows = rows;
    plane->columns = columns;
    if (window->group > 1u) {
        group = plane->row / (window->out_channels / window->group) * (window->in_channels / window->group);
    }
    plane->x_first = plane->x + group +
                     ((top * window->stride_h + down - window->pad_top) * window->in_w +
                      (left * window->stride_w + right - window->pad_left)) *
                         window->in_channels;
}

/* Every sum of the current channel is its bias. */
static void begin(rc_q_plane *plane)
{
    const rc_q_window *const window = &plane->conv->window;
    const uint32_t bias = rc_q_bias(&plane->conv->scale, plane->row);
    uint32_t *sum = plane->sums;
    uint32_t *const end = sum + window->out_h * window->out_w;

    while (sum != end) {
        *sum++ = bias;
    }
    rc_q_plane_move(plane, 0u);
}

static int32_t largest(const uint32_t *sums, uint32_t rows, uint32_t columns, uint32_t pitch)
{
    int32_t most = (int32_t)*sums;
    uint32_t i;

    for (; rows != 0u; rows--, sums += pitch) {
        for (i = 0u; i < columns; i++) {
            const int32_t sum = (int32_t)sums[i];
            most = sum > most ? sum : most;
        }
    }
    return most;
}

/* Make the outputs of the current channel of the largest sums of each window. */
static void make_pooled(const rc_q_plane *plane, const rc_q_pool *pool)
{
    int8_t *y = plane->y + plane->row;
    uint32_t out_y, out_x;

    for (out_y = 0u; out_y < pool->out_h; out_y++) {
        uint32_t top, left;
        const uint32_t rows = rc_q_cut(out_y * pool->stride_h, pool->pad_top, pool->kernel_h, pool->in_h, &top);
        for (out_x = 0u; out_x < pool->out_w; out_x++, y += pool->channels) {
            const uint32_t columns =
                rc_q_cut(out_x * pool->stride_w, pool->pad_left, pool->kernel_w, pool->in_w, &left);
            const int32_t sum = largest(plane->sums + top * pool->in_w + left, rows, columns, pool->in_w);
            *y = (int8_t)rc_q_unit((uint32_t)sum, &plane->conv->scale, plane->row);
        }
    }
}

static void make_all(const rc_q_plane *plane)
{
    const rc_q_window *const window = &plane->conv->window;
    int8_t *y = plane->y + plane->row;
    uint32_t i;

    for (i = 0u; i < window->out_h * window->out_w; i++, y += window->out_channels) {
        *y = (int8_t)rc_q_unit(plane->sums[i], &plane->conv->scale, plane->row);
    }
}

void rc_q_plane_next(rc_q_plane *plane)
{
    const rc_q_window *const window = &plane->conv->window;

    rc_q_plane_flush(plane);
    if (plane->conv->pool != NULL) {
        make_pooled(plane, plane->conv->pool);
    } else {
        make_all(plane);
    }
    plane->row++;
    if (plane->row < window->out_channels) {
        begin(plane);
    }
}

void rc_q_plane_open(rc_q_plane *plane, const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums)
{
    plane->conv = conv;
    plane->x = x;
    plane->y = y;
    plane->sums = (uint32_t *)sums;
    plane->row = 0u;
    plane->n_taps = 0u;
    plane->x_first = x;
    plane->first = plane->sums;
    plane->rows = plane->columns = 0u;
    begin(plane);
}
