/* rc_q_rows.h - rows of dense int8 weights times one column of inputs or two. */
#ifndef RC_Q_ROWS_H
#define RC_Q_ROWS_H

#include "rc_q.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sums stay below 2^30 and shifts are 0 or more: the exporter sees to it. */
typedef struct rc_q_rows {
    const RC_FLASH int8_t *weights; /* two rows alternate every four columns; both numbers are rounded up, with zeros.
                                     * Aligned to 4 */
    rc_q_scale scale;
    uint32_t rows, columns;
    int32_t in_zero_point;
} rc_q_rows;

/* A column: int16 above the zero point, in fours, filled up with zeros; two columns alternate (`step` is 4, or 8).
 * Put n inputs at its element k, or zeros. */
#define RC_Q_ONE 4u
#define RC_Q_TWO 8u
void rc_q_expand(int16_t *column, uint32_t step, uint32_t k, const int8_t *x, uint32_t n, int32_t zero_point);
void rc_q_blank(int16_t *column, uint32_t step, uint32_t k, uint32_t n);

/* All rows times one column, or two whose outputs stand behind each other. */
void rc_q_rows_one(const rc_q_rows *rows, const int16_t *column, int8_t *y);
void rc_q_rows_two(const rc_q_rows *rows, const int16_t *columns, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
