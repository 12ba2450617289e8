/* rc_recurrent.c - the loop over time, with masks, and RNN. */
#include "rc_recurrent.h"

void rc_put(float *to, const float *from, uint32_t n)
{
    uint32_t i;

    for (i = 0u; i < n; i++) {
        to[i] = from != NULL ? from[i] : 0.0f;
    }
}

void rc_apply(rc_function function, const float *x, float *y, uint32_t n)
{
    if (function != NULL) {
        function(x, y, n);
    } else if (x != y) {
        rc_put(y, x, n);
    }
}

void rc_unroll(const rc_recurrent *layer, rc_cell cell, const float *x, const float *mask, float *states, float *sums,
               float *y)
{
    const uint32_t steps = layer->steps, units = layer->state.columns;
    uint32_t step, started = 0u, shown = 0u;

    for (step = 0u; step < steps; step++) {
        const uint32_t at = layer->reverse != 0u ? steps - 1u - step : step;
        const uint32_t present = mask == NULL || mask[at] > 0.5f ? 1u : 0u;
        if (present != 0u) {
            cell(layer, x + at * layer->input.columns, states, sums);
            started = 1u;
        }
        shown = layer->zero_masked != 0u ? present : started;
        if (layer->output == RC_OUTPUT_SEQUENCE) {
            rc_put(y, shown != 0u ? states : NULL, units);
            y += units;
        }
    }
    if (layer->output == RC_OUTPUT_LAST) {
        rc_put(y, shown != 0u ? states : NULL, units);
    } else if (layer->output == RC_OUTPUT_STATE) {
        rc_put(y, states, units);
    } else if (layer->output == RC_OUTPUT_CELL) {
        rc_put(y, states + units, units);
    }
}

static void rnn_cell(const rc_recurrent *layer, const float *x, float *states, float *sums)
{
    layer->multiply_input(&layer->input, x, sums);
    layer->multiply_state(&layer->state, states, sums);
    rc_apply(layer->activation, sums, states, layer->state.columns);
}

void rc_rnn(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
            float *scratch)
{
    const uint32_t units = layer->state.columns;

    rc_put(scratch, state, units);
    rc_unroll(layer, rnn_cell, x, mask, scratch, scratch + units, y);
}
