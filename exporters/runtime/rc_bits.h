/* rc_bits.h - floats and their bit patterns, and polynomials; every statement is one float32 rounding. */
#ifndef RC_BITS_H
#define RC_BITS_H

#include "rc_config.h"

#include <string.h>

/* Constants are the decimals that round to them; in hexadecimal notation they stand on the right. */
#define RC_LN2_HI 0.693359375f      /* 0x1.63p-1: 10 bits, so that k * RC_LN2_HI is exact */
#define RC_LN2_LO (-0.00021219444f) /* -0x1.bd0106p-13 */
#define RC_BITS_INFINITY 0x7F800000u
#define RC_BITS_NAN 0x7FC00000u

RC_INLINE uint32_t rc_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

RC_INLINE float rc_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Highest power first. */
RC_INLINE float rc_horner(const RC_FLASH float *coefficients, uint32_t n, float x)
{
    float p = coefficients[0];
    uint32_t i;
    for (i = 1u; i < n; i++) {
        p = p * x;
        p = p + coefficients[i];
    }
    return p;
}

#endif
