/* rc_gather.c - embeddings. */
#include "rc_gather.h"

/* Element `row` of all vectors that are asked for, from a line of the table or from a decoded one. */
RC_INLINE void spread(const rc_gather *gather, const float *x, const RC_FLASH float *table, const float *line,
                      uint32_t row, float *y)
{
    uint32_t i;

    for (i = 0u; i < gather->n; i++) {
        /* also false for NaN; below 2^32 the conversion is defined */
        const uint32_t index = x[i] >= 0.0f && x[i] < 4294967296.0f ? (uint32_t)x[i] : gather->columns;
        float *const to = y + (size_t)i * gather->rows + row;
        if (index >= gather->columns) {
            *to = 0.0f;
        } else {
            *to = table != RC_NO_TABLE ? table[index] : line[index];
        }
    }
}

RC_OUTLINE void spread_decoded(const rc_gather *gather, const float *x, const float *line, uint32_t row, float *y)
{
    spread(gather, x, RC_NO_TABLE, line, row, y);
}

void rc_gather_dense_float32(const rc_gather *gather, const float *x, float *y)
{
    const RC_FLASH float *table = gather->weights->values;
    uint32_t row;

    for (row = 0u; row < gather->rows; row++) {
        spread(gather, x, table, NULL, row, y);
        table += gather->columns;
    }
}

RC_INLINE void gather_dense(const rc_gather *gather, const float *x, float *y, float *line, uint32_t form)
{
    rc_cursor cursor;
    uint32_t row, column;

    rc_cursor_open(&cursor, gather->weights, form);
    for (row = 0u; row < gather->rows; row++) {
        rc_cursor_row(&cursor, gather->weights, row, form);
        for (column = 0u; column < gather->columns; column++) {
            line[column] = rc_cursor_value(&cursor, form);
        }
        spread_decoded(gather, x, line, row, y);
    }
}

static void clear(float *line, uint32_t n)
{
    for (; n != 0u; n--) {
        *line++ = 0.0f;
    }
}

RC_INLINE void gather_csr(const rc_gather *gather, const float *x, float *y, float *line, uint32_t form)
{
    const rc_weights *const weights = gather->weights;
    uint32_t row = 0u, column = 0u, left;
    rc_cursor cursor;

    rc_cursor_open(&cursor, weights, form);
    clear(line, gather->columns);
    for (left = weights->n_entries; left != 0u; left--) {
        const uint32_t gap = rc_cursor_gap(&cursor, form);
        column += gap;
        if (gap == weights->escape) {
            continue;
        }
        for (; column >= gather->columns; column -= gather->columns) {
            spread_decoded(gather, x, line, row++, y);
            clear(line, gather->columns);
        }
        rc_cursor_row(&cursor, weights, row, form);
        line[column++] = rc_cursor_value(&cursor, form);
    }
    for (; row < gather->rows; row++) {
        spread_decoded(gather, x, line, row, y);
        clear(line, gather->columns);
    }
}

#define RC_DEFINE(name, form)                                                              \
    void rc_gather_##name(const rc_gather *gather, const float *x, float *y, float *line) \
    {                                                                                      \
        if (((form)&RC_CSR) != 0u) {                                                       \
            gather_csr(gather, x, y, line, form);                                          \
        } else {                                                                           \
            gather_dense(gather, x, y, line, form);                                        \
        }                                                                                  \
    }
RC_STREAM_FORMS(RC_DEFINE)
