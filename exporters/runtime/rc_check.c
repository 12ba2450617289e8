/* rc_check.c - is a float32 flash image safe to run? Its steps. */
#include "rc_check.h"

#include "rc_image.h"
#include "rc_step.h"

/* T21: a dense float32 tensor of n values. */
static rc_status check_floats(const rc_checked *image, uint32_t offset, uint32_t n)
{
    if (!rc_inside(image, offset, RC_TENSOR_HEADER + 4u * (uint64_t)n) || rc_load32(image->bytes + offset) != 0u) {
        return RC_ERROR_TENSOR;
    }
    return RC_OK;
}

static rc_status check_streamed(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns)
{
    const rc_status status = rc_check_weight(image, step, rows, columns);

    if (status != RC_OK || step[RC_STEP_BIAS] == 0u) {
        return status;
    }
    return check_floats(image, step[RC_STEP_BIAS], rows);
}

static rc_status check_gemm(const rc_checked *image, const uint32_t *step)
{
    const uint32_t rows = step[RC_STEP_SIZES], columns = step[RC_STEP_SIZES + 1u];
    const rc_status status = rc_check_buffers(image, step, columns, rows, RC_LAG_APART);

    return status == RC_OK ? check_streamed(image, step, rows, columns) : status;
}

static rc_status check_conv(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_STEP_SIZES;
    rc_extent extent;
    rc_status status;

    if (!rc_check_window(sizes, &extent)) {
        return RC_ERROR_STEP;
    }
    status = rc_check_buffers(image, step, extent.n_x, extent.n_y, RC_LAG_APART);
    if (status == RC_OK) {
        status = check_streamed(image, step, sizes[5], rc_check_columns(sizes));
    }
    if (status == RC_OK && rc_step_kernel(step) == RC_STEP_CONV_PIXELS &&
        image->bytes[step[RC_RECORD_TENSOR]] != 0u) { /* S7 */
        return RC_ERROR_STEP;
    }
    return status;
}

static rc_status check_batch_norm(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const uint32_t n = rc_product(words[0], words[1]);
    rc_status status = rc_check_buffers(image, step, n, n, RC_LAG_ANY);

    if (status == RC_OK) {
        status = check_floats(image, words[2], words[1]);
    }
    return status == RC_OK ? check_floats(image, words[3], words[1]) : status;
}

/* S8 to S10: kernels that take a geometry and nothing else. */
static rc_status check_moving(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    rc_extent extent;
    int good;

    switch (rc_step_kernel(step)) {
    case RC_STEP_CONCAT: good = rc_check_concat(words, &extent); break;
    case RC_STEP_PAD: good = rc_check_pad(words, &extent); break;
    default: good = rc_check_pool(words, &extent) && words[11] <= 1u; break;
    }
    return good ? rc_check_buffers(image, step, extent.n_x, extent.n_y, RC_LAG_APART) : RC_ERROR_STEP;
}

static rc_status check_step(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    uint32_t n;

    switch (rc_step_kernel(step)) {
    case RC_STEP_GEMM: return check_gemm(image, step);
    case RC_STEP_CONV:
    case RC_STEP_CONV_PIXELS: return check_conv(image, step);
    case RC_STEP_MAX_POOL:
    case RC_STEP_AVERAGE_POOL:
    case RC_STEP_CONCAT:
    case RC_STEP_PAD: return check_moving(image, step);
    case RC_STEP_SOFTMAX: n = rc_product(words[0], words[1]); return rc_check_buffers(image, step, n, n, RC_LAG_ANY);
    case RC_STEP_BATCH_NORM: return check_batch_norm(image, step);
    case RC_STEP_ADD:
        if (!rc_check_place(image, words, words[2], 0)) {
            return RC_ERROR_BUFFER;
        }
        return rc_check_buffers(image, step, words[2], words[2], RC_LAG_ANY);
    case RC_STEP_COPY: return rc_check_buffers(image, step, words[0], words[0], RC_LAG_APART);
    default: return rc_check_buffers(image, step, words[0], words[0], RC_LAG_ANY);
    }
}

rc_status rc_check(const void *image, size_t size)
{
    return rc_check_image(image, size, RC_ELEMENTS_FLOAT32, rc_step_words, check_step);
}
