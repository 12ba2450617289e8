/* rc_gemm.h - fully connected layers: y = W x + b, one row of weights streaming through each output. */
#ifndef RC_GEMM_H
#define RC_GEMM_H

#include "rc_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_gemm {
    const rc_weights *weights;
    const RC_FLASH float *bias; /* `rows` values, or NULL */
    uint32_t rows;              /* outputs */
    uint32_t columns;           /* inputs */
} rc_gemm;

/* What the sum of a row starts from: 1 for `onto` is what y holds. */
RC_INLINE float rc_gemm_start(const rc_gemm *gemm, const float *y, uint32_t row, uint32_t onto)
{
    if (onto != 0u) {
        return y[row];
    }
    return gemm->bias != RC_NO_TABLE ? gemm->bias[row] : 0.0f;
}

/* y[r] = bias[r], then + w * x[c] for every stored w of row r in increasing c; y must not overlap x. rc_gemm_add_FORM
 * starts from y[r], and takes no bias. */
void rc_gemm_dense_float32(const rc_gemm *gemm, const float *x, float *y);
void rc_gemm_add_dense_float32(const rc_gemm *gemm, const float *x, float *y);
#define RC_DECLARE(name, form)                                              \
    void rc_gemm_##name(const rc_gemm *gemm, const float *x, float *y);     \
    void rc_gemm_add_##name(const rc_gemm *gemm, const float *x, float *y);
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
