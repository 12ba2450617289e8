/* rc_q_softmax.c - Softmax of int8 networks: powers from a table, one division by Newton and Raphson's steps. */
#include "rc_q_activation.h"

#define C_48_OVER_17 1515870810 /* with two integer bits, as the next ones */
#define C_MINUS_32_OVER_17 (-1010580540)
#define ONE ((int32_t)1 << 29)

/* a * b / 2^31, halves up. */
static int32_t high_multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^bits for x of at least 0, halves up. */
static int32_t shift_right(int32_t x, uint32_t bits)
{
    return bits > 31u ? 0 : (int32_t)((((uint32_t)x >> (bits - 1u)) + 1u) >> 1);
}

/* 2^62 / a for a from 2^31 on: 31 bits behind the point. */
static int32_t reciprocal(uint32_t a)
{
    const int32_t half = (int32_t)(a >> 1);
    int32_t x = C_48_OVER_17 + high_multiply(half, C_MINUS_32_OVER_17), i;

    for (i = 0; i < 3; i++) {
        x += high_multiply(x, ONE - high_multiply(half, x)) * 4;
    }
    return x > 0x3FFFFFFF ? 0x7FFFFFFF : x * 2;
}

void rc_q_softmax(const rc_q_softmax_sizes *sizes, const int8_t *x, int8_t *y)
{
    const uint32_t n = sizes->n;
    uint32_t rows, i;

    for (rows = sizes->rows; rows != 0u; rows--, x += n, y += n) {
        uint32_t total = 0u, headroom = 0u;
        int32_t most = x[0], inverse;
        for (i = 1u; i < n; i++) {
            most = x[i] > most ? x[i] : most;
        }
        for (i = 0u; i < n; i++) {
            const uint32_t below = (uint32_t)(most - x[i]);
            total += below < sizes->n_powers ? (uint32_t)shift_right(sizes->powers[below], 12u) : 0u;
        }
        while ((total << headroom & 0x80000000u) == 0u) {
            headroom++;
        }
        inverse = reciprocal(total << headroom);
        for (i = 0u; i < n; i++) {
            const uint32_t below = (uint32_t)(most - x[i]);
            int32_t share = 0;
            if (below < sizes->n_powers) {
                share = shift_right(high_multiply(inverse, sizes->powers[below]), 35u - headroom);
            }
            y[i] = (int8_t)rc_q_saturate(share - 128);
        }
    }
}
