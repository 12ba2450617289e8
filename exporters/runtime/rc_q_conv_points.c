/* rc_q_conv_points.c - convolutions of dense int8 weights whose windows are one pixel. */
#include "rc_q_conv.h"

void rc_q_conv_points(const rc_q_rows *rows, const int8_t *x, int8_t *y, uint32_t n, void *columns)
{
    const uint32_t channels = rows->columns, missing = (0u - channels) & 3u;
    int16_t *const column = (int16_t *)columns;

    rc_q_blank(column, RC_Q_TWO, channels, missing);
    rc_q_blank(column + RC_Q_ONE, RC_Q_TWO, channels, missing);
    for (; n >= 2u; n -= 2u, x += 2u * channels, y += 2u * rows->rows) {
        rc_q_expand(column, RC_Q_TWO, 0u, x, channels, rows->in_zero_point);
        rc_q_expand(column + RC_Q_ONE, RC_Q_TWO, 0u, x + channels, channels, rows->in_zero_point);
        rc_q_rows_two(rows, column, y);
    }
    if (n != 0u) {
        rc_q_expand(column, RC_Q_ONE, 0u, x, channels, rows->in_zero_point);
        rc_q_blank(column, RC_Q_ONE, channels, missing);
        rc_q_rows_one(rows, column, y);
    }
}
