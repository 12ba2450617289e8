/* rc_broadcast.h - two tensors combined element by element, either of them repeated along some axes. */
#ifndef RC_BROADCAST_H
#define RC_BROADCAST_H

#include "rc_axes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_broadcast {
    rc_axes a;
    rc_axes b; /* the sizes are those of a */
} rc_broadcast;

/* y is as large as the sizes say, and may be an operand that is not repeated. An operand may be a constant: b in those
 * that end in _table, a in those that begin with table_. */
#define RC_DECLARE(name)                                                                                           \
    void rc_broadcast_##name(const rc_broadcast *axes, const float *a, const float *b, float *y);                  \
    void rc_broadcast_##name##_table(const rc_broadcast *axes, const float *a, const RC_FLASH float *b, float *y); \
    void rc_broadcast_table_##name(const rc_broadcast *axes, const RC_FLASH float *a, const float *b, float *y);
RC_DECLARE(add)
RC_DECLARE(sub)
RC_DECLARE(mul)
RC_DECLARE(div)
RC_DECLARE(max)   /* b where it is greater, and a elsewhere */
RC_DECLARE(min)   /* b where it is less, and a elsewhere */
RC_DECLARE(prelu) /* a above 0, b * a elsewhere */
RC_DECLARE(pow)   /* a to the power b; rc_pow.c, in double */
#undef RC_DECLARE

/* The loops of all of them. The function is a constant of each instance, and so is which operand is NULL because it is
 * a table. */
RC_INLINE void rc_combine(const rc_broadcast *axes, const float *a, const RC_FLASH float *table_a, const float *b,
                          const RC_FLASH float *table_b, float *y, float (*combined)(float a, float b))
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
            const float left = table_a != RC_NO_TABLE ? table_a[at_a] : a[at_a];
            *y++ = combined(left, table_b != RC_NO_TABLE ? table_b[at_b] : b[at_b]);
            at_a += step_a;
            at_b += step_b;
        }
        (void)rc_walk_line(&walk_b);
    } while (rc_walk_line(&walk_a) != 0u);
}

#define RC_DEFINE_BROADCAST(name, combined)                                                                       \
    void rc_broadcast_##name(const rc_broadcast *axes, const float *a, const float *b, float *y)                  \
    {                                                                                                             \
        rc_combine(axes, a, RC_NO_TABLE, b, RC_NO_TABLE, y, combined);                                            \
    }                                                                                                             \
    void rc_broadcast_##name##_table(const rc_broadcast *axes, const float *a, const RC_FLASH float *b, float *y) \
    {                                                                                                             \
        rc_combine(axes, a, RC_NO_TABLE, NULL, b, y, combined);                                                   \
    }                                                                                                             \
    void rc_broadcast_table_##name(const rc_broadcast *axes, const RC_FLASH float *a, const float *b, float *y)   \
    {                                                                                                             \
        rc_combine(axes, NULL, a, b, RC_NO_TABLE, y, combined);                                                   \
    }

#ifdef __cplusplus
}
#endif

#endif
