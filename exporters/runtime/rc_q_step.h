/* rc_q_step.h - the steps of int8 flash images (exporters/blob/SPEC.md) as the descriptors of the kernels. */
#ifndef RC_Q_STEP_H
#define RC_Q_STEP_H

#include "rc_q_activation.h"
#include "rc_q_conv.h"
#include "rc_q_gemm.h"
#include "rc_q_merge.h"
#include "rc_q_pool.h"
#include "rc_record.h"

/* Kernels: the low half of a step's first word; the high half counts its words. */
#define RC_Q_STEP_GEMM 33u
#define RC_Q_STEP_GEMM_STREAM 34u
#define RC_Q_STEP_CONV_PIXELS 35u
#define RC_Q_STEP_CONV_POINTS 36u
#define RC_Q_STEP_CONV_DEPTHWISE 37u
#define RC_Q_STEP_CONV_STREAM 38u
#define RC_Q_STEP_CONV_POOL 39u
#define RC_Q_STEP_MAX_POOL 40u
#define RC_Q_STEP_AVERAGE_POOL 41u
#define RC_Q_STEP_GLOBAL_MEAN 42u
#define RC_Q_STEP_TABLE 43u
#define RC_Q_STEP_CLAMP 44u
#define RC_Q_STEP_SOFTMAX 45u
#define RC_Q_STEP_ADD 46u
#define RC_Q_STEP_CONCAT 47u
#define RC_Q_STEP_PAD 48u
#define RC_Q_STEP_COPY 49u

/* Words of a step of bytes: offsets of weights, bias, factors, shifts; sizes; both zero points; scratch. */
#define RC_Q_ROWS_WEIGHTS RC_STEP_ARGUMENTS
#define RC_Q_ROWS_SCALE (RC_STEP_ARGUMENTS + 1u)
#define RC_Q_ROWS_SIZES (RC_STEP_ARGUMENTS + 4u)

/* Words of a step that streams a weight, behind it: offsets of bias, factors, shifts; sizes; zero points; scratch. */
#define RC_Q_STREAM_SCALE RC_RECORD_ARGUMENTS
#define RC_Q_STREAM_SIZES (RC_RECORD_ARGUMENTS + 3u)

#define RC_Q_WINDOW_SIZES 15u
#define RC_Q_POOL_SIZES 11u

/* Words of a kernel's step, 0 for an unknown one. */
uint32_t rc_q_step_words(uint32_t kernel);

/* Signed words. */
RC_INLINE int32_t rc_q_signed(uint32_t word)
{
    return (int32_t)word;
}

void rc_q_step_scale(const uint8_t *image, const uint32_t *offsets, uint32_t zero_point, rc_q_scale *scale);
/* Where the weight's stream is at offset 0, its tensor is a byte for each integer. */
void rc_q_step_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_q_weights *weights);
void rc_q_step_window(const uint32_t *sizes, rc_q_window *window);
void rc_q_step_pool(const uint32_t *sizes, rc_q_pool *pool);

/* A kernel of bytes: its units, columns and the word of its zero points. */
typedef struct rc_q_shape {
    uint32_t rows, columns;
    const uint32_t *zero_points;
} rc_q_shape;

/* The products of its sizes must be checked. */
void rc_q_step_shape(const uint32_t *step, rc_q_shape *shape);

#endif
