/* rc_conv_transpose.h - transposed convolutions, channels last: each input adds to the outputs of its taps. */
#ifndef RC_CONV_TRANSPOSE_H
#define RC_CONV_TRANSPOSE_H

#include "rc_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A weight's row is an output channel of a group, its column (kh, kw, input channel of all groups). */
typedef struct rc_conv_transpose {
    const rc_weights *weights;
    const RC_FLASH float *bias; /* one for each output channel, or NULL */
    uint32_t in_h, in_w, in_channels;
    uint32_t out_h, out_w, out_channels;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_top, pad_left; /* lines and columns that are cropped */
    uint32_t dilation_h, dilation_w;
    uint32_t group;
} rc_conv_transpose;

/* Each output is its bias, then + w * x for every stored w of its row in increasing (kh, kw, channel) whose tap meets
 * it. Each weight is decoded once and applied to the whole plane; y must not overlap x. */
#define RC_DECLARE(name, form) \
    void rc_conv_transpose_##name(const rc_conv_transpose *conv, const float *x, float *y);
RC_DECLARE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
