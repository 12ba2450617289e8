/* rc_lstm.c - LSTM. */
#include "rc_recurrent.h"

static void lstm_cell(const rc_recurrent *layer, const float *x, float *states, float *sums)
{
    const uint32_t units = layer->state.columns;
    float *const cell = states + units;
    const float *const input = sums, *const forget = sums + units, *const output = sums + 3u * units;
    float *const candidate = sums + 2u * units;
    uint32_t i;

    layer->multiply_input(&layer->input, x, sums);
    layer->multiply_state(&layer->state, states, sums);
    rc_apply(layer->gate, sums, sums, 2u * units);
    rc_apply(layer->activation, candidate, candidate, units);
    rc_apply(layer->gate, output, sums + 3u * units, units);
    for (i = 0u; i < units; i++) {
        const float kept = forget[i] * cell[i];
        const float added = input[i] * candidate[i];
        cell[i] = kept + added;
    }
    rc_apply(layer->activation, cell, candidate, units);
    for (i = 0u; i < units; i++) {
        states[i] = output[i] * candidate[i];
    }
}

void rc_lstm(const rc_recurrent *layer, const float *x, const float *mask, const float *state, const float *cell,
             float *y, float *scratch)
{
    const uint32_t units = layer->state.columns;

    rc_put(scratch, state, units);
    rc_put(scratch + units, cell, units);
    rc_unroll(layer, lstm_cell, x, mask, scratch, scratch + 2u * units, y);
}
