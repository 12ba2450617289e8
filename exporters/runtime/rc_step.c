/* rc_step.c - from the words of float32 flash images to the descriptors of the kernels. */
#include "rc_step.h"

uint32_t rc_step_words(uint32_t kernel)
{
    switch (kernel) {
    case RC_STEP_GEMM: return RC_STEP_SIZES + 2u;
    case RC_STEP_CONV:
    case RC_STEP_CONV_PIXELS: return RC_STEP_SIZES + 15u;
    case RC_STEP_MAX_POOL:
    case RC_STEP_AVERAGE_POOL: return RC_STEP_ARGUMENTS + 12u;
    case RC_STEP_RELU:
    case RC_STEP_SIGMOID:
    case RC_STEP_TANH:
    case RC_STEP_COPY: return RC_STEP_ARGUMENTS + 1u;
    case RC_STEP_SOFTMAX: return RC_STEP_ARGUMENTS + 2u;
    case RC_STEP_CLIP:
    case RC_STEP_ADD:
    case RC_STEP_CONCAT: return RC_STEP_ARGUMENTS + 3u;
    case RC_STEP_BATCH_NORM: return RC_STEP_ARGUMENTS + 4u;
    case RC_STEP_PAD: return RC_STEP_ARGUMENTS + 6u;
    default: return 0u;
    }
}

const float *rc_step_floats(const uint8_t *image, uint32_t offset)
{
    return offset != 0u ? (const float *)(const void *)(image + offset + RC_TENSOR_HEADER) : NULL;
}

void rc_step_conv(const uint32_t *step, rc_conv *conv)
{
    const uint32_t *const sizes = step + RC_STEP_SIZES;

    conv->in_h = sizes[0];
    conv->in_w = sizes[1];
    conv->in_channels = sizes[2];
    conv->out_h = sizes[3];
    conv->out_w = sizes[4];
    conv->out_channels = sizes[5];
    conv->kernel_h = sizes[6];
    conv->kernel_w = sizes[7];
    conv->stride_h = sizes[8];
    conv->stride_w = sizes[9];
    conv->pad_top = sizes[10];
    conv->pad_left = sizes[11];
    conv->dilation_h = sizes[12];
    conv->dilation_w = sizes[13];
    conv->group = sizes[14];
}

void rc_step_pool(const uint32_t *step, rc_pool *pool)
{
    const uint32_t *const sizes = step + RC_STEP_ARGUMENTS;

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
    pool->count_padding = sizes[11];
}

void rc_step_pad(const uint32_t *step, rc_pad_sizes *sizes)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;

    sizes->height = words[0];
    sizes->row = words[1];
    sizes->top = words[2];
    sizes->left = words[3];
    sizes->bottom = words[4];
    sizes->right = words[5];
}
