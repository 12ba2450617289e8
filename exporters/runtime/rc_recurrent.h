/* rc_recurrent.h - recurrent layers: a cell run step by step, its weights decoded once in each.
 *
 * Weights are those of fully connected layers, in any of their forms: rows are the units of all gates, gate after gate. */
#ifndef RC_RECURRENT_H
#define RC_RECURRENT_H

#include "rc_gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*rc_product)(const rc_gemm *gemm, const float *x, float *y);
typedef void (*rc_function)(const float *x, float *y, uint32_t n);

/* What the output is. */
#define RC_OUTPUT_SEQUENCE 0u /* of every step */
#define RC_OUTPUT_LAST 1u     /* of the last step */
#define RC_OUTPUT_STATE 2u    /* the state after it, from which the output differs where steps are masked */
#define RC_OUTPUT_CELL 3u     /* the cell of an LSTM after it */

typedef struct rc_recurrent {
    rc_gemm input;     /* of x; its columns are the channels */
    rc_gemm state;     /* of the state, whose bias only rc_gru_reset_after takes; its columns are the units */
    rc_gemm candidate; /* rc_gru_reset_before: the last gate of the state's, for the product with the reset gate */
    rc_product multiply_input;
    rc_product multiply_state;     /* adds to its y (rc_gemm_add_FORM), except in rc_gru_reset_after */
    rc_product multiply_candidate; /* adds to its y */
    rc_function activation;        /* NULL is the identity */
    rc_function gate;
    uint32_t steps;
    uint32_t output;
    uint32_t reverse;     /* 1: from the last step to the first; outputs stand in the order of processing */
    uint32_t zero_masked; /* 1: the output of a masked step is 0; 0: it is the one before, 0 at first */
} rc_recurrent;

/* x is (steps, channels). A step is left out where the mask is not above 1/2; NULL computes all. The states at the
 * start are 0 where they are NULL. y must not overlap what is read; the scratch memory is, in units,
 * LSTM 6, GRU 7 (reset after the product) or 4 (before it), RNN 2 long. */

/* Gates i, f, g, o: cell = f * cell + i * g, output o * act(cell). */
void rc_lstm(const rc_recurrent *layer, const float *x, const float *mask, const float *state, const float *cell,
             float *y, float *scratch);
/* Gates z, r, g: z * state + (1 - z) * g, with g = act(Wx + b + r * (U state + c)) or act(Wx + b + U (r * state)). */
void rc_gru_reset_after(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
                        float *scratch);
void rc_gru_reset_before(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
                         float *scratch);
/* act(Wx + b + U state) */
void rc_rnn(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
            float *scratch);

/* What the cells are made of. */

/* One step: x to the new states, which stand one after the other; the sums are the rest of the scratch memory. */
typedef void (*rc_cell)(const rc_recurrent *layer, const float *x, float *states, float *sums);

void rc_unroll(const rc_recurrent *layer, rc_cell cell, const float *x, const float *mask, float *states, float *sums,
               float *y);
/* Copy n elements, or zeros if there is nothing to copy. */
void rc_put(float *to, const float *from, uint32_t n);
void rc_apply(rc_function function, const float *x, float *y, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
