/* rc_q_check_rows.c - the tables of int8 layers: inside the image, in range, and no sum beyond what kernels can hold. */
#include "rc_q_check.h"

#define SMALL_SUM 0x40000000

rc_status rc_q_check_scale(const rc_checked *image, const uint32_t *offsets, uint32_t zero_point, uint32_t n,
                           int32_t least_shift)
{
    rc_q_scale scale;
    uint32_t i;

    if (!rc_q_is_int8(zero_point)) {
        return RC_ERROR_STEP;
    }
    if (!rc_inside(image, offsets[0], 4u * (uint64_t)n) || !rc_inside(image, offsets[1], 4u * (uint64_t)n) ||
        !rc_inside(image, offsets[2], n)) {
        return RC_ERROR_TENSOR;
    }
    rc_q_step_scale(image->bytes, offsets, zero_point, &scale);
    for (i = 0u; i < n; i++) {
        if (scale.factors[i] < 0 || scale.shifts[i] < least_shift || scale.shifts[i] > RC_Q_MOST_SHIFT) {
            return RC_ERROR_TENSOR;
        }
    }
    return RC_OK;
}

/* Sum of the magnitudes of `n` groups of `group` bytes, `step` apart. */
static int64_t magnitudes(const int8_t *weights, uint32_t group, size_t step, uint32_t n)
{
    int64_t sum = 0;
    uint32_t i;

    for (; n != 0u; n--, weights += n != 0u ? step : 0u) {
        for (i = 0u; i < group; i++) {
            sum += weights[i] < 0 ? -weights[i] : weights[i];
        }
    }
    return sum;
}

/* Those of one unit; of pairs of rows also the second of the last pair, which is multiplied even if there is none. */
static int64_t magnitudes_of(const int8_t *weights, const rc_q_shape *shape, uint32_t row, int depthwise)
{
    const uint32_t fours = (shape->columns + 3u) >> 2;

    if (depthwise) {
        return magnitudes(weights + row, 1u, shape->rows, shape->columns);
    }
    return magnitudes(weights + (size_t)(row >> 1) * 8u * fours + 4u * (row & 1u), 4u, 8u, fours);
}

rc_status rc_q_check_rows(const rc_checked *image, const uint32_t *step, const rc_q_shape *shape)
{
    const int depthwise = rc_step_kernel(step) == RC_Q_STEP_CONV_DEPTHWISE;
    const int32_t zero_point = rc_q_signed(shape->zero_points[1]);
    const uint32_t rows = depthwise ? shape->rows : shape->rows + (shape->rows & 1u);
    const uint32_t offset = step[RC_Q_ROWS_WEIGHTS];
    const int8_t *weights;
    const int32_t *bias;
    uint32_t row;
    rc_status status;

    if (!rc_q_is_int8(shape->zero_points[1]) || rc_product(shape->rows, shape->columns) == 0u) {
        return RC_ERROR_STEP;
    }
    if (!rc_inside(image, offset, (uint64_t)rows * (depthwise ? shape->columns : (shape->columns + 3u) & ~3u))) {
        return RC_ERROR_TENSOR;
    }
    status = rc_q_check_scale(image, step + RC_Q_ROWS_SCALE, shape->zero_points[0], shape->rows, RC_Q_LEAST_SHIFT);
    if (status != RC_OK) {
        return status;
    }
    weights = (const int8_t *)(image->bytes + offset);
    bias = (const int32_t *)(const void *)(image->bytes + step[RC_Q_ROWS_SCALE]);
    for (row = 0u; row < rows; row++) {
        const int64_t from = row < shape->rows ? bias[row] : 0;
        const int64_t most = magnitudes_of(weights, shape, row, depthwise);
        const int32_t furthest = zero_point < 0 ? 127 - zero_point : 128 + zero_point;
        if (most * furthest + (from < 0 ? -from : from) >= SMALL_SUM) {
            return RC_ERROR_TENSOR;
        }
    }
    return RC_OK;
}
