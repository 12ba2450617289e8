/* rc_q_step.c - from the words of int8 flash images to the descriptors of the kernels. */
#include "rc_q_step.h"

uint32_t rc_q_step_words(uint32_t kernel)
{
    switch (kernel) {
    case RC_Q_STEP_GEMM: return RC_Q_ROWS_SIZES + 2u + 2u + 1u;
    case RC_Q_STEP_GEMM_STREAM: return RC_Q_STREAM_SIZES + 2u + 1u;
    case RC_Q_STEP_CONV_PIXELS: return RC_Q_ROWS_SIZES + RC_Q_WINDOW_SIZES + 2u + 1u;
    case RC_Q_STEP_CONV_POINTS: return RC_Q_ROWS_SIZES + 3u + 2u + 1u;
    case RC_Q_STEP_CONV_DEPTHWISE: return RC_Q_ROWS_SIZES + RC_Q_WINDOW_SIZES + 2u;
    case RC_Q_STEP_CONV_STREAM: return RC_Q_STREAM_SIZES + RC_Q_WINDOW_SIZES + 2u + 1u;
    case RC_Q_STEP_CONV_POOL: return RC_Q_STREAM_SIZES + RC_Q_WINDOW_SIZES + 2u + 1u + RC_Q_POOL_SIZES;
    case RC_Q_STEP_MAX_POOL:
    case RC_Q_STEP_AVERAGE_POOL: return RC_STEP_ARGUMENTS + RC_Q_POOL_SIZES;
    case RC_Q_STEP_GLOBAL_MEAN: return RC_STEP_ARGUMENTS + 6u;
    case RC_Q_STEP_TABLE: return RC_STEP_ARGUMENTS + 2u;
    case RC_Q_STEP_CLAMP:
    case RC_Q_STEP_CONCAT: return RC_STEP_ARGUMENTS + 3u;
    case RC_Q_STEP_SOFTMAX: return RC_STEP_ARGUMENTS + 4u;
    case RC_Q_STEP_ADD: return RC_STEP_ARGUMENTS + 14u;
    case RC_Q_STEP_PAD: return RC_STEP_ARGUMENTS + 7u;
    case RC_Q_STEP_COPY: return RC_STEP_ARGUMENTS + 1u;
    default: return 0u;
    }
}

void rc_q_step_scale(const uint8_t *image, const uint32_t *offsets, uint32_t zero_point, rc_q_scale *scale)
{
    scale->bias = (const int32_t *)(const void *)(image + offsets[0]);
    scale->factors = (const int32_t *)(const void *)(image + offsets[1]);
    scale->shifts = (const int8_t *)(image + offsets[2]);
    scale->short_bias = NULL;
    scale->zero_point = (int16_t)rc_q_signed(zero_point);
    scale->one_factor = 0u;
}

void rc_q_step_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_q_weights *weights)
{
    if (step[RC_RECORD_STREAM] == 0u) {
        weights->values = (const int8_t *)(image + step[RC_RECORD_TENSOR]);
        return;
    }
    rc_record_weights(image, step, n_elements, &weights->stream);
    weights->values = (const int8_t *)(const void *)weights->stream.values;
    if (weights->stream.per_row == RC_PER_ROW_SCALE) { /* nothing else is of a row, and scales are not read */
        weights->stream.per_row = RC_PER_ROW_NOTHING;
    }
}

void rc_q_step_window(const uint32_t *sizes, rc_q_window *window)
{
    window->in_h = sizes[0];
    window->in_w = sizes[1];
    window->in_channels = sizes[2];
    window->out_h = sizes[3];
    window->out_w = sizes[4];
    window->out_channels = sizes[5];
    window->kernel_h = sizes[6];
    window->kernel_w = sizes[7];
    window->stride_h = sizes[8];
    window->stride_w = sizes[9];
    window->pad_top = sizes[10];
    window->pad_left = sizes[11];
    window->dilation_h = sizes[12];
    window->dilation_w = sizes[13];
    window->group = sizes[14];
}

void rc_q_step_pool(const uint32_t *sizes, rc_q_pool *pool)
{
    pool->in_h = sizes[0];
    pool->in_w = sizes[1];
    pool->channels = sizes[2];
    pool->out_h = sizes[3];
    pool->out_w = sizes[4];
    pool->kernel_h = sizes[5];
    pool->kernel_w = sizes[6];
    pool->stride_h = sizes[7];
    pool->stride_w = sizes[8];
    pool->pad_top = sizes[9];
    pool->pad_left = sizes[10];
}

void rc_q_step_shape(const uint32_t *step, rc_q_shape *shape)
{
    const uint32_t *const sizes = step + RC_Q_ROWS_SIZES;

    switch (rc_step_kernel(step)) {
    case RC_Q_STEP_GEMM: /* rows, columns */
        shape->rows = sizes[0];
        shape->columns = sizes[1];
        shape->zero_points = sizes + 2;
        break;
    case RC_Q_STEP_CONV_POINTS: /* pixels, in_channels, out_channels */
        shape->rows = sizes[2];
        shape->columns = sizes[1];
        shape->zero_points = sizes + 3;
        break;
    default:
        shape->rows = sizes[5];
        shape->columns = sizes[6] * sizes[7] * (sizes[2] / sizes[14]);
        shape->zero_points = sizes + RC_Q_WINDOW_SIZES;
        break;
    }
}
