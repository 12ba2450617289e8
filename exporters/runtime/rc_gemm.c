/* rc_gemm.c - fully connected layers whose weights are decoded while they are multiplied. */
#include "rc_gemm.h"

RC_INLINE void gemm_dense(const rc_gemm *gemm, const float *x, float *y, uint32_t form, uint32_t onto)
{
    const rc_weights *const weights = gemm->weights;
    const float *const end = x + gemm->columns;
    rc_cursor cursor;
    uint32_t row;

    rc_cursor_open(&cursor, weights, form);
    for (row = 0u; row < gemm->rows; row++) {
        float sum = rc_gemm_start(gemm, y, row, onto);
        const float *next = x;
        rc_cursor_row(&cursor, weights, row, form);
        while (next != end) {
            sum += rc_cursor_value(&cursor, form) * *next++;
        }
        y[row] = sum;
    }
}

/* Store the sum of the current row and the starts of those that have no entry before `column`, which counts from the
 * start of the current row; go to the row it lies in. */
RC_INLINE int32_t pass_rows(const rc_gemm *gemm, float *y, uint32_t *row, float sum, int32_t column, uint32_t onto)
{
    uint32_t at = *row;

    do {
        y[at++] = sum;
        sum = at < gemm->rows ? rc_gemm_start(gemm, y, at, onto) : 0.0f;
        column -= (int32_t)gemm->columns;
    } while (column >= 0);
    *row = at;
    return column;
}

/* Out of line, so that the loop of the entries keeps its registers. */
RC_OUTLINE int32_t next_row(const rc_gemm *gemm, float *y, uint32_t *row, float sum, int32_t column)
{
    return pass_rows(gemm, y, row, sum, column, 0u);
}

RC_OUTLINE int32_t next_row_onto(const rc_gemm *gemm, float *y, uint32_t *row, float sum, int32_t column)
{
    return pass_rows(gemm, y, row, sum, column, 1u);
}

RC_INLINE void gemm_csr(const rc_gemm *gemm, const float *x, float *y, uint32_t form, uint32_t onto)
{
    const rc_weights *const weights = gemm->weights;
    const uint32_t escape = weights->escape;
    const float *const x_end = x + gemm->columns; /* columns count from it, so that its sign tells the end of a row */
    int32_t column = -(int32_t)gemm->columns;
    uint32_t row = 0u, left;
    float sum = rc_gemm_start(gemm, y, 0u, onto);
    rc_cursor cursor;

    rc_cursor_open(&cursor, weights, form);
    for (left = weights->n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor, form);
        column += (int32_t)gap;
        if (gap == escape) {
            continue;
        }
        if (RC_RARELY(column >= 0)) {
            column = onto != 0u ? next_row_onto(gemm, y, &row, sum, column) : next_row(gemm, y, &row, sum, column);
            sum = rc_gemm_start(gemm, y, row, onto);
            rc_cursor_row(&cursor, weights, row, form);
        }
        sum += rc_cursor_value(&cursor, form) * x_end[column];
        column++;
    }
    y[row++] = sum;
    for (; row < gemm->rows; row++) {
        y[row] = rc_gemm_start(gemm, y, row, onto);
    }
}

RC_INLINE void gemm_any(const rc_gemm *gemm, const float *x, float *y, uint32_t form, uint32_t onto)
{
    if ((form & RC_CSR) != 0u) {
        gemm_csr(gemm, x, y, form, onto);
    } else {
        gemm_dense(gemm, x, y, form, onto);
    }
}

#define RC_DEFINE(name, form)                                              \
    void rc_gemm_##name(const rc_gemm *gemm, const float *x, float *y)     \
    {                                                                      \
        gemm_any(gemm, x, y, form, 0u);                                    \
    }                                                                      \
    void rc_gemm_add_##name(const rc_gemm *gemm, const float *x, float *y) \
    {                                                                      \
        gemm_any(gemm, x, y, form, 1u);                                    \
    }
RC_STREAM_FORMS(RC_DEFINE)
