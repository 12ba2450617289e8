/* rc_q_activation.h - elementwise functions of int8 networks; y may be x. */
#ifndef RC_Q_ACTIVATION_H
#define RC_Q_ACTIVATION_H

#include "rc_q.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Any function of one integer: 256 results, from that of -128 on. */
void rc_q_table(const int8_t *x, int8_t *y, uint32_t n, const RC_FLASH int8_t *table);
void rc_q_clamp(const int8_t *x, int8_t *y, uint32_t n, int32_t low, int32_t high);

/* Over each of `rows` vectors of n integers. */
typedef struct rc_q_softmax_sizes {
    const RC_FLASH int32_t *powers; /* exp of the differences 0, -1, ..., 31 bits behind the point */
    uint32_t n_powers;              /* larger differences count for nothing */
    uint32_t rows, n;               /* n below 8192 */
} rc_q_softmax_sizes;

void rc_q_softmax(const rc_q_softmax_sizes *sizes, const int8_t *x, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
