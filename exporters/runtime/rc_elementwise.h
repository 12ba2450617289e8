/* rc_elementwise.h - more functions of single elements; y may be x. */
#ifndef RC_ELEMENTWISE_H
#define RC_ELEMENTWISE_H

#include "rc_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rc_elementwise.c: no elementary functions */
void rc_abs(const float *x, float *y, uint32_t n);
void rc_reciprocal(const float *x, float *y, uint32_t n);
/* x / (1 + |x|) */
void rc_softsign(const float *x, float *y, uint32_t n);
/* x above 0, alpha * x elsewhere. */
void rc_leaky_relu(const float *x, float *y, uint32_t n, float alpha);
/* x above alpha, 0 elsewhere. */
void rc_thresholded_relu(const float *x, float *y, uint32_t n, float alpha);
/* x * alpha + beta, kept between 0 and 1. */
void rc_hard_sigmoid(const float *x, float *y, uint32_t n, float alpha, float beta);
/* The same for gates: slopes of 1/6 and 1/5, and a value of 1/2 at 0. */
void rc_hard_sigmoid_sixth(const float *x, float *y, uint32_t n);
void rc_hard_sigmoid_fifth(const float *x, float *y, uint32_t n);
/* x times the hard sigmoid of slope 1/6. */
void rc_hard_swish(const float *x, float *y, uint32_t n);
/* 1 where x is not the value, 0 where it is. */
void rc_not_equal(const float *x, float *y, uint32_t n, float value);

/* rc_exponential.c */
void rc_exp(const float *x, float *y, uint32_t n);
void rc_erf(const float *x, float *y, uint32_t n);
/* x above 0, alpha * (exp(x) - 1) elsewhere. */
void rc_elu(const float *x, float *y, uint32_t n, float alpha);
/* The same for gates, alpha 1. */
void rc_elu_one(const float *x, float *y, uint32_t n);
/* x above 0, alpha * (exp(x / alpha) - 1) elsewhere. */
void rc_celu(const float *x, float *y, uint32_t n, float alpha);
void rc_selu(const float *x, float *y, uint32_t n);
/* x * (1 + erf(x / sqrt(2))) / 2, and its approximation by tanh. */
void rc_gelu(const float *x, float *y, uint32_t n);
void rc_gelu_tanh(const float *x, float *y, uint32_t n);
/* x * sigmoid(x) */
void rc_swish(const float *x, float *y, uint32_t n);
/* x * tanh(softplus(x)) */
void rc_mish(const float *x, float *y, uint32_t n);

/* rc_log.c */
void rc_log(const float *x, float *y, uint32_t n);
void rc_softplus(const float *x, float *y, uint32_t n);

/* rc_sqrt.c */
void rc_sqrt(const float *x, float *y, uint32_t n);

/* rc_log_softmax.c: over each of `rows` vectors of n elements; n is at least 1. */
void rc_log_softmax(const float *x, float *y, uint32_t rows, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
