/* rc_strips.c - which row of which layer is made next, and where its rows lie. */
#include "rc_strips.h"

#include <string.h>

#define BLOCK_BYTES 16u

static uint32_t first_under(const rc_strip_layer *layer, uint32_t row)
{
    const uint32_t at = row * layer->stride_h;
    return at > layer->pad_top ? at - layer->pad_top : 0u;
}

static uint32_t end_under(const rc_strip_layer *layer, uint32_t row)
{
    const uint32_t end = row * layer->stride_h + layer->kernel_h - layer->pad_top;
    return end < layer->in_h ? end : layer->in_h;
}

static uint32_t is_made(const rc_strips *strips, uint32_t from, uint32_t end)
{
    return from == RC_STRIPS_INPUT || strips->state[from].made >= end ? 1u : 0u;
}

static uint32_t is_ready(const rc_strips *strips, uint32_t index)
{
    const rc_strip_layer *const layer = &strips->layers[index];
    const uint32_t row = strips->state[index].made;
    uint32_t end;

    if (row == layer->out_h) {
        return 0u;
    }
    end = end_under(layer, row);
    return is_made(strips, layer->from, end) & is_made(strips, layer->other, end);
}

/* First row of a layer's output that a later one still reads. */
static uint32_t first_needed(const rc_strips *strips, uint32_t index)
{
    uint32_t i, least = strips->state[index].made;

    for (i = index + 1u; i < strips->n_layers; i++) {
        const rc_strip_layer *const reader = &strips->layers[i];
        if ((reader->from == index || reader->other == index) && strips->state[i].made != reader->out_h) {
            const uint32_t first = first_under(reader, strips->state[i].made);
            least = first < least ? first : least;
        }
    }
    return least;
}

/* To lower addresses. */
static void move_down(uint8_t *to, const uint8_t *from, uint32_t n)
{
    uint8_t block[BLOCK_BYTES];

    for (; n >= BLOCK_BYTES; n -= BLOCK_BYTES, to += BLOCK_BYTES, from += BLOCK_BYTES) {
        memcpy(block, from, BLOCK_BYTES);
        memcpy(to, block, BLOCK_BYTES);
    }
    for (; n != 0u; n--) {
        *to++ = *from++;
    }
}

/* Where the next row of a layer goes; rows that nobody needs make room for it. */
static uint8_t *next_row(const rc_strips *strips, uint32_t index)
{
    const rc_strip_layer *const layer = &strips->layers[index];
    rc_strip_state *const state = &strips->state[index];
    uint8_t *rows = strips->memory + layer->at;

    if (index == strips->n_layers - 1u) {
        rows = strips->output;
    } else if (state->made - state->first == layer->kept) {
        const uint32_t first = first_needed(strips, index);
        move_down(rows, rows + (first - state->first) * layer->out_row, (state->made - first) * layer->out_row);
        state->first = first;
    }
    return rows + (state->made - state->first) * layer->out_row;
}

static const uint8_t *row_of(const rc_strips *strips, uint32_t from, uint32_t row)
{
    const rc_strip_layer *source;

    if (from == RC_STRIPS_INPUT) {
        return strips->input + row * strips->in_row;
    }
    source = &strips->layers[from];
    return strips->memory + source->at + (row - strips->state[from].first) * source->out_row;
}

void rc_strips_open(rc_strips *strips, const rc_strip_layer *layers, uint32_t n_layers, const void *input,
                    uint32_t in_row, void *output, void *memory)
{
    uint32_t i;

    strips->layers = layers;
    strips->n_layers = n_layers;
    strips->input = (const uint8_t *)input;
    strips->in_row = in_row;
    strips->output = (uint8_t *)output;
    strips->memory = (uint8_t *)memory;
    strips->state = (rc_strip_state *)memory;
    for (i = 0u; i < n_layers; i++) {
        strips->state[i].first = 0u;
        strips->state[i].made = 0u;
    }
}

uint32_t rc_strips_next(rc_strips *strips)
{
    const rc_strip_layer *layer = &strips->layers[strips->n_layers - 1u];
    uint32_t i = strips->n_layers, row, first;

    if (strips->state[i - 1u].made == layer->out_h) {
        return 0u;
    }
    do {
        i--;
    } while (is_ready(strips, i) == 0u); /* the first layer with rows left is ready */
    layer = &strips->layers[i];
    row = strips->state[i].made;
    first = first_under(layer, row);
    strips->layer = i;
    strips->descriptor = layer->descriptor;
    strips->x = row_of(strips, layer->from, first);
    strips->other = row_of(strips, layer->other, first);
    strips->y = next_row(strips, i);
    strips->in_h = end_under(layer, row) - first;
    strips->pad_top = first + layer->pad_top - row * layer->stride_h;
    strips->state[i].made = row + 1u;
    return 1u;
}
