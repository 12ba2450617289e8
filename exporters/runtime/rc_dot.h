/* rc_dot.h - dot products that add to running sums in the order of the elements, of one row and of four. */
#ifndef RC_DOT_H
#define RC_DOT_H

#include "rc_config.h"

RC_INLINE float rc_dot1(float sum, const float *x, const RC_FLASH float *w, uint32_t n)
{
    for (; n >= 4u; n -= 4u, x += 4, w += 4) {
        sum += w[0] * x[0];
        sum += w[1] * x[1];
        sum += w[2] * x[2];
        sum += w[3] * x[3];
    }
    for (; n != 0u; n--) {
        sum += *w++ * *x++;
    }
    return sum;
}

/* Four rows at once: each x is loaded once, and each sum keeps its own order. */
RC_INLINE void rc_dot4(float sums[4], const float *x, const RC_FLASH float *w, uint32_t pitch, uint32_t n)
{
    const RC_FLASH float *w1 = w + pitch, *w2 = w1 + pitch, *w3 = w2 + pitch;
    float s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    uint32_t i;

    for (i = n >> 2; i != 0u; i--, x += 4, w += 4, w1 += 4, w2 += 4, w3 += 4) {
        const float a = x[0], b = x[1], c = x[2], d = x[3];
        s0 += w[0] * a;
        s1 += w1[0] * a;
        s2 += w2[0] * a;
        s3 += w3[0] * a;
        s0 += w[1] * b;
        s1 += w1[1] * b;
        s2 += w2[1] * b;
        s3 += w3[1] * b;
        s0 += w[2] * c;
        s1 += w1[2] * c;
        s2 += w2[2] * c;
        s3 += w3[2] * c;
        s0 += w[3] * d;
        s1 += w1[3] * d;
        s2 += w2[3] * d;
        s3 += w3[3] * d;
    }
    for (i = n & 3u; i != 0u; i--) {
        const float a = *x++;
        s0 += *w++ * a;
        s1 += *w1++ * a;
        s2 += *w2++ * a;
        s3 += *w3++ * a;
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#endif
