/* rc_strips.h - layers that run row by row: of the planes between them only the rows still needed are kept.
 *
 * A layer makes its next row as soon as the rows under it are there, later layers first, so nothing is computed twice and
 * little waits. Which rows must be kept at most, and so the memory, the exporter finds by playing the same order. */
#ifndef RC_STRIPS_H
#define RC_STRIPS_H

#include "rc_config.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RC_STRIPS_INPUT 0xFFFFu

typedef struct rc_strip_layer {
    const void *descriptor;           /* that its kernel takes, if it takes one */
    uint32_t out_row;                 /* bytes of a row of the output */
    uint32_t at;                      /* byte of the memory where the rows kept of its output lie */
    uint16_t kept;                    /* how many */
    uint16_t in_h, out_h;             /* rows of the planes */
    uint16_t kernel_h, stride_h, pad_top; /* the window; kernel_h with its dilation */
    uint16_t from, other;             /* layers that make its inputs, the same twice if it is one; or RC_STRIPS_INPUT */
} rc_strip_layer;

typedef struct rc_strip_state {
    uint32_t first, made; /* rows that are kept: from `first`, up to those made */
} rc_strip_state;

typedef struct rc_strips {
    const rc_strip_layer *layers;
    uint32_t n_layers;
    const uint8_t *input;
    uint32_t in_row; /* bytes of a row of it */
    uint8_t *output; /* of the last layer, all of it */
    uint8_t *memory;
    rc_strip_state *state;
    /* the row to make */
    uint32_t layer;
    const void *descriptor;
    const void *x, *other; /* first of the rows under it, of both inputs */
    void *y;
    uint32_t in_h, pad_top; /* rows from x on, and rows of the window above them */
} rc_strips;

/* `in_row` is the bytes of a row of the input; `memory` begins with a state for each layer. */
void rc_strips_open(rc_strips *strips, const rc_strip_layer *layers, uint32_t n_layers, const void *input,
                    uint32_t in_row, void *output, void *memory);

/* Find the next row to make; 0 if the last layer's output is complete. */
uint32_t rc_strips_next(rc_strips *strips);

#ifdef __cplusplus
}
#endif

#endif
