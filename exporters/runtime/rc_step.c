/* rc_step.c - from the words of a flash image to the descriptors of the kernels. */
#include "rc_step.h"

uint32_t rc_step_words(uint32_t kernel)
{
    switch (kernel) {
    case RC_STEP_GEMM: return RC_RECORD_SIZES + 2u;
    case RC_STEP_CONV:
    case RC_STEP_CONV_PIXELS: return RC_RECORD_SIZES + 15u;
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

void rc_step_table(const uint8_t *image, uint32_t offset, rc_symbols *symbols)
{
    const uint16_t *const section = (const uint16_t *)(const void *)(image + offset);
    const uint32_t bits = section[0];

    symbols->table = section + RC_TABLE_ENTRIES;
    symbols->counts = section[1] != 0u ? section + RC_TABLE_COUNTS : NULL;
    symbols->symbols = symbols->table + ((size_t)1 << bits);
    symbols->mask = (uint16_t)((1u << bits) - 1u);
    symbols->bits = (uint8_t)bits;
}

static void place_symbols(const uint8_t *image, const uint8_t *bytes, uint32_t width, uint32_t table,
                          rc_symbols *symbols)
{
    symbols->bytes = bytes;
    if (table != 0u) {
        rc_step_table(image, table, symbols);
        return;
    }
    symbols->table = NULL;
    symbols->counts = NULL;
    symbols->symbols = NULL;
    symbols->mask = (uint16_t)((1u << width) - 1u);
    symbols->bits = (uint8_t)width;
}

void rc_step_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_weights *weights)
{
    const uint8_t *const tensor = image + step[RC_RECORD_TENSOR];
    const uint8_t *values = tensor + RC_TENSOR_HEADER;
    const uint8_t *stream = image + step[RC_RECORD_STREAM];
    const uint32_t form = tensor[0];

    weights->n_entries = n_elements;
    weights->gap_bits = tensor[2];
    weights->escape = RC_NO_ESCAPE;
    if ((form & RC_TENSOR_ESCAPE) != 0u) {
        weights->escape = (uint16_t)((1u << tensor[2]) - 1u);
    }
    weights->per_row = RC_PER_ROW_NOTHING;
    weights->zero_points = NULL;
    if ((form & RC_CSR) != 0u) {
        const uint32_t width = tensor[2] + ((form & RC_JOINT) != 0u ? (uint32_t)tensor[1] : 0u);
        weights->n_entries = rc_load32(values);
        place_symbols(image, stream, width, step[RC_RECORD_GAP_TABLE], &weights->gaps);
        stream += rc_load32(values + 4);
        values += 8;
    }
    if ((form & RC_LINEAR) != 0u) {
        const uint32_t word = rc_load32(values), n_scales = word & ~RC_ONE_ZERO_POINT;
        if (n_scales > 1u) {
            weights->per_row = word == n_scales ? RC_PER_ROW_SCALE_AND_ZERO_POINT : RC_PER_ROW_SCALE;
        }
        weights->zero_points = (const uint16_t *)(const void *)(values + 4u + 4u * (size_t)n_scales);
        values += 4;
    } else if ((form & (RC_CODEBOOK | RC_CSR)) != 0u) {
        values += 4;
    }
    if ((form & (RC_CODEBOOK | RC_LINEAR)) != 0u && (form & RC_JOINT) == 0u) {
        place_symbols(image, stream, tensor[1], step[RC_RECORD_INTEGER_TABLE], &weights->integers);
    }
    weights->values = (const float *)(const void *)values;
}

void rc_step_conv(const uint32_t *step, rc_conv *conv)
{
    const uint32_t *const sizes = step + RC_RECORD_SIZES;

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
