/* rc_gemm.h - fully connected layers: y = W x + b, one row of weights streaming through each output. */
#ifndef RC_GEMM_H
#define RC_GEMM_H

#include "rc_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_gemm {
    const rc_weights *weights;
    const float *bias; /* `rows` values, or NULL */
    uint32_t rows;     /* outputs */
    uint32_t columns;  /* inputs */
} rc_gemm;

/* y[r] = bias[r], then + w * x[c] for every stored w of row r in increasing c; y must not overlap x. */
void rc_gemm_dense_float32(const rc_gemm *gemm, const float *x, float *y);
#define RC_DECLARE(name, form) void rc_gemm_##name(const rc_gemm *gemm, const float *x, float *y);
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
