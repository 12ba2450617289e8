/* rc_step.h - the words of a flash image (exporters/blob/SPEC.md) as the descriptors of the kernels. */
#ifndef RC_STEP_H
#define RC_STEP_H

#include "rc_conv.h"
#include "rc_gemm.h"
#include "rc_merge.h"
#include "rc_pool.h"
#include "rc_weights.h"

#define RC_IMAGE_MAGIC 0x4D494352u /* "RCIM" on a little-endian machine, which a target must be */
#define RC_IMAGE_VERSION 1u

/* Words of the header; sizes of inputs and outputs and the steps follow. */
#define RC_HEADER_MAGIC 0u
#define RC_HEADER_VERSION 1u
#define RC_HEADER_SIZE 2u
#define RC_HEADER_CRC 3u
#define RC_HEADER_ARENA 4u
#define RC_HEADER_INPUTS 5u
#define RC_HEADER_OUTPUTS 6u
#define RC_HEADER_STEPS 7u
#define RC_HEADER_WORDS 8u

/* Kernels: the low half of a step's first word; the high half counts its words. */
#define RC_STEP_GEMM 1u
#define RC_STEP_CONV 2u
#define RC_STEP_CONV_PIXELS 3u
#define RC_STEP_MAX_POOL 4u
#define RC_STEP_AVERAGE_POOL 5u
#define RC_STEP_RELU 6u
#define RC_STEP_CLIP 7u
#define RC_STEP_SIGMOID 8u
#define RC_STEP_TANH 9u
#define RC_STEP_SOFTMAX 10u
#define RC_STEP_BATCH_NORM 11u
#define RC_STEP_ADD 12u
#define RC_STEP_CONCAT 13u
#define RC_STEP_PAD 14u
#define RC_STEP_COPY 15u

/* Words of every step: where it reads and writes (kind | index << 2, then an element), then what its kernel takes. */
#define RC_STEP_X 1u
#define RC_STEP_Y 3u
#define RC_STEP_ARGUMENTS 5u

#define RC_PLACE_ARENA 0u
#define RC_PLACE_INPUT 1u
#define RC_PLACE_OUTPUT 2u

/* Words of a streamed step: the weight, its bias, its sizes. */
#define RC_RECORD_TENSOR 5u
#define RC_RECORD_BYTES 6u
#define RC_RECORD_STREAM 7u
#define RC_RECORD_GAP_TABLE 8u
#define RC_RECORD_INTEGER_TABLE 9u
#define RC_RECORD_BIAS 10u
#define RC_RECORD_SIZES 11u

#define RC_TENSOR_ESCAPE 0x08u /* bit of a packed tensor's form */
#define RC_ONE_ZERO_POINT 0x80000000u /* in the number of scales: one zero point for all of them */
#define RC_TENSOR_HEADER 4u    /* bytes before what a packed tensor holds */

/* A decode table: bits and long symbols (16 bits each), counts of 16 lengths, the table, the long symbols. */
#define RC_TABLE_COUNTS 2u
#define RC_TABLE_ENTRIES 18u

/* Words of a kernel's step, 0 for an unknown one. */
uint32_t rc_step_words(uint32_t kernel);

/* Descriptors of a step; those of weights need a checked tensor. */
void rc_step_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_weights *weights);
void rc_step_conv(const uint32_t *step, rc_conv *conv);
void rc_step_pool(const uint32_t *step, rc_pool *pool);
void rc_step_pad(const uint32_t *step, rc_pad_sizes *sizes);

/* The table of a Huffman code at an offset of the image. */
void rc_step_table(const uint8_t *image, uint32_t offset, rc_symbols *symbols);

/* The float32 values of a packed tensor at an offset of the image; NULL for offset 0. */
const float *rc_step_floats(const uint8_t *image, uint32_t offset);

#endif
