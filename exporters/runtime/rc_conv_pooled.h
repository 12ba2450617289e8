/* rc_conv_pooled.h - convolutions that do the MaxPool behind them: the plane between is never stored. */
#ifndef RC_CONV_POOLED_H
#define RC_CONV_POOLED_H

#include "rc_conv.h"
#include "rc_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_conv_pooled {
    rc_conv conv;
    rc_pool pool;
    uint32_t relu; /* 1: a Relu between them */
} rc_conv_pooled;

/* The outputs are those of rc_conv_##name, rc_relu and rc_max_pool one after the other. `sums` is scratch of as many
 * floats as the convolution's plane has pixels. */
#define RC_DECLARE(name, form) \
    void rc_conv_pooled_##name(const rc_conv_pooled *pooled, const float *x, float *y, float *sums);
RC_DECLARE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
