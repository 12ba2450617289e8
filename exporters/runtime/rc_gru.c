/* rc_gru.c - GRU, with the reset gate after or before the product with the state. */
#include "rc_recurrent.h"

/* state = z * state + (1 - z) * g */
static void blend(float *state, const float *update, const float *candidate, uint32_t units)
{
    uint32_t i;

    for (i = 0u; i < units; i++) {
        const float kept = update[i] * state[i];
        const float rest = 1.0f - update[i];
        const float added = rest * candidate[i];
        state[i] = kept + added;
    }
}

static void cell_reset_after(const rc_recurrent *layer, const float *x, float *states, float *sums)
{
    const uint32_t units = layer->state.columns;
    float *const reset = sums + units, *const candidate = sums + 2u * units, *const of_state = sums + 3u * units;
    uint32_t i;

    layer->multiply_input(&layer->input, x, sums);
    layer->multiply_state(&layer->state, states, of_state);
    for (i = 0u; i < 2u * units; i++) {
        sums[i] = sums[i] + of_state[i];
    }
    rc_apply(layer->gate, sums, sums, 2u * units);
    for (i = 0u; i < units; i++) {
        const float product = reset[i] * of_state[2u * units + i];
        candidate[i] = candidate[i] + product;
    }
    rc_apply(layer->activation, candidate, candidate, units);
    blend(states, sums, candidate, units);
}

static void cell_reset_before(const rc_recurrent *layer, const float *x, float *states, float *sums)
{
    const uint32_t units = layer->state.columns;
    float *const reset = sums + units, *const candidate = sums + 2u * units;
    uint32_t i;

    layer->multiply_input(&layer->input, x, sums);
    layer->multiply_state(&layer->state, states, sums);
    rc_apply(layer->gate, sums, sums, 2u * units);
    for (i = 0u; i < units; i++) {
        reset[i] = reset[i] * states[i];
    }
    layer->multiply_candidate(&layer->candidate, reset, candidate);
    rc_apply(layer->activation, candidate, candidate, units);
    blend(states, sums, candidate, units);
}

void rc_gru_reset_after(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
                        float *scratch)
{
    const uint32_t units = layer->state.columns;

    rc_put(scratch, state, units);
    rc_unroll(layer, cell_reset_after, x, mask, scratch, scratch + units, y);
}

void rc_gru_reset_before(const rc_recurrent *layer, const float *x, const float *mask, const float *state, float *y,
                         float *scratch)
{
    const uint32_t units = layer->state.columns;

    rc_put(scratch, state, units);
    rc_unroll(layer, cell_reset_before, x, mask, scratch, scratch + units, y);
}
