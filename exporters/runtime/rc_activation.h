/* rc_activation.h - elementwise activations; y may be x. */
#ifndef RC_ACTIVATION_H
#define RC_ACTIVATION_H

#include "rc_config.h"

#ifdef __cplusplus
extern "C" {
#endif

void rc_relu(const float *x, float *y, uint32_t n);
/* max(x, least), then min(.., most). */
void rc_clip(const float *x, float *y, uint32_t n, float least, float most);
void rc_sigmoid(const float *x, float *y, uint32_t n);
void rc_tanh(const float *x, float *y, uint32_t n);
/* Over each of `rows` vectors of n elements; n is at least 1. */
void rc_softmax(const float *x, float *y, uint32_t rows, uint32_t n);
/* y = x * factor[channel] + offset[channel], two roundings. */
void rc_batch_norm(const float *x, float *y, uint32_t pixels, uint32_t channels, const RC_FLASH float *factor,
                   const RC_FLASH float *offset);

#ifdef __cplusplus
}
#endif

#endif
