/* rc_broadcast.c - Add, Sub, Mul, Div, Max, Min and PRelu of two tensors that are broadcast. */
#include "rc_broadcast.h"

#define RC_ADD 0u
#define RC_SUB 1u
#define RC_MUL 2u
#define RC_DIV 3u
#define RC_MAX 4u
#define RC_MIN 5u
#define RC_PRELU 6u

RC_INLINE float combined(float a, float b, uint32_t kind)
{
    switch (kind) {
    case RC_ADD: return a + b;
    case RC_SUB: return a - b;
    case RC_MUL: return a * b;
    case RC_DIV: return a / b;
    case RC_MAX: return b > a ? b : a;
    case RC_MIN: return b < a ? b : a;
    default: return a > 0.0f ? a : b * a;
    }
}

RC_INLINE void combine(const rc_broadcast *axes, const float *a, const float *b, float *y, uint32_t kind)
{
    const uint32_t n = axes->a.sizes[RC_AXES - 1u];
    const int32_t step_a = axes->a.strides[RC_AXES - 1u];
    const int32_t step_b = axes->b.strides[RC_AXES - 1u];
    rc_walk walk_a, walk_b;

    rc_walk_open(&walk_a, &axes->a, 0);
    rc_walk_open(&walk_b, &axes->b, 0);
    do {
        int32_t at_a = walk_a.offset, at_b = walk_b.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            *y++ = combined(a[at_a], b[at_b], kind);
            at_a += step_a;
            at_b += step_b;
        }
        (void)rc_walk_line(&walk_b);
    } while (rc_walk_line(&walk_a) != 0u);
}

#define RC_DEFINE(name, kind)                                                                   \
    void rc_broadcast_##name(const rc_broadcast *axes, const float *a, const float *b, float *y) \
    {                                                                                           \
        combine(axes, a, b, y, kind);                                                           \
    }
RC_DEFINE(add, RC_ADD)
RC_DEFINE(sub, RC_SUB)
RC_DEFINE(mul, RC_MUL)
RC_DEFINE(div, RC_DIV)
RC_DEFINE(max, RC_MAX)
RC_DEFINE(min, RC_MIN)
RC_DEFINE(prelu, RC_PRELU)
