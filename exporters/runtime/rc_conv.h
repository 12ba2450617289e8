/* rc_conv.h - convolutions, channels last: grouped, depthwise, dilated, strided and padded. */
#ifndef RC_CONV_H
#define RC_CONV_H

#include "rc_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_conv {
    const rc_weights *weights;
    const RC_FLASH float *bias; /* one for each output channel, or NULL */
    uint32_t in_h, in_w, in_channels;
    uint32_t out_h, out_w, out_channels;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_top, pad_left;
    uint32_t dilation_h, dilation_w;
    uint32_t group;
} rc_conv;

/* Each output is its bias, then + w * x for every stored w of its row in increasing (kh, kw, channel); taps that
 * fall into the padding are skipped. y must not overlap x.
 *
 * The stream forms decode each weight once and apply it to the whole output plane, which is the accumulator. */
#define RC_DECLARE(name, form) void rc_conv_##name(const rc_conv *conv, const float *x, float *y);
RC_DECLARE(dense_float32, 0x00u)
RC_STREAM_FORMS(RC_DECLARE)
#undef RC_DECLARE

/* The same as rc_conv_dense_float32, pixel by pixel: faster unless there are few channels in a group. */
void rc_conv_pixels_float32(const rc_conv *conv, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
