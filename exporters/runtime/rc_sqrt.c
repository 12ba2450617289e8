/* rc_sqrt.c - the square root, correctly rounded in integers: cores without a root of their own take it too. */
#include "rc_bits.h"
#include "rc_elementwise.h"
#include "rc_math.h"

#define HIDDEN_BIT 0x00800000u

/* Root of a number from 2^24 to 2^26 less 1, one bit after the other, times 2^12 and rounded to even. */
static uint32_t root_of(uint32_t rest)
{
    uint32_t root = 0u, taken = 0u, bit;

    for (bit = 0x01000000u; bit != 0u; bit >>= 1) {
        const uint32_t next = taken + bit;
        if (next <= rest) {
            taken = next + bit;
            rest -= next;
            root += bit;
        }
        rest += rest;
    }
    return rest != 0u ? root + (root & 1u) : root; /* the last bit is half of one */
}

float rc_sqrtf(float x)
{
    uint32_t bits = rc_bits_of(x), exponent;

    if (x != x || x == 0.0f || bits == RC_BITS_INFINITY) {
        return x;
    }
    if (x < 0.0f) {
        return rc_float_of(RC_BITS_NAN);
    }
    exponent = (bits >> 23) + 127u; /* even numbers keep their parity with this bias */
    if (bits < HIDDEN_BIT) {
        exponent++;
        while ((bits & HIDDEN_BIT) == 0u) {
            bits <<= 1;
            exponent--;
        }
    }
    bits = (bits & (HIDDEN_BIT - 1u)) | HIDDEN_BIT;
    if ((exponent & 1u) != 0u) {
        bits += bits;
    }
    /* the root has the hidden bit, which is one of the exponent */
    return rc_float_of((root_of(bits + bits) >> 1) - HIDDEN_BIT + ((exponent >> 1) << 23));
}

void rc_sqrt(const float *x, float *y, uint32_t n)
{
    for (; n != 0u; n--) {
        *y++ = rc_sqrtf(*x++);
    }
}
