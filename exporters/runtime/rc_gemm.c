/* rc_gemm.c - fully connected layers whose weights are decoded while they are multiplied. */
#include "rc_gemm.h"

RC_INLINE float bias_of(const rc_gemm *gemm, uint32_t row)
{
    return gemm->bias != NULL ? gemm->bias[row] : 0.0f;
}

RC_INLINE void gemm_dense(const rc_gemm *gemm, const float *x, float *y, uint32_t form)
{
    const rc_weights *const weights = gemm->weights;
    const float *const end = x + gemm->columns;
    rc_cursor cursor;
    uint32_t row;

    rc_cursor_open(&cursor, weights, form);
    for (row = 0u; row < gemm->rows; row++) {
        float sum = bias_of(gemm, row);
        const float *next = x;
        rc_cursor_row(&cursor, weights, row, form);
        while (next != end) {
            sum += rc_cursor_value(&cursor, form) * *next++;
        }
        y[row] = sum;
    }
}

/* Store the sum of the current row and the biases of those that have no entry before `column`, which counts from the
 * start of the current row; go to the row it lies in. Out of line, so that the loop of the entries keeps its registers. */
RC_OUTLINE int32_t next_row(const rc_gemm *gemm, float *y, uint32_t *row, float sum, int32_t column)
{
    uint32_t at = *row;

    do {
        y[at++] = sum;
        sum = at < gemm->rows ? bias_of(gemm, at) : 0.0f;
        column -= (int32_t)gemm->columns;
    } while (column >= 0);
    *row = at;
    return column;
}

RC_INLINE void gemm_csr(const rc_gemm *gemm, const float *x, float *y, uint32_t form)
{
    const rc_weights *const weights = gemm->weights;
    const uint32_t escape = weights->escape;
    const float *const x_end = x + gemm->columns; /* columns count from it, so that its sign tells the end of a row */
    int32_t column = -(int32_t)gemm->columns;
    uint32_t row = 0u, left;
    float sum = bias_of(gemm, 0u);
    rc_cursor cursor;

    rc_cursor_open(&cursor, weights, form);
    for (left = weights->n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor, form);
        column += (int32_t)gap;
        if (gap == escape) {
            continue;
        }
        if (column >= 0) {
            column = next_row(gemm, y, &row, sum, column);
            sum = bias_of(gemm, row);
            rc_cursor_row(&cursor, weights, row, form);
        }
        sum += rc_cursor_value(&cursor, form) * x_end[column];
        column++;
    }
    y[row++] = sum;
    for (; row < gemm->rows; row++) {
        y[row] = bias_of(gemm, row);
    }
}

#define RC_DEFINE(name, form)                                         \
    void rc_gemm_##name(const rc_gemm *gemm, const float *x, float *y) \
    {                                                                 \
        if (((form)&RC_CSR) != 0u) {                                  \
            gemm_csr(gemm, x, y, form);                               \
        } else {                                                      \
            gemm_dense(gemm, x, y, form);                             \
        }                                                             \
    }
RC_STREAM_FORMS(RC_DEFINE)
