/* rc_q_rows.c - the inner loops of dense int8 layers. */
#include "rc_q_rows.h"

#include "rc_q_words.h"

#if RC_DSP

/* In a four the elements 0, 2, 1, 3, as the instructions take them. */
#define PLACE(k) (((k)&1u) << 1 | ((k) >> 1 & 1u))

RC_INLINE void expand_fours(int16_t *column, uint32_t step, const int8_t *x, uint32_t fours, int32_t zero_point)
{
    const uint32_t plus = ((uint32_t)-zero_point & 0xFFFFu) * 0x10001u;

    for (; fours != 0u; fours--, x += 4, column += step) {
        rc_word *const pairs = (rc_word *)(void *)column;
        const uint32_t word = rc_load_bytes(x);
        pairs[0] = rc_even_plus(plus, word);
        pairs[1] = rc_odd_plus(plus, word);
    }
}

/* Two rows, one column. */
RC_INLINE void dot_one(int32_t sums[2], const int16_t *column, const RC_FLASH int8_t *weights, uint32_t fours)
{
    const rc_word *x = (const rc_word *)(const void *)column, *w = (const rc_word *)(const void *)weights;
    const rc_word *const end = x + 2u * fours;
    int32_t s0 = sums[0], s1 = sums[1];

    while (x != end) {
        uint32_t even, odd, a, b;
        x = rc_load_two(x, &even, &odd);
        w = rc_load_two(w, &a, &b);
        s0 = rc_four(a, even, odd, s0);
        s1 = rc_four(b, even, odd, s1);
    }
    sums[0] = s0;
    sums[1] = s1;
}

/* Four rows, one column. */
RC_INLINE void dot_four(int32_t sums[4], const int16_t *column, const RC_FLASH int8_t *weights, uint32_t fours)
{
    const rc_word *x = (const rc_word *)(const void *)column, *w = (const rc_word *)(const void *)weights;
    const rc_word *const end = x + 2u * fours, *v = w + 2u * fours;
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];

    while (x != end) {
        uint32_t even, odd, a, b;
        x = rc_load_two(x, &even, &odd);
        w = rc_load_two(w, &a, &b);
        s0 = rc_four(a, even, odd, s0);
        s1 = rc_four(b, even, odd, s1);
        v = rc_load_two(v, &a, &b);
        s2 = rc_four(a, even, odd, s2);
        s3 = rc_four(b, even, odd, s3);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* Two rows, two columns; sums are row 0 with both columns, then row 1. */
RC_INLINE void dot_two(int32_t sums[4], const int16_t *columns, const RC_FLASH int8_t *weights, uint32_t fours)
{
    const rc_word *x = (const rc_word *)(const void *)columns, *w = (const rc_word *)(const void *)weights;
    const rc_word *const end = x + 4u * fours;
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];

    while (x != end) {
        uint32_t even, odd, next_even, next_odd, a, b;
        x = rc_load_two(x, &even, &odd);
        x = rc_load_two(x, &next_even, &next_odd);
        w = rc_load_two(w, &a, &b);
        rc_four_twice(a, even, odd, next_even, next_odd, &s0, &s1);
        rc_four_twice(b, even, odd, next_even, next_odd, &s2, &s3);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#else

#define PLACE(k) ((k)&3u)

RC_INLINE void expand_fours(int16_t *column, uint32_t step, const int8_t *x, uint32_t fours, int32_t zero_point)
{
    for (; fours != 0u; fours--, x += 4, column += step) {
        column[0] = (int16_t)(x[0] - zero_point);
        column[1] = (int16_t)(x[1] - zero_point);
        column[2] = (int16_t)(x[2] - zero_point);
        column[3] = (int16_t)(x[3] - zero_point);
    }
}

RC_INLINE int32_t times(int8_t w, int16_t x)
{
    return (int32_t)w * x;
}

RC_INLINE void dot_one(int32_t sums[2], const int16_t *x, const RC_FLASH int8_t *w, uint32_t fours)
{
    int32_t s0 = sums[0], s1 = sums[1];

    for (; fours != 0u; fours--, x += 4, w += 8) {
        s0 += times(w[0], x[0]) + times(w[1], x[1]) + times(w[2], x[2]) + times(w[3], x[3]);
        s1 += times(w[4], x[0]) + times(w[5], x[1]) + times(w[6], x[2]) + times(w[7], x[3]);
    }
    sums[0] = s0;
    sums[1] = s1;
}

RC_INLINE void dot_four(int32_t sums[4], const int16_t *x, const RC_FLASH int8_t *w, uint32_t fours)
{
    dot_one(sums, x, w, fours);
    dot_one(sums + 2, x, w + 8u * fours, fours);
}

RC_INLINE void dot_two(int32_t sums[4], const int16_t *x, const RC_FLASH int8_t *w, uint32_t fours)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    uint32_t i;

    for (; fours != 0u; fours--, x += 4, w += 4) {
        for (i = 4u; i != 0u; i--, x++, w++) {
            s0 += times(w[0], x[0]);
            s1 += times(w[0], x[4]);
            s2 += times(w[4], x[0]);
            s3 += times(w[4], x[4]);
        }
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#endif

void rc_q_expand(int16_t *column, uint32_t step, uint32_t k, const int8_t *x, uint32_t n, int32_t zero_point)
{
    column += (k >> 2) * step;
    for (k &= 3u; k != 0u && n != 0u; n--) {
        column[PLACE(k)] = (int16_t)(*x++ - zero_point);
        k = (k + 1u) & 3u;
        column += k == 0u ? step : 0u;
    }
    expand_fours(column, step, x, n >> 2, zero_point);
    x += n & ~3u;
    column += (n >> 2) * step;
    n &= 3u;
    for (k = 0u; k < n; k++) {
        column[PLACE(k)] = (int16_t)(x[k] - zero_point);
    }
}

void rc_q_blank(int16_t *column, uint32_t step, uint32_t k, uint32_t n)
{
    column += (k >> 2) * step;
    for (k &= 3u; n != 0u; n--) {
        column[PLACE(k)] = 0;
        k = (k + 1u) & 3u;
        column += k == 0u ? step : 0u;
    }
}

void rc_q_rows_one(const rc_q_rows *rows, const int16_t *column, int8_t *y)
{
    const rc_q_scale *const scale = &rows->scale;
    const uint32_t fours = (rows->columns + 3u) >> 2, n = rows->rows;
    const int32_t offset = 2 * scale->zero_point + 1;
    const RC_FLASH int32_t *factors = scale->factors;
    const RC_FLASH int8_t *w = rows->weights, *shifts = scale->shifts;
    const uint32_t step = rc_q_factor_step(scale);
    uint32_t row = 0u, i;

    while (row < n) {
        const uint32_t made = n - row >= 4u ? 4u : n - row >= 2u ? 2u : 1u;
        int32_t sums[4] = {0, 0, 0, 0};
        for (i = 0u; i < made; i++) {
            sums[i] = scale->bias[row + i];
        }
        if (made == 4u) {
            dot_four(sums, column, w, fours);
            w += 16u * fours;
        } else {
            dot_one(sums, column, w, fours);
            w += 8u * fours;
        }
        for (i = 0u; i < made; i++) {
            y[row + i] = (int8_t)rc_q_small(sums[i], *factors, *shifts, offset);
            factors += step;
            shifts += step;
        }
        row += made;
    }
}

void rc_q_rows_two(const rc_q_rows *rows, const int16_t *columns, int8_t *y)
{
    const uint32_t fours = (rows->columns + 3u) >> 2, n = rows->rows;
    const RC_FLASH int32_t *bias = rows->scale.bias, *factors = rows->scale.factors;
    const RC_FLASH int8_t *shifts = rows->scale.shifts, *w = rows->weights;
    const int32_t offset = 2 * rows->scale.zero_point + 1;
    const uint32_t step = rc_q_factor_step(&rows->scale);
    uint32_t left;

    for (left = n; left - 1u < n; left -= 2u, y += 2, bias += 2, w += 8u * fours) {
        const int32_t factor = *factors, shift = *shifts;
        int32_t sums[4];
        factors += step;
        shifts += step;
        sums[0] = sums[1] = bias[0];
        sums[2] = sums[3] = left > 1u ? bias[1] : 0;
        dot_two(sums, columns, w, fours);
        y[0] = (int8_t)rc_q_small(sums[0], factor, shift, offset);
        y[n] = (int8_t)rc_q_small(sums[1], factor, shift, offset);
        if (left > 1u) {
            const int32_t next_factor = *factors, next_shift = *shifts;
            y[1] = (int8_t)rc_q_small(sums[2], next_factor, next_shift, offset);
            y[n + 1u] = (int8_t)rc_q_small(sums[3], next_factor, next_shift, offset);
            factors += step;
            shifts += step;
        }
    }
}
