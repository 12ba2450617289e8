/* rc_q_conv.h - convolutions of int8 networks, channels last; padding stands for the zero point of the input. */
#ifndef RC_Q_CONV_H
#define RC_Q_CONV_H

#include "rc_q_entries.h"
#include "rc_q_pool.h"
#include "rc_q_rows.h"
#include "rc_q_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_q_window {
    uint32_t in_h, in_w, in_channels;
    uint32_t out_h, out_w, out_channels;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_top, pad_left;
    uint32_t dilation_h, dilation_w;
    uint32_t group;
} rc_q_window;

/* Of dense int8 weights. Depthwise, they stand in the order (kh, kw, channel), and there are as many outputs as inputs;
 * otherwise one group, not dilated. */
typedef struct rc_q_conv {
    rc_q_rows rows;
    rc_q_window window;
} rc_q_conv;

/* Pixel by pixel, two at a time; `columns` is scratch of twice as many int16 as there are columns, rounded up to four. */
void rc_q_conv_pixels(const rc_q_conv *conv, const int8_t *x, int8_t *y, void *columns);
/* The same where a window is one pixel: `n` pixels. */
void rc_q_conv_points(const rc_q_rows *rows, const int8_t *x, int8_t *y, uint32_t n, void *columns);
void rc_q_conv_depthwise(const rc_q_conv *conv, const int8_t *x, int8_t *y);

typedef struct rc_q_conv_stream {
    const rc_q_weights *weights; /* of the kernels for entries: NULL */
    const rc_q_entries *entries;
    rc_q_scale scale;
    int32_t in_zero_point;
    const rc_q_pool *pool; /* MaxPool behind it, which makes y then; NULL: none */
    rc_q_window window;
} rc_q_conv_stream;

/* Any convolution. Each weight is decoded once and applied to the whole plane of an output channel; `sums` is scratch of
 * as many int32 as that has pixels. A MaxPool takes the largest sums (no shift may be below -1, so that larger sums never
 * give smaller outputs), and what it takes them from is never stored. */
#define RC_DECLARE(name, form) \
    void rc_q_conv_##name(const rc_q_conv_stream *conv, const int8_t *x, int8_t *y, void *sums);
RC_Q_FORMS(RC_DECLARE)
RC_Q_ENTRY_FORMS(RC_DECLARE)
#undef RC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
