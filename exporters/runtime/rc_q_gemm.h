/* rc_q_gemm.h - fully connected layers of int8 networks. */
#ifndef RC_Q_GEMM_H
#define RC_Q_GEMM_H

#include "rc_q_entries.h"
#include "rc_q_rows.h"
#include "rc_q_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Dense int8 rows; `column` is scratch of as many int16 as there are columns, rounded up to four. */
void rc_q_gemm(const rc_q_rows *rows, const int8_t *x, int8_t *y, void *column);

typedef struct rc_q_gemm_stream {
    const rc_q_weights *weights; /* of the kernels for entries: NULL */
    const rc_q_entries *entries;
    rc_q_scale scale;
    int32_t in_zero_point; /* of entries with codes; otherwise it is part of the bias */
    uint32_t rows, columns;
} rc_q_gemm_stream;

/* y[r] = bias[r] + the sum of w * x[c] over every stored w of row r, rescaled; y must not overlap x. */
#define RC_DECLARE(name, form) void rc_q_gemm_##name(const rc_q_gemm_stream *gemm, const int8_t *x, int8_t *y);
RC_Q_FORMS(RC_DECLARE)
RC_Q_ENTRY_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
