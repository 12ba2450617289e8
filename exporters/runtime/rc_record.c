/* rc_record.c - from the words of a flash image to the weights that kernels of both kinds stream. */
#include "rc_record.h"

rc_status rc_record_open(const void *image, uint32_t elements)
{
    const uint32_t *const header = (const uint32_t *)image;

    if (image == NULL) {
        return RC_ERROR_NULL;
    }
    if (((uintptr_t)image & 3u) != 0u) {
        return RC_ERROR_ALIGNMENT;
    }
    if (header[RC_HEADER_MAGIC] != RC_IMAGE_MAGIC) {
        return RC_ERROR_MAGIC;
    }
    if (header[RC_HEADER_VERSION] != RC_IMAGE_VERSION) {
        return RC_ERROR_VERSION;
    }
    return header[RC_HEADER_ELEMENTS] == elements ? RC_OK : RC_ERROR_ELEMENTS;
}

void rc_record_table(const uint8_t *image, uint32_t offset, rc_symbols *symbols)
{
    const uint16_t *const section = (const uint16_t *)(const void *)(image + offset);
    const uint32_t bits = section[0];

    symbols->table = section + RC_TABLE_ENTRIES;
    symbols->counts = section[1] != 0u ? section + RC_TABLE_COUNTS : NULL;
    symbols->symbols = symbols->table + ((size_t)1 << bits);
    symbols->mask = (uint16_t)((1u << bits) - 1u);
    symbols->bits = (uint8_t)bits;
}

static void place_symbols(const uint8_t *image, const uint8_t *bytes, uint32_t width, uint32_t table,
                          rc_symbols *symbols)
{
    symbols->bytes = bytes;
    if (table != 0u) {
        rc_record_table(image, table, symbols);
        return;
    }
    symbols->table = NULL;
    symbols->counts = NULL;
    symbols->symbols = NULL;
    symbols->mask = (uint16_t)((1u << width) - 1u);
    symbols->bits = (uint8_t)width;
}

/* What a tensor holds before its values: counts, and of linear ones the zero points behind. */
static const uint8_t *place_values(const uint8_t *values, uint32_t form, rc_weights *weights)
{
    const uint32_t kind = form & (RC_CODEBOOK | RC_LINEAR);

    weights->per_row = RC_PER_ROW_NOTHING;
    weights->zero_points = NULL;
    if (kind == RC_LINEAR) {
        const uint32_t word = rc_load32(values), n_scales = word & ~RC_ONE_ZERO_POINT;
        if (n_scales > 1u) {
            weights->per_row = word == n_scales ? RC_PER_ROW_SCALE_AND_ZERO_POINT : RC_PER_ROW_SCALE;
        }
        weights->zero_points = (const uint16_t *)(const void *)(values + 4u + 4u * (size_t)n_scales);
        return values + 4;
    }
    if (kind == (RC_CODEBOOK | RC_LINEAR)) {
        return values + 8; /* the scale, which no kernel reads */
    }
    return (form & (RC_CODEBOOK | RC_CSR)) != 0u ? values + 4 : values;
}

void rc_record_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_weights *weights)
{
    const uint8_t *const tensor = image + step[RC_RECORD_TENSOR];
    const uint8_t *values = tensor + RC_TENSOR_HEADER;
    const uint8_t *stream = image + step[RC_RECORD_STREAM];
    const uint32_t form = tensor[0];

    weights->n_entries = n_elements;
    weights->gap_bits = tensor[2];
    weights->escape = RC_NO_ESCAPE;
    if ((form & RC_TENSOR_ESCAPE) != 0u) {
        weights->escape = (uint16_t)((1u << tensor[2]) - 1u);
    }
    if ((form & RC_CSR) != 0u) {
        const uint32_t width = tensor[2] + ((form & RC_JOINT) != 0u ? (uint32_t)tensor[1] : 0u);
        weights->n_entries = rc_load32(values);
        place_symbols(image, stream, width, step[RC_RECORD_GAP_TABLE], &weights->gaps);
        stream += rc_load32(values + 4);
        values += 8;
    }
    if ((form & (RC_CODEBOOK | RC_LINEAR)) != 0u && (form & RC_JOINT) == 0u) {
        place_symbols(image, stream, tensor[1], step[RC_RECORD_INTEGER_TABLE], &weights->integers);
    }
    weights->values = (const float *)(const void *)place_values(values, form, weights);
}
