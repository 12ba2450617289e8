/* rc_math.h - elementary functions from float32 additions, multiplications and divisions alone, so that every target
 * gives the same bits.
 *
 * Accuracies are in units of the last place of the result, denormal ones included, measured over all floats from
 * 2^-25 to 105 of either sign, or over all positive ones for the logarithms. NaN stays NaN. */
#ifndef RC_MATH_H
#define RC_MATH_H

#include "rc_config.h"

/* At most 0.991 ULP off; 0 below -104, infinite above 89. */
float rc_expf(float x);
/* exp(x) - 1, at most 1.59 ULP off; +0 for -0. */
float rc_expm1f(float x);
/* 1 / (1 + exp(-x)), at most 2.41 ULP off. */
float rc_sigmoidf(float x);
/* At most 1.34 ULP off; +0 for -0. */
float rc_tanhf(float x);
/* The error function, at most 1.25 ULP off; +0 for -0. */
float rc_erff(float x);

/* At most 0.84 ULP off; -infinity for 0, NaN below. */
float rc_logf(float x);
/* log(1 + x), at most 0.87 ULP off; -infinity for -1, NaN below. */
float rc_log1pf(float x);
/* log(1 + exp(x)), at most 1.71 ULP off. */
float rc_softplusf(float x);

/* The square root, correctly rounded; NaN below 0. */
float rc_sqrtf(float x);

#endif
