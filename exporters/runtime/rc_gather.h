/* rc_gather.h - rows of a table, an embedding, in every form that weights are stored in. */
#ifndef RC_GATHER_H
#define RC_GATHER_H

#include "rc_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_gather {
    const rc_weights *weights; /* one row for each element of a vector, one column for each vector of the table */
    uint32_t rows;
    uint32_t columns;
    uint32_t n; /* indices */
} rc_gather;

/* y is (n, rows): for each index its vector; zeros for one that the table does not have. The stream forms decode the
 * whole table once, row by row into the line, which has room for one. */
void rc_gather_dense_float32(const rc_gather *gather, const float *x, float *y);
#define RC_DECLARE(name, form) void rc_gather_##name(const rc_gather *gather, const float *x, float *y, float *line);
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
