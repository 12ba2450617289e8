/* rc_gemm_dense.c - fully connected layers of plain float32 weights, four rows at a time. */
#include "rc_dot.h"
#include "rc_gemm.h"

RC_INLINE float bias_of(const rc_gemm *gemm, uint32_t row)
{
    return gemm->bias != NULL ? gemm->bias[row] : 0.0f;
}

void rc_gemm_dense_float32(const rc_gemm *gemm, const float *x, float *y)
{
    const uint32_t rows = gemm->rows, columns = gemm->columns;
    const float *w = gemm->weights->values;
    uint32_t row;

    for (row = 0u; rows - row >= 4u; row += 4u) {
        float sums[4];
        sums[0] = bias_of(gemm, row);
        sums[1] = bias_of(gemm, row + 1u);
        sums[2] = bias_of(gemm, row + 2u);
        sums[3] = bias_of(gemm, row + 3u);
        rc_dot4(sums, x, w, columns, columns);
        y[row] = sums[0];
        y[row + 1u] = sums[1];
        y[row + 2u] = sums[2];
        y[row + 3u] = sums[3];
        w += 4u * columns;
    }
    for (; row < rows; row++) {
        y[row] = rc_dot1(bias_of(gemm, row), x, w, columns);
        w += columns;
    }
}
