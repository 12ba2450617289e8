/* rc_q_gemm.c - fully connected layers of dense int8 weights. */
#include "rc_q_gemm.h"

void rc_q_gemm(const rc_q_rows *rows, const int8_t *x, int8_t *y, void *column)
{
    int16_t *const expanded = (int16_t *)column;

    rc_q_expand(expanded, RC_Q_ONE, 0u, x, rows->columns, rows->in_zero_point);
    rc_q_blank(expanded, RC_Q_ONE, rows->columns, (0u - rows->columns) & 3u);
    rc_q_rows_one(rows, expanded, y);
}
