/* rc_run.c - runs a checked float32 flash image step by step. */
#include "rc_image.h"

#include <string.h>

#include "rc_activation.h"
#include "rc_step.h"

/* The caller's buffers and the image. */
typedef struct run {
    const uint8_t *image;
    const float *const *inputs;
    float *const *outputs;
    float *arena;
} run;

static const float *read_from(const run *now, const uint32_t *place)
{
    const uint32_t index = place[0] >> 2;
    switch (place[0] & 3u) {
    case RC_PLACE_INPUT: return now->inputs[index] + place[1];
    case RC_PLACE_OUTPUT: return now->outputs[index] + place[1];
    default: return now->arena + place[1];
    }
}

static float *write_to(const run *now, const uint32_t *place)
{
    return (place[0] & 3u) == RC_PLACE_OUTPUT ? now->outputs[place[0] >> 2] + place[1] : now->arena + place[1];
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void run_gemm(const run *now, const uint32_t *step, const float *x, float *y)
{
    rc_weights weights;
    rc_gemm gemm;

    gemm.rows = step[RC_STEP_SIZES];
    gemm.columns = step[RC_STEP_SIZES + 1u];
    gemm.bias = rc_step_floats(now->image, step[RC_STEP_BIAS]);
    gemm.weights = &weights;
    rc_record_weights(now->image, step, gemm.rows * gemm.columns, &weights);
    switch (now->image[step[RC_RECORD_TENSOR]] & ~RC_TENSOR_ESCAPE) {
#define RC_CASE(name, form) \
    case form: rc_gemm_##name(&gemm, x, y); break;
        RC_STREAM_FORMS(RC_CASE)
#undef RC_CASE
    default: rc_gemm_dense_float32(&gemm, x, y); break;
    }
}

static void run_conv(const run *now, const uint32_t *step, const float *x, float *y)
{
    rc_weights weights;
    rc_conv conv;

    rc_step_conv(step, &conv);
    conv.bias = rc_step_floats(now->image, step[RC_STEP_BIAS]);
    conv.weights = &weights;
    rc_record_weights(now->image, step,
                    conv.out_channels * (conv.kernel_h * conv.kernel_w * (conv.in_channels / conv.group)), &weights);
    if (rc_step_kernel(step) == RC_STEP_CONV_PIXELS) {
        rc_conv_pixels_float32(&conv, x, y);
        return;
    }
    switch (now->image[step[RC_RECORD_TENSOR]] & ~RC_TENSOR_ESCAPE) {
#define RC_CASE(name, form) \
    case form: rc_conv_##name(&conv, x, y); break;
        RC_STREAM_FORMS(RC_CASE)
#undef RC_CASE
    default: rc_conv_dense_float32(&conv, x, y); break;
    }
}

static void run_pool(const uint32_t *step, const float *x, float *y)
{
    rc_pool pool;

    rc_step_pool(step, &pool);
    if (rc_step_kernel(step) == RC_STEP_MAX_POOL) {
        rc_max_pool(&pool, x, y);
    } else {
        rc_average_pool(&pool, x, y);
    }
}

static void run_pad(const uint32_t *step, const float *x, float *y)
{
    rc_pad_sizes sizes;

    rc_step_pad(step, &sizes);
    rc_pad(&sizes, x, y);
}

static void run_step(const run *now, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const float *const x = read_from(now, step + RC_STEP_X);
    float *const y = write_to(now, step + RC_STEP_Y);

    switch (rc_step_kernel(step)) {
    case RC_STEP_GEMM: run_gemm(now, step, x, y); break;
    case RC_STEP_CONV:
    case RC_STEP_CONV_PIXELS: run_conv(now, step, x, y); break;
    case RC_STEP_MAX_POOL:
    case RC_STEP_AVERAGE_POOL: run_pool(step, x, y); break;
    case RC_STEP_RELU: rc_relu(x, y, words[0]); break;
    case RC_STEP_CLIP: rc_clip(x, y, words[0], float_of(words[1]), float_of(words[2])); break;
    case RC_STEP_SIGMOID: rc_sigmoid(x, y, words[0]); break;
    case RC_STEP_TANH: rc_tanh(x, y, words[0]); break;
    case RC_STEP_SOFTMAX: rc_softmax(x, y, words[0], words[1]); break;
    case RC_STEP_BATCH_NORM:
        rc_batch_norm(x, y, words[0], words[1], rc_step_floats(now->image, words[2]),
                      rc_step_floats(now->image, words[3]));
        break;
    case RC_STEP_ADD: rc_add(x, read_from(now, words), y, words[2]); break;
    case RC_STEP_CONCAT: rc_concat(x, y, words[0], words[1], words[2]); break;
    case RC_STEP_PAD: run_pad(step, x, y); break;
    default: memcpy(y, x, (size_t)words[0] * sizeof *y); break;
    }
}

rc_status rc_run(const void *image, const float *const *inputs, float *const *outputs, void *arena)
{
    const rc_status status = rc_record_open(image, RC_ELEMENTS_FLOAT32);
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
    now.arena = (float *)arena;
    step = words + RC_HEADER_WORDS + words[RC_HEADER_INPUTS] + words[RC_HEADER_OUTPUTS];
    for (left = words[RC_HEADER_STEPS]; left != 0u; left--) {
        run_step(&now, step);
        step += step[0] >> 16;
    }
    return RC_OK;
}
