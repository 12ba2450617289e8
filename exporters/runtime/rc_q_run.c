/* rc_q_run.c - runs a checked int8 flash image step by step. */
#include "rc_image.h"

#include <string.h>

#include "rc_q_step.h"

/* The caller's buffers and the image. */
typedef struct run {
    const uint8_t *image;
    const int8_t *const *inputs;
    int8_t *const *outputs;
    int8_t *arena;
} run;

static const int8_t *read_from(const run *now, const uint32_t *place)
{
    const uint32_t index = place[0] >> 2;
    switch (place[0] & 3u) {
    case RC_PLACE_INPUT: return now->inputs[index] + place[1];
    case RC_PLACE_OUTPUT: return now->outputs[index] + place[1];
    default: return now->arena + place[1];
    }
}

static int8_t *write_to(const run *now, const uint32_t *place)
{
    return (place[0] & 3u) == RC_PLACE_OUTPUT ? now->outputs[place[0] >> 2] + place[1] : now->arena + place[1];
}

static void run_rows(const run *now, const uint32_t *step, const int8_t *x, int8_t *y)
{
    const uint32_t *const sizes = step + RC_Q_ROWS_SIZES;
    rc_q_shape shape;
    rc_q_conv conv;

    rc_q_step_shape(step, &shape);
    conv.rows.weights = (const int8_t *)(now->image + step[RC_Q_ROWS_WEIGHTS]);
    rc_q_step_scale(now->image, step + RC_Q_ROWS_SCALE, shape.zero_points[0], &conv.rows.scale);
    conv.rows.in_zero_point = rc_q_signed(shape.zero_points[1]);
    conv.rows.rows = shape.rows;
    conv.rows.columns = shape.columns;
    switch (rc_step_kernel(step)) {
    case RC_Q_STEP_GEMM: rc_q_gemm(&conv.rows, x, y, now->arena + shape.zero_points[2]); break;
    case RC_Q_STEP_CONV_POINTS:
        rc_q_conv_points(&conv.rows, x, y, sizes[0], now->arena + shape.zero_points[2]);
        break;
    case RC_Q_STEP_CONV_PIXELS:
        rc_q_step_window(sizes, &conv.window);
        rc_q_conv_pixels(&conv, x, y, now->arena + shape.zero_points[2]);
        break;
    default:
        rc_q_step_window(sizes, &conv.window);
        rc_q_conv_depthwise(&conv, x, y);
        break;
    }
}

/* The form of a streamed weight; 0: bytes. */
static uint32_t form_of(const run *now, const uint32_t *step)
{
    return step[RC_RECORD_STREAM] == 0u ? 0u : now->image[step[RC_RECORD_TENSOR]] & ~RC_TENSOR_ESCAPE;
}

static void run_gemm(const run *now, const uint32_t *step, const int8_t *x, int8_t *y)
{
    const uint32_t *const sizes = step + RC_Q_STREAM_SIZES;
    rc_q_gemm_stream gemm;
    rc_q_weights weights;

    gemm.rows = sizes[0];
    gemm.columns = sizes[1];
    gemm.weights = &weights;
    rc_q_step_scale(now->image, step + RC_Q_STREAM_SCALE, sizes[2], &gemm.scale);
    rc_q_step_weights(now->image, step, gemm.rows * gemm.columns, &weights);
    switch (form_of(now, step)) {
#define RC_CASE(name, form) \
    case form: rc_q_gemm_##name(&gemm, x, y); break;
        RC_Q_FORMS(RC_CASE)
#undef RC_CASE
    default: break; /* there is no other */
    }
}

static void run_conv(const run *now, const uint32_t *step, const int8_t *x, int8_t *y)
{
    const uint32_t *const sizes = step + RC_Q_STREAM_SIZES;
    const uint32_t *const behind = sizes + RC_Q_WINDOW_SIZES; /* zero points, scratch, pool */
    void *const sums = now->arena + behind[2];
    rc_q_conv_stream conv;
    rc_q_weights weights;
    rc_q_pool pool;

    rc_q_step_window(sizes, &conv.window);
    conv.pool = NULL;
    if (rc_step_kernel(step) == RC_Q_STEP_CONV_POOL) {
        rc_q_step_pool(behind + 3, &pool);
        conv.pool = &pool;
    }
    conv.in_zero_point = rc_q_signed(behind[1]);
    conv.weights = &weights;
    rc_q_step_scale(now->image, step + RC_Q_STREAM_SCALE, behind[0], &conv.scale);
    rc_q_step_weights(now->image, step, sizes[5] * (sizes[6] * sizes[7] * (sizes[2] / sizes[14])), &weights);
    switch (form_of(now, step)) {
#define RC_CASE(name, form) \
    case form: rc_q_conv_##name(&conv, x, y, sums); break;
        RC_Q_FORMS(RC_CASE)
#undef RC_CASE
    default: break; /* there is no other */
    }
}

static void run_pool(const uint32_t *step, const int8_t *x, int8_t *y)
{
    rc_q_pool pool;

    rc_q_step_pool(step + RC_STEP_ARGUMENTS, &pool);
    if (rc_step_kernel(step) == RC_Q_STEP_MAX_POOL) {
        rc_q_max_pool(&pool, x, y);
    } else {
        rc_q_average_pool(&pool, x, y);
    }
}

static void run_mean(const uint32_t *words, const int8_t *x, int8_t *y)
{
    rc_q_mean mean;

    mean.pixels = words[0];
    mean.channels = words[1];
    mean.in_zero_point = rc_q_signed(words[2]);
    mean.out_zero_point = rc_q_signed(words[3]);
    mean.factor = rc_q_signed(words[4]);
    mean.shift = (int8_t)rc_q_signed(words[5]);
    rc_q_global_mean(&mean, x, y);
}

static void run_softmax(const run *now, const uint32_t *words, const int8_t *x, int8_t *y)
{
    rc_q_softmax_sizes sizes;

    sizes.powers = (const int32_t *)(const void *)(now->image + words[0]);
    sizes.n_powers = words[1];
    sizes.rows = words[2];
    sizes.n = words[3];
    rc_q_softmax(&sizes, x, y);
}

static void place_term(const uint32_t *words, rc_q_term *term)
{
    term->zero_point = rc_q_signed(words[0]);
    term->factor = rc_q_signed(words[1]);
    term->left = rc_q_signed(words[2]);
    term->shift = rc_q_signed(words[3]);
}

static void run_add(const run *now, const uint32_t *words, const int8_t *x, int8_t *y)
{
    rc_q_sum sum;

    place_term(words + 3, &sum.a);
    place_term(words + 7, &sum.b);
    sum.zero_point = rc_q_signed(words[11]);
    sum.factor = rc_q_signed(words[12]);
    sum.shift = rc_q_signed(words[13]);
    rc_q_add(&sum, x, read_from(now, words), y, words[2]);
}

static void run_pad(const uint32_t *words, const int8_t *x, int8_t *y)
{
    rc_q_pad_sizes sizes;

    sizes.height = words[0];
    sizes.row = words[1];
    sizes.top = words[2];
    sizes.left = words[3];
    sizes.bottom = words[4];
    sizes.right = words[5];
    sizes.value = rc_q_signed(words[6]);
    rc_q_pad(&sizes, x, y);
}

static void run_step(const run *now, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const int8_t *const x = read_from(now, step + RC_STEP_X);
    int8_t *const y = write_to(now, step + RC_STEP_Y);

    switch (rc_step_kernel(step)) {
    case RC_Q_STEP_GEMM:
    case RC_Q_STEP_CONV_PIXELS:
    case RC_Q_STEP_CONV_POINTS:
    case RC_Q_STEP_CONV_DEPTHWISE: run_rows(now, step, x, y); break;
    case RC_Q_STEP_GEMM_STREAM: run_gemm(now, step, x, y); break;
    case RC_Q_STEP_CONV_STREAM:
    case RC_Q_STEP_CONV_POOL: run_conv(now, step, x, y); break;
    case RC_Q_STEP_MAX_POOL:
    case RC_Q_STEP_AVERAGE_POOL: run_pool(step, x, y); break;
    case RC_Q_STEP_GLOBAL_MEAN: run_mean(words, x, y); break;
    case RC_Q_STEP_TABLE: rc_q_table(x, y, words[1], (const int8_t *)(now->image + words[0])); break;
    case RC_Q_STEP_CLAMP: rc_q_clamp(x, y, words[0], rc_q_signed(words[1]), rc_q_signed(words[2])); break;
    case RC_Q_STEP_SOFTMAX: run_softmax(now, words, x, y); break;
    case RC_Q_STEP_ADD: run_add(now, words, x, y); break;
    case RC_Q_STEP_CONCAT: rc_q_concat(x, y, words[0], words[1], words[2]); break;
    case RC_Q_STEP_PAD: run_pad(words, x, y); break;
    default: memcpy(y, x, (size_t)words[0]); break;
    }
}

rc_status rc_q_run(const void *image, const int8_t *const *inputs, int8_t *const *outputs, void *arena)
{
    const rc_status status = rc_record_open(image, RC_ELEMENTS_INT8);
    const uint32_t *const words = (const uint32_t *)image;
    const uint32_t *step;
    uint32_t left;
    run now;

    if (status != RC_OK) {
        return status;
    }
    if (inputs == NULL || outputs == NULL || (arena == NULL && words[RC_HEADER_ARENA] != 0u)) {
        return RC_ERROR_NULL;
    }
    if (((uintptr_t)arena & 3u) != 0u) {
        return RC_ERROR_ALIGNMENT;
    }
    now.image = (const uint8_t *)image;
    now.inputs = inputs;
    now.outputs = outputs;
    now.arena = (int8_t *)arena;
    step = words + RC_HEADER_WORDS + words[RC_HEADER_INPUTS] + words[RC_HEADER_OUTPUTS];
    for (left = words[RC_HEADER_STEPS]; left != 0u; left--) {
        run_step(&now, step);
        step += step[0] >> 16;
    }
    return RC_OK;
}
