/* rc_q_gemm_fields.h - fully connected layers of weights of 2 to 4 bits. */
#ifndef RC_Q_GEMM_FIELDS_H
#define RC_Q_GEMM_FIELDS_H

#include "rc_q.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_q_gemm_fields {
    const RC_FLASH uint32_t *words; /* row after row, in blocks (rc_q_fields.h) */
    rc_q_scale scale;               /* whose biases hold what the input's zero point adds */
    uint32_t offset;                /* a field less this is the weight */
    uint32_t rows, columns;
} rc_q_gemm_fields;

/* y[r] = bias[r] + the sum of w * x[c], rescaled; fields of so many bits. `column` is scratch of as many int16 as there
 * are columns, rounded up to 32; y may overlap x. */
void rc_q_gemm_fields_2(const rc_q_gemm_fields *gemm, const int8_t *x, int8_t *y, void *column);
void rc_q_gemm_fields_3(const rc_q_gemm_fields *gemm, const int8_t *x, int8_t *y, void *column);
void rc_q_gemm_fields_4(const rc_q_gemm_fields *gemm, const int8_t *x, int8_t *y, void *column);

#ifdef __cplusplus
}
#endif

#endif
