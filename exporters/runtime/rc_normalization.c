/* rc_normalization.c - LayerNormalization, GroupNormalization, RMSNormalization and LpNormalization, without factors. */
#include "rc_math.h"
#include "rc_reduce.h"

#define RC_SUM 0u         /* of x */
#define RC_SQUARES 1u     /* of (x - centre)^2, x - centre stored in y */
#define RC_QUOTIENTS 2u   /* x / divisor stored in y */

/* One pass over the elements of a row. */
RC_INLINE float pass(const rc_rows *rows, const float *x, float *y, int32_t first, float number, uint32_t kind)
{
    const uint32_t n = rows->reduced.sizes[RC_AXES - 1u];
    const int32_t step = rows->reduced.strides[RC_AXES - 1u];
    float sum = 0.0f;
    rc_walk walk;

    rc_walk_open(&walk, &rows->reduced, first);
    do {
        int32_t at = walk.offset;
        uint32_t i;
        for (i = n; i != 0u; i--, at += step) {
            if (kind == RC_SUM) {
                sum += x[at];
            } else if (kind == RC_SQUARES) {
                const float difference = x[at] - number;
                y[at] = difference;
                sum += difference * difference;
            } else {
                y[at] = x[at] / number;
            }
        }
    } while (rc_walk_line(&walk) != 0u);
    return sum;
}

static void center_row(const rc_rows *rows, const float *x, float *y, int32_t first)
{
    const float n = (float)rows->n;
    const float mean = pass(rows, x, y, first, 0.0f, RC_SUM) / n;
    const float variance = pass(rows, x, y, first, mean, RC_SQUARES) / n;
    (void)pass(rows, y, y, first, rc_sqrtf(variance + rows->epsilon), RC_QUOTIENTS);
}

static void root_mean_square_row(const rc_rows *rows, const float *x, float *y, int32_t first)
{
    const float square = pass(rows, x, y, first, 0.0f, RC_SQUARES) / (float)rows->n;
    (void)pass(rows, y, y, first, rc_sqrtf(square + rows->epsilon), RC_QUOTIENTS);
}

static void unit_length_row(const rc_rows *rows, const float *x, float *y, int32_t first)
{
    const float square = pass(rows, x, y, first, 0.0f, RC_SQUARES);
    const float length = rc_sqrtf(square < rows->epsilon ? rows->epsilon : square);
    (void)pass(rows, y, y, first, length == 0.0f ? 1.0f : length, RC_QUOTIENTS);
}

#define RC_DEFINE(name)                                            \
    void rc_##name(const rc_rows *rows, const float *x, float *y)  \
    {                                                              \
        const uint32_t n = rows->kept.sizes[RC_AXES - 1u];         \
        const int32_t step = rows->kept.strides[RC_AXES - 1u];     \
        rc_walk walk;                                              \
                                                                   \
        rc_walk_open(&walk, &rows->kept, 0);                       \
        do {                                                       \
            int32_t at = walk.offset;                              \
            uint32_t i;                                            \
            for (i = n; i != 0u; i--) {                            \
                name##_row(rows, x, y, at);                        \
                at += step;                                        \
            }                                                      \
        } while (rc_walk_line(&walk) != 0u);                       \
    }

RC_DEFINE(center)
RC_DEFINE(root_mean_square)
RC_DEFINE(unit_length)
