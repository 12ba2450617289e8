/* rc_q_gemm_fields.c - fully connected layers of weights of 2 to 4 bits. Sums are unsigned, so that they wrap. */
#include "rc_q_gemm_fields.h"

#include "rc_q_fields.h"
#include "rc_q_rows.h"

/* Write the inputs as a column of whole blocks; return their sum. */
static int32_t expanded(int16_t *column, const int8_t *x, uint32_t columns)
{
    int32_t sum = 0;
    uint32_t i;

    rc_q_expand(column, RC_Q_ONE, 0u, x, columns, 0);
    rc_q_blank(column, RC_Q_ONE, columns, (0u - columns) & (RC_Q_BLOCK - 1u));
    for (i = 0u; i < columns; i++) {
        sum += x[i];
    }
    return sum;
}

RC_INLINE void gemm_fields(const rc_q_gemm_fields *gemm, const int8_t *x, int8_t *y, int16_t *column, uint32_t bits)
{
    const rc_q_scale *const scale = &gemm->scale;
    const uint32_t above = gemm->offset * (uint32_t)expanded(column, x, gemm->columns), n = gemm->rows;
    const uint32_t blocks = (gemm->columns + RC_Q_BLOCK - 1u) / RC_Q_BLOCK;
    const RC_FLASH uint32_t *words = gemm->words;
    uint32_t row;

    for (row = 0u; row < n; row += 2u) {
        const uint32_t next = row + 1u < n ? 1u : 0u; /* otherwise the last row is computed twice */
        uint32_t sums[2];
        sums[0] = rc_q_bias(scale, row) - above;
        sums[1] = rc_q_bias(scale, row + next) - above;
        rc_q_two_rows(sums, column, words, words + next * bits * blocks, blocks, bits);
        y[row] = (int8_t)rc_q_unit(sums[0], scale, row);
        y[row + next] = (int8_t)rc_q_unit(sums[next], scale, row + next);
        words += 2u * bits * blocks;
    }
}

#define RC_DEFINE(bits)                                                                                        \
    void rc_q_gemm_fields_##bits(const rc_q_gemm_fields *gemm, const int8_t *x, int8_t *y, void *column) \
    {                                                                                                          \
        gemm_fields(gemm, x, y, (int16_t *)column, bits##u);                                                   \
    }
RC_DEFINE(2)
RC_DEFINE(3)
RC_DEFINE(4)
