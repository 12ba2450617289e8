/* rc_normalization.c - LayerNormalization, GroupNormalization, RMSNormalization and LpNormalization, without factors. */
#include "rc_math.h"
#include "rc_reduce.h"

#define RC_CENTER 0u
#define RC_ROOT_MEAN_SQUARE 1u
#define RC_UNIT_LENGTH 2u

#define RC_SUM 0u       /* of x */
#define RC_SQUARES 1u   /* of (x - number)^2; the differences are stored in y */
#define RC_QUOTIENTS 2u /* x / number is stored in y */

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

/* What the elements of a row, without their mean if they are centred, are divided by. */
RC_INLINE float divisor(const rc_rows *rows, const float *x, float *y, int32_t first, uint32_t kind)
{
    const float n = (float)rows->n;
    const float mean = kind == RC_CENTER ? pass(rows, x, y, first, 0.0f, RC_SUM) / n : 0.0f;
    float square = pass(rows, x, y, first, mean, RC_SQUARES);

    if (kind != RC_UNIT_LENGTH) {
        square = square / n;
        return rc_sqrtf(square + rows->epsilon);
    }
    square = rc_sqrtf(square < rows->epsilon ? rows->epsilon : square);
    return square == 0.0f ? 1.0f : square;
}

RC_INLINE void normalize(const rc_rows *rows, const float *x, float *y, uint32_t kind)
{
    const uint32_t n = rows->kept.sizes[RC_AXES - 1u];
    const int32_t step = rows->kept.strides[RC_AXES - 1u];
    rc_walk walk;

    rc_walk_open(&walk, &rows->kept, 0);
    do {
        int32_t at = walk.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            (void)pass(rows, y, y, at, divisor(rows, x, y, at, kind), RC_QUOTIENTS);
            at += step;
        }
    } while (rc_walk_line(&walk) != 0u);
}

void rc_center(const rc_rows *rows, const float *x, float *y)
{
    normalize(rows, x, y, RC_CENTER);
}

void rc_root_mean_square(const rc_rows *rows, const float *x, float *y)
{
    normalize(rows, x, y, RC_ROOT_MEAN_SQUARE);
}

void rc_unit_length(const rc_rows *rows, const float *x, float *y)
{
    normalize(rows, x, y, RC_UNIT_LENGTH);
}
