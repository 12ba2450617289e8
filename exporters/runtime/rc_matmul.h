/* rc_matmul.h - matrices of one activation times those of another. */
#ifndef RC_MATMUL_H
#define RC_MATMUL_H

#include "rc_axes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_matmul {
    rc_axes a; /* to each pair of matrices; either may be repeated */
    rc_axes b;
    uint32_t rows, inner, columns; /* (rows, inner) times (inner, columns) */
} rc_matmul;

/* Each sum starts at 0 and adds its products in order; y must not overlap a and b. */
void rc_multiply_matrices(const rc_matmul *matmul, const float *a, const float *b, float *y);

#ifdef __cplusplus
}
#endif

#endif
