/* rc_step.h - the steps of float32 flash images (exporters/blob/SPEC.md) as the descriptors of the kernels. */
#ifndef RC_STEP_H
#define RC_STEP_H

#include "rc_conv.h"
#include "rc_gemm.h"
#include "rc_merge.h"
#include "rc_pool.h"
#include "rc_record.h"

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

/* Words of a step that streams a weight, behind it: the bias, the sizes. */
#define RC_STEP_BIAS RC_RECORD_ARGUMENTS
#define RC_STEP_SIZES (RC_RECORD_ARGUMENTS + 1u)

/* Words of a kernel's step, 0 for an unknown one. */
uint32_t rc_step_words(uint32_t kernel);

void rc_step_conv(const uint32_t *step, rc_conv *conv);
void rc_step_pool(const uint32_t *step, rc_pool *pool);
void rc_step_pad(const uint32_t *step, rc_pad_sizes *sizes);

/* The float32 values of a packed tensor at an offset of the image; NULL for offset 0. */
const float *rc_step_floats(const uint8_t *image, uint32_t offset);

#endif
