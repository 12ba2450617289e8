/* rc_q.h - int8 networks: how sums of products become the integers of an output.
 *
 * real = scale * (integer - zero point). A factor between scales is a significand and a shift; the roundings are
 * those of TensorFlow Lite Micro (refcompress/integer/README.md has the formulas). */
#ifndef RC_Q_H
#define RC_Q_H

#include "rc_config.h"

#if (-1 >> 1) != -1
#error "shifts of negative integers to the right must keep the sign"
#endif

/* The Cortex-M DSP extension: four products in two instructions. It gives the same integers. */
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(__aarch64__) && !defined(__ARM_BIG_ENDIAN)
#define RC_DSP 1
#else
#define RC_DSP 0
#endif

/* Tables that are read word by word there. */
#if defined(__GNUC__)
#define RC_ALIGNED __attribute__((aligned(4)))
#else
#define RC_ALIGNED
#endif

/* What brings sums to an output: for each unit a bias, and a factor = significand * 2^(-31 - 1 - shift). Kernels of dense
 * int8 weights take no short biases, depthwise ones neither one factor. */
typedef struct rc_q_scale {
    const RC_FLASH int32_t *bias;       /* NULL: they are short */
    const RC_FLASH int16_t *short_bias; /* NULL: they are multiples of a number */
    const RC_FLASH int8_t *byte_bias;   /* how many of it */
    const RC_FLASH int32_t *factors;    /* significands, at least 0 */
    const RC_FLASH int8_t *shifts;      /* one place less than to the right; -1: none, below: to the left */
    int32_t bias_step;                  /* the number */
    int16_t zero_point;
    uint16_t one_factor; /* not 0: factor and shift of all units are those of the first */
} rc_q_scale;

#ifdef __cplusplus
extern "C" {
#endif

/* All of these return an int8, in a register. */
RC_INLINE int32_t rc_q_saturate(int32_t x)
{
#if RC_DSP
    __asm__("ssat %0, #8, %1" : "=r"(x) : "r"(x));
    return x;
#else
    x = x > 127 ? 127 : x;
    return x < -128 ? -128 : x;
#endif
}

/* The upper half of a product, halves up. */
RC_INLINE int32_t rc_q_upper(int32_t a, int32_t b)
{
#if RC_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* From the factor of a unit to that of the next. */
RC_INLINE uint32_t rc_q_factor_step(const rc_q_scale *scale)
{
    return scale->one_factor != 0u ? 0u : 1u;
}

RC_INLINE uint32_t rc_q_bias(const rc_q_scale *scale, uint32_t unit)
{
    if (scale->bias != RC_NO_TABLE) {
        return (uint32_t)scale->bias[unit];
    }
    return (uint32_t)(scale->short_bias != RC_NO_TABLE ? scale->short_bias[unit]
                                                       : scale->byte_bias[unit] * scale->bias_step);
}

/* The integer of an output, for any sum; `offset` is twice the zero point, plus 1. */
int32_t rc_q_output(int32_t sum, int32_t significand, int32_t shift, int32_t offset);
int32_t rc_q_unit(uint32_t sum, const rc_q_scale *scale, uint32_t unit);

/* The same for a sum below 2^30. */
RC_INLINE int32_t rc_q_small(int32_t sum, int32_t significand, int32_t shift, int32_t offset)
{
    int32_t high;
    if (shift < 0) {
        return rc_q_output(sum, significand, shift, offset);
    }
    high = rc_q_upper(sum * 2, significand);
    high += high >> 31; /* negative halves away from zero */
    return rc_q_saturate(((high >> shift) + offset) >> 1);
}

#ifdef __cplusplus
}
#endif

#endif
