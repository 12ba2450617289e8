/* rc_reduce.c - ReduceSum, ReduceMean, ReduceMax and ReduceMin. */
#include "rc_reduce.h"

#define RC_SUM 0u
#define RC_MAX 1u
#define RC_MIN 2u

RC_INLINE float reduced(const rc_rows *rows, const float *x, int32_t first, uint32_t kind)
{
    const uint32_t n = rows->reduced.sizes[RC_AXES - 1u];
    const int32_t step = rows->reduced.strides[RC_AXES - 1u];
    float result = kind == RC_SUM ? 0.0f : x[first];
    rc_walk walk;

    rc_walk_open(&walk, &rows->reduced, first);
    do {
        int32_t at = walk.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            const float value = x[at];
            if (kind == RC_SUM) {
                result += value;
            } else if (kind == RC_MAX ? value > result : value < result) {
                result = value;
            }
            at += step;
        }
    } while (rc_walk_line(&walk) != 0u);
    return result;
}

RC_INLINE void reduce(const rc_rows *rows, const float *x, float *y, uint32_t kind, float divisor)
{
    const uint32_t n = rows->kept.sizes[RC_AXES - 1u];
    const int32_t step = rows->kept.strides[RC_AXES - 1u];
    rc_walk walk;

    rc_walk_open(&walk, &rows->kept, 0);
    do {
        int32_t at = walk.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            const float result = reduced(rows, x, at, kind);
            *y++ = result / divisor;
            at += step;
        }
    } while (rc_walk_line(&walk) != 0u);
}

void rc_reduce_sum(const rc_rows *rows, const float *x, float *y)
{
    reduce(rows, x, y, RC_SUM, 1.0f);
}

void rc_reduce_mean(const rc_rows *rows, const float *x, float *y)
{
    reduce(rows, x, y, RC_SUM, (float)rows->n);
}

void rc_reduce_max(const rc_rows *rows, const float *x, float *y)
{
    reduce(rows, x, y, RC_MAX, 1.0f);
}

void rc_reduce_min(const rc_rows *rows, const float *x, float *y)
{
    reduce(rows, x, y, RC_MIN, 1.0f);
}
