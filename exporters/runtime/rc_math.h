/* rc_math.h - exp, sigmoid and tanh from float32 additions, multiplications and divisions alone, so that every
 * target gives the same bits. */
#ifndef RC_MATH_H
#define RC_MATH_H

#include "rc_config.h"

/* Less than 1 ULP off; 0 below -104, infinite above 89; NaN stays NaN. */
float rc_expf(float x);
/* 1 / (1 + exp(-x)), at most 2.5 ULP off. */
float rc_sigmoidf(float x);
/* At most 1.4 ULP off. */
float rc_tanhf(float x);

#endif
