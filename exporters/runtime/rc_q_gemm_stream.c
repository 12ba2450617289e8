/* rc_q_gemm_stream.c - fully connected layers of int8 networks whose weights are decoded while they are multiplied.
 * Sums are unsigned, so that they wrap. */
#include "rc_q_gemm.h"

RC_INLINE void gemm_dense(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y, uint32_t form)
{
    const int8_t *const end = x + gemm->columns;
    rc_q_cursor cursor;
    uint32_t row;

    rc_q_cursor_open(&cursor, gemm->weights, form);
    for (row = 0u; row < gemm->rows; row++) {
        uint32_t sum = rc_q_bias(&gemm->scale, row);
        const int8_t *next = x;
        rc_q_cursor_row(&cursor, gemm->weights, row, form);
        while (next != end) {
            sum += (uint32_t)(rc_q_cursor_value(&cursor, form) * *next++);
        }
        y[row] = (int8_t)rc_q_unit(sum, &gemm->scale, row);
    }
}

/* Store the sum of the current row and those of rows that have no entry before `column`, which counts from the end
 * of the current row; go to the row it lies in. Out of line, so that the loop of the entries keeps its registers. */
RC_OUTLINE int32_t next_row(const rc_q_gemm_stream *gemm, int8_t *y, uint32_t *row, uint32_t sum, int32_t column)
{
    uint32_t at = *row;

    do {
        y[at] = (int8_t)rc_q_unit(sum, &gemm->scale, at);
        at++;
        sum = at < gemm->rows ? rc_q_bias(&gemm->scale, at) : 0u;
        column -= (int32_t)gemm->columns;
    } while (column >= 0);
    *row = at;
    return column;
}

RC_INLINE void gemm_csr(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y, uint32_t form)
{
    const rc_q_weights *const weights = gemm->weights;
    const uint32_t escape = weights->stream.escape;
    const int8_t *const x_end = x + gemm->columns; /* columns count from it, so that its sign tells the end of a row */
    int32_t column = -(int32_t)gemm->columns;
    uint32_t row = 0u, sum = rc_q_bias(&gemm->scale, 0u), left;
    rc_q_cursor cursor;

    rc_q_cursor_open(&cursor, weights, form);
    for (left = weights->stream.n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor.stream, form);
        column += (int32_t)gap;
        if (gap == escape) {
            continue;
        }
        if (column >= 0) {
            column = next_row(gemm, y, &row, sum, column);
            sum = rc_q_bias(&gemm->scale, row);
            rc_q_cursor_row(&cursor, weights, row, form);
        }
        sum += (uint32_t)(rc_q_cursor_value(&cursor, form) * x_end[column]);
        column++;
    }
    y[row] = (int8_t)rc_q_unit(sum, &gemm->scale, row);
    for (row++; row < gemm->rows; row++) {
        y[row] = (int8_t)rc_q_unit(rc_q_bias(&gemm->scale, row), &gemm->scale, row);
    }
}

#define RC_DEFINE(name, form)                                                       \
    void rc_q_gemm_##name(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y) \
    {                                                                               \
        if (((form)&RC_CSR) != 0u) {                                                \
            gemm_csr(gemm, x, y, form);                                             \
        } else {                                                                    \
            gemm_dense(gemm, x, y, form);                                           \
        }                                                                           \
    }
RC_Q_FORMS(RC_DEFINE)

/* Where the outputs of a layer stand. */
typedef struct place {
    const rc_q_gemm_stream *gemm;
    int8_t *y;
    uint32_t row; /* before the first one: all bits */
    uint32_t sum; /* of the row so far */
} place;

/* Store the sum of the current row and those of rows that have no entry before `column`, which counts from the end of
 * the current row; go to the row it lies in, or behind the last one. Out of line, so that the loop of the entries keeps
 * its registers. */
RC_OUTLINE int32_t entries_row(place *at, int32_t column)
{
    const rc_q_gemm_stream *const gemm = at->gemm;
    uint32_t row = at->row, sum = at->sum;

    do {
        if (row < gemm->rows) {
            at->y[row] = (int8_t)rc_q_unit(sum, &gemm->scale, row);
        }
        row++;
        if (row == gemm->rows) {
            break;
        }
        sum = rc_q_bias(&gemm->scale, row);
        column -= (int32_t)gemm->columns;
    } while (column >= 0);
    at->row = row;
    at->sum = sum;
    return column;
}

RC_INLINE void gemm_entries(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y, uint32_t form)
{
    const int8_t *const x_end = x + gemm->columns; /* columns count from it, so that the sign tells the end of a row */
    const int32_t zero_point = RC_Q_IS_CODED(form) ? gemm->in_zero_point : 0;
    int32_t column = -1; /* before the first row */
    uint32_t sum = 0u;
    rc_q_reader reader;
    place at;

    at.gemm = gemm;
    at.y = y;
    at.row = UINT32_MAX;
    rc_q_reader_open(&reader, gemm->entries);
    for (;;) {
        const uint32_t advance = rc_q_advance(&reader, form);
        if (RC_Q_IS_ESCAPE(advance, form)) {
            column += (int32_t)rc_q_escaped(advance, form);
            continue;
        }
        column += (int32_t)(advance >> RC_Q_ADVANCE_BITS(form));
        if (RC_RARELY(column >= 0)) {
            at.sum = sum;
            column = entries_row(&at, column);
            if (at.row == at.gemm->rows) {
                return;
            }
            sum = at.sum;
        }
        sum += (uint32_t)(rc_q_value(&reader, form) * (x_end[column] - zero_point));
    }
}

#define RC_DEFINE_ENTRIES(name, form)                                                        \
    void rc_q_gemm_##name(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y) \
    {                                                                                \
        gemm_entries(gemm, x, y, form);                                                       \
    }
RC_Q_ENTRY_FORMS(RC_DEFINE_ENTRIES)
