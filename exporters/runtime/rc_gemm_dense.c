/* rc_gemm_dense.c - fully connected layers of plain float32 weights, four rows at a time. */
#include "rc_dot.h"
#include "rc_gemm.h"

RC_INLINE void gemm_plain(const rc_gemm *gemm, const float *x, float *y, uint32_t onto)
{
    const uint32_t rows = gemm->rows, columns = gemm->columns;
    const RC_FLASH float *w = gemm->weights->values;
    uint32_t row;

    for (row = 0u; rows - row >= 4u; row += 4u) {
        float sums[4];
        sums[0] = rc_gemm_start(gemm, y, row, onto);
        sums[1] = rc_gemm_start(gemm, y, row + 1u, onto);
        sums[2] = rc_gemm_start(gemm, y, row + 2u, onto);
        sums[3] = rc_gemm_start(gemm, y, row + 3u, onto);
        rc_dot4(sums, x, w, columns, columns);
        y[row] = sums[0];
        y[row + 1u] = sums[1];
        y[row + 2u] = sums[2];
        y[row + 3u] = sums[3];
        w += 4u * columns;
    }
    for (; row < rows; row++) {
        y[row] = rc_dot1(rc_gemm_start(gemm, y, row, onto), x, w, columns);
        w += columns;
    }
}

void rc_gemm_dense_float32(const rc_gemm *gemm, const float *x, float *y)
{
    gemm_plain(gemm, x, y, 0u);
}

void rc_gemm_add_dense_float32(const rc_gemm *gemm, const float *x, float *y)
{
    gemm_plain(gemm, x, y, 1u);
}
