/* rc_q_check.c - is an int8 flash image safe to run? Its steps. */
#include "rc_q_check.h"

#include "rc_image.h"

#define MOST_SUMMED 0x7FFFFFu /* so many integers add up to less than 2^31 */
#define MOST_SOFTMAX 8191u
#define MOST_POWERS 256u
#define LEAST_POWER 0x800 /* of the largest input; smaller ones count for nothing */
#define MOST_LEFT 22

/* Q5: scratch lies inside the arena and apart from what is read and written. */
static rc_status check_scratch(const rc_checked *image, const uint32_t *step, uint32_t at, uint64_t n_bytes,
                               const rc_extent *extent)
{
    const uint32_t *const x = step + RC_STEP_X, *const y = step + RC_STEP_Y;
    const uint32_t arena = image->header[RC_HEADER_ARENA];

    if ((at & 3u) != 0u || at > arena || n_bytes > arena - at) {
        return RC_ERROR_BUFFER;
    }
    if ((x[0] == RC_PLACE_ARENA && x[1] < at + n_bytes && at < (uint64_t)x[1] + extent->n_x) ||
        (y[0] == RC_PLACE_ARENA && y[1] < at + n_bytes && at < (uint64_t)y[1] + extent->n_y)) {
        return RC_ERROR_BUFFER;
    }
    return RC_OK;
}

/* Q6: the output may lie over the input as far as the kernel no longer reads it. */
static rc_status check_moving(const rc_checked *image, const uint32_t *step, const rc_q_window *window, uint32_t pairs,
                              const rc_extent *extent)
{
    const int same = step[RC_STEP_X] == step[RC_STEP_Y];

    if (extent->n_x == 0u || extent->n_y == 0u) { /* more than any buffer holds */
        return RC_ERROR_BUFFER;
    }
    return rc_check_buffers(image, step, extent->n_x, extent->n_y,
                            same ? rc_q_check_lag(window, pairs) : RC_LAG_APART);
}

static rc_status check_gemm(const rc_checked *image, const uint32_t *step, rc_extent *extent)
{
    extent->n_x = step[RC_Q_ROWS_SIZES + 1u];
    extent->n_y = step[RC_Q_ROWS_SIZES];
    return rc_check_buffers(image, step, extent->n_x, extent->n_y, RC_LAG_ANY);
}

/* A row of pixels, one window each. */
static rc_status check_points(const rc_checked *image, const uint32_t *step, rc_extent *extent)
{
    const uint32_t *const sizes = step + RC_Q_ROWS_SIZES;
    rc_q_window window = {1u, 0u, 0u, 1u, 0u, 0u, 1u, 1u, 1u, 1u, 0u, 0u, 1u, 1u, 1u};

    window.in_w = window.out_w = sizes[0];
    window.in_channels = sizes[1];
    window.out_channels = sizes[2];
    extent->n_x = rc_product(sizes[0], sizes[1]);
    extent->n_y = rc_product(sizes[0], sizes[2]);
    if (extent->n_x == 0u || extent->n_y == 0u) {
        return RC_ERROR_STEP;
    }
    return check_moving(image, step, &window, 1u, extent);
}

/* S6, Q7 */
static rc_status check_pixels(const rc_checked *image, const uint32_t *step, rc_extent *extent)
{
    const uint32_t *const sizes = step + RC_Q_ROWS_SIZES;
    const int depthwise = rc_step_kernel(step) == RC_Q_STEP_CONV_DEPTHWISE;
    rc_q_window window;
    int good;

    rc_q_step_window(sizes, &window);
    if (!rc_check_window(sizes, extent) || rc_check_columns(sizes) == 0u) {
        return RC_ERROR_STEP;
    }
    if (depthwise) {
        good = window.group == window.in_channels && window.group == window.out_channels;
    } else {
        good = window.group == 1u && window.dilation_h == 1u && window.dilation_w == 1u;
    }
    return good ? check_moving(image, step, &window, depthwise ? 0u : 1u, extent) : RC_ERROR_STEP;
}

/* Kernels of bytes. */
static rc_status check_rows(const rc_checked *image, const uint32_t *step)
{
    const uint32_t kernel = rc_step_kernel(step);
    rc_extent extent;
    rc_q_shape shape;
    rc_status status;

    switch (kernel) {
    case RC_Q_STEP_GEMM: status = check_gemm(image, step, &extent); break;
    case RC_Q_STEP_CONV_POINTS: status = check_points(image, step, &extent); break;
    default: status = check_pixels(image, step, &extent); break;
    }
    if (status != RC_OK) {
        return status;
    }
    rc_q_step_shape(step, &shape);
    status = rc_q_check_rows(image, step, &shape);
    if (status == RC_OK && kernel != RC_Q_STEP_CONV_DEPTHWISE) { /* columns of int16, one or two */
        const uint64_t n_bytes = (kernel == RC_Q_STEP_GEMM ? 2u : 4u) * (((uint64_t)shape.columns + 3u) & ~(uint64_t)3u);
        status = check_scratch(image, step, shape.zero_points[2], n_bytes, &extent);
    }
    return status;
}

/* Q12: bytes row after row, or a packed tensor. */
static rc_status check_weight(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns)
{
    const uint32_t n = rc_product(rows, columns);

    if (step[RC_RECORD_STREAM] != 0u) {
        return rc_check_weight(image, step, rows, columns);
    }
    if (n == 0u || step[RC_RECORD_BYTES] != n || step[RC_RECORD_GAP_TABLE] != 0u ||
        step[RC_RECORD_INTEGER_TABLE] != 0u || !rc_inside(image, step[RC_RECORD_TENSOR], n)) {
        return RC_ERROR_TENSOR;
    }
    return RC_OK;
}

static rc_status check_streamed_gemm(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_Q_STREAM_SIZES;
    rc_status status = rc_check_buffers(image, step, sizes[1], sizes[0], RC_LAG_APART);

    if (status == RC_OK) {
        status = check_weight(image, step, sizes[0], sizes[1]);
    }
    if (status != RC_OK) {
        return status;
    }
    return rc_q_check_scale(image, step + RC_Q_STREAM_SCALE, sizes[2], sizes[0], RC_Q_LEAST_SHIFT);
}

/* S6, S8, Q8: the output is that of the pool, if there is one. */
static int check_plane(const uint32_t *step, rc_extent *extent)
{
    const uint32_t *const sizes = step + RC_Q_STREAM_SIZES;
    const uint32_t *const pool = sizes + RC_Q_WINDOW_SIZES + 3u;
    rc_extent pooled;

    if (!rc_check_window(sizes, extent) || rc_product(sizes[3], sizes[4]) == 0u) {
        return 0;
    }
    if (rc_step_kernel(step) == RC_Q_STEP_CONV_STREAM) {
        return 1;
    }
    if (!rc_check_pool(pool, &pooled) || rc_product(pool[0], pool[1]) != sizes[3] * sizes[4] || pool[2] != sizes[5]) {
        return 0;
    }
    extent->n_y = pooled.n_y;
    return 1;
}

static rc_status check_streamed_conv(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_Q_STREAM_SIZES;
    const uint32_t *const behind = sizes + RC_Q_WINDOW_SIZES;
    const int32_t least_shift = rc_step_kernel(step) == RC_Q_STEP_CONV_POOL ? -1 : RC_Q_LEAST_SHIFT;
    rc_extent extent;
    rc_status status;

    if (!check_plane(step, &extent) || !rc_q_is_int8(behind[1])) {
        return RC_ERROR_STEP;
    }
    status = rc_check_buffers(image, step, extent.n_x, extent.n_y, RC_LAG_APART);
    if (status == RC_OK) {
        status = check_weight(image, step, sizes[5], rc_check_columns(sizes));
    }
    if (status == RC_OK) {
        status = rc_q_check_scale(image, step + RC_Q_STREAM_SCALE, behind[0], sizes[5], least_shift);
    }
    if (status != RC_OK) {
        return status;
    }
    return check_scratch(image, step, behind[2], 4u * (uint64_t)(sizes[3] * sizes[4]), &extent);
}

/* S8, Q9 */
static rc_status check_pool(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_STEP_ARGUMENTS;
    rc_q_window window = {0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 1u, 1u, 1u};
    rc_extent extent;

    if (!rc_check_pool(sizes, &extent) ||
        (rc_step_kernel(step) == RC_Q_STEP_AVERAGE_POOL && rc_product(sizes[5], sizes[6]) > MOST_SUMMED)) {
        return RC_ERROR_STEP;
    }
    window.in_h = sizes[0];
    window.in_w = sizes[1];
    window.in_channels = window.out_channels = sizes[2];
    window.out_h = sizes[3];
    window.out_w = sizes[4];
    window.stride_h = sizes[7];
    window.stride_w = sizes[8];
    window.pad_top = sizes[9];
    window.pad_left = sizes[10];
    return check_moving(image, step, &window, 0u, &extent);
}

/* Q2, Q3, Q9 */
static rc_status check_mean(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;

    if (words[0] > MOST_SUMMED || !rc_q_is_int8(words[2]) || !rc_q_is_int8(words[3]) || rc_q_signed(words[4]) < 0 ||
        !rc_q_between(words[5], RC_Q_LEAST_SHIFT, RC_Q_MOST_SHIFT)) {
        return RC_ERROR_STEP;
    }
    return rc_check_buffers(image, step, rc_product(words[0], words[1]), words[1], RC_LAG_APART);
}

/* Q10: the sum of the powers is neither 0 nor 2^32. */
static rc_status check_softmax(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const uint32_t n = rc_product(words[2], words[3]);
    const int32_t *powers;
    rc_status status;
    uint32_t i;

    if (words[1] < 1u || words[1] > MOST_POWERS || words[3] > MOST_SOFTMAX) {
        return RC_ERROR_STEP;
    }
    status = rc_check_buffers(image, step, n, n, RC_LAG_ANY);
    if (status != RC_OK) {
        return status;
    }
    if (!rc_inside(image, words[0], 4u * words[1])) {
        return RC_ERROR_TENSOR;
    }
    powers = (const int32_t *)(const void *)(image->bytes + words[0]);
    for (i = 0u; i < words[1]; i++) {
        if (powers[i] < (i == 0u ? LEAST_POWER : 0)) {
            return RC_ERROR_TENSOR;
        }
    }
    return RC_OK;
}

/* Q2, Q11: zero point, factor, shift to the left, shift to the right. */
static int check_term(const uint32_t *term)
{
    return rc_q_is_int8(term[0]) && rc_q_signed(term[1]) >= 0 && rc_q_between(term[2], 0, MOST_LEFT) &&
           rc_q_between(term[3], 0, RC_Q_MOST_SHIFT);
}

static rc_status check_add(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;

    if (!check_term(words + 3) || !check_term(words + 7) || !rc_q_is_int8(words[11]) || rc_q_signed(words[12]) < 0 ||
        !rc_q_between(words[13], RC_Q_LEAST_SHIFT, RC_Q_MOST_SHIFT)) {
        return RC_ERROR_STEP;
    }
    if (!rc_check_place(image, words, words[2], 0)) {
        return RC_ERROR_BUFFER;
    }
    return rc_check_buffers(image, step, words[2], words[2], RC_LAG_ANY);
}

/* Q1, Q2: tables, clamps, concatenations, paddings, copies. */
static rc_status check_simple(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    rc_extent extent = {words[0], words[0]};
    int64_t lag = RC_LAG_APART;
    int good = 1;

    switch (rc_step_kernel(step)) {
    case RC_Q_STEP_TABLE:
        if (!rc_inside(image, words[0], 256u)) {
            return RC_ERROR_TENSOR;
        }
        extent.n_x = extent.n_y = words[1];
        lag = RC_LAG_ANY;
        break;
    case RC_Q_STEP_CLAMP:
        good = rc_q_is_int8(words[1]) && rc_q_between(words[2], rc_q_signed(words[1]), 127);
        lag = RC_LAG_ANY;
        break;
    case RC_Q_STEP_CONCAT: good = rc_check_concat(words, &extent); break;
    case RC_Q_STEP_PAD: good = rc_check_pad(words, &extent) && rc_q_is_int8(words[6]); break;
    default: break; /* a copy */
    }
    return good ? rc_check_buffers(image, step, extent.n_x, extent.n_y, lag) : RC_ERROR_STEP;
}

static rc_status check_step(const rc_checked *image, const uint32_t *step)
{
    switch (rc_step_kernel(step)) {
    case RC_Q_STEP_GEMM:
    case RC_Q_STEP_CONV_PIXELS:
    case RC_Q_STEP_CONV_POINTS:
    case RC_Q_STEP_CONV_DEPTHWISE: return check_rows(image, step);
    case RC_Q_STEP_GEMM_STREAM: return check_streamed_gemm(image, step);
    case RC_Q_STEP_CONV_STREAM:
    case RC_Q_STEP_CONV_POOL: return check_streamed_conv(image, step);
    case RC_Q_STEP_MAX_POOL:
    case RC_Q_STEP_AVERAGE_POOL: return check_pool(image, step);
    case RC_Q_STEP_GLOBAL_MEAN: return check_mean(image, step);
    case RC_Q_STEP_SOFTMAX: return check_softmax(image, step);
    case RC_Q_STEP_ADD: return check_add(image, step);
    default: return check_simple(image, step);
    }
}

rc_status rc_q_check(const void *image, size_t size)
{
    return rc_check_image(image, size, RC_ELEMENTS_INT8, rc_q_step_words, check_step);
}
