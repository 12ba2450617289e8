/* rc_check_tensor.c - a packed tensor must fit its step, and its streams must hold what the step can use. */
#include "rc_check.h"
#include "rc_q_weights.h"

#define MOST_VALUE_BITS 16u
#define MOST_GAP_BITS 12u
#define MOST_CENTROIDS 4096u

/* A weight while it is checked. */
typedef struct tensor {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t at; /* bytes of it that were checked */
    uint32_t form;
    uint32_t value_bits, gap_bits;
    uint32_t n_elements;
    uint32_t n_symbols;  /* of the gap stream, or elements of a dense tensor */
    uint32_t gap_bytes;
    uint32_t n_floats;   /* of sparse float32 values */
    uint32_t limit;      /* integers are below it */
} tensor;

static int take(tensor *now, uint64_t n)
{
    if (n > now->size - now->at) {
        return 0;
    }
    now->at += (uint32_t)n;
    return 1;
}

/* T2: the forms of the image's kernels. */
static int known_form(uint32_t form, uint32_t elements)
{
    if (elements == RC_ELEMENTS_INT8) {
        switch (form) {
#define RC_CASE(name, value) case value:
            RC_Q_FORMS(RC_CASE)
#undef RC_CASE
            return form != 0u; /* bytes have no tensor */
        default: return 0;
        }
    }
    switch (form) {
#define RC_CASE(name, value) case value:
    RC_STREAM_FORMS(RC_CASE)
#undef RC_CASE
    case 0u: return 1;
    default: return 0;
    }
}

/* T2 to T5: the four bytes of the header. */
static int check_header(const tensor *now, uint32_t elements)
{
    const uint32_t form = now->form & ~RC_TENSOR_ESCAPE;
    const uint32_t kind = form & (RC_CODEBOOK | RC_LINEAR);

    if (!known_form(form, elements) || (now->form & (RC_TENSOR_ESCAPE | RC_CSR)) == RC_TENSOR_ESCAPE) {
        return 0;
    }
    if ((kind == 0u) != (now->value_bits == 0u) || now->value_bits > MOST_VALUE_BITS) {
        return 0;
    }
    if (((form & RC_CSR) == 0u) != (now->gap_bits == 0u) || now->gap_bits > MOST_GAP_BITS) {
        return 0;
    }
    if ((form & RC_JOINT) != 0u && now->gap_bits + now->value_bits > MOST_VALUE_BITS) {
        return 0;
    }
    return (now->bytes[3] & 15u) == 0u; /* one stream */
}

static int check_codebook(tensor *now)
{
    uint32_t count, bits = 1u;
    const uint8_t *const table = now->bytes + now->at;

    if (!take(now, 4u)) {
        return 0;
    }
    count = rc_load16(table);
    while (count > 1u << bits) {
        bits++;
    }
    now->limit = count;
    if (count < 1u || count > MOST_CENTROIDS || bits != now->value_bits || rc_load16(table + 2) != 0u) {
        return 0;
    }
    if ((now->form & RC_LINEAR) != 0u) { /* integers: a scale and a byte each, filled up to a multiple of 4 */
        return take(now, 4u + ((count + 3u) & ~3u));
    }
    return take(now, 4u * count);
}

static int check_linear(tensor *now, uint32_t rows)
{
    uint32_t count, n_points, i;
    const uint8_t *const table = now->bytes + now->at;

    if (!take(now, 4u)) {
        return 0;
    }
    n_points = rc_load32(table);
    count = n_points & ~RC_ONE_ZERO_POINT;
    if (n_points != count) {
        n_points = count > 1u ? 1u : 0u;
    }
    now->limit = 1u << now->value_bits;
    if (n_points == 0u || (count != 1u && count != rows) || !take(now, 4u * (uint64_t)count + 2u * (uint64_t)n_points)) {
        return 0;
    }
    for (i = 0u; i < n_points; i++) {
        if (rc_load16(table + 4u + 4u * (size_t)count + 2u * (size_t)i) >= now->limit) {
            return 0;
        }
    }
    return 1;
}

/* T6 to T8: counts and tables before the streams. */
static int check_values(tensor *now, uint32_t rows)
{
    if ((now->form & RC_CSR) != 0u) {
        const uint8_t *const counts = now->bytes + now->at;
        if (!take(now, 8u)) {
            return 0;
        }
        now->n_symbols = rc_load32(counts);
        now->gap_bytes = rc_load32(counts + 4);
    }
    if ((now->form & RC_CODEBOOK) != 0u) {
        return check_codebook(now);
    }
    if ((now->form & RC_LINEAR) != 0u) {
        return check_linear(now, rows);
    }
    now->n_floats = now->n_elements;
    if ((now->form & RC_CSR) != 0u) {
        const uint8_t *const count = now->bytes + now->at;
        if (!take(now, 4u)) {
            return 0;
        }
        now->n_floats = rc_load32(count);
    }
    return take(now, 4u * (uint64_t)now->n_floats);
}

/* T10 to T15: the codes of the streams. */
static rc_status check_codes(tensor *now, const rc_checked *image, const uint32_t *step)
{
    const uint32_t gap_width = now->gap_bits + ((now->form & RC_JOINT) != 0u ? now->value_bits : 0u);
    rc_status status;
    uint32_t used;

    if (((now->form & RC_HUFFMAN_GAPS) == 0u) != (step[RC_RECORD_GAP_TABLE] == 0u) ||
        ((now->form & RC_HUFFMAN_VALUES) == 0u) != (step[RC_RECORD_INTEGER_TABLE] == 0u)) {
        return RC_ERROR_CODE;
    }
    if ((now->form & RC_HUFFMAN_GAPS) != 0u) {
        status = rc_check_code(image, step[RC_RECORD_GAP_TABLE], now->bytes + now->at, now->size - now->at,
                               gap_width, &used);
        if (status != RC_OK) {
            return status;
        }
        now->at += used;
    }
    if ((now->form & RC_HUFFMAN_VALUES) != 0u) {
        status = rc_check_code(image, step[RC_RECORD_INTEGER_TABLE], now->bytes + now->at, now->size - now->at,
                               now->value_bits, &used);
        if (status != RC_OK) {
            return status;
        }
        now->at += used;
    }
    return RC_OK;
}

/* Read one symbol; 0 if it is no code or runs past the section. */
static int read_symbol(rc_reader *reader, int huffman, uint32_t n_bytes, uint64_t *n_bits, uint32_t *symbol)
{
    uint32_t length = reader->bits;

    if (huffman) {
        uint32_t entry = reader->table[reader->window & reader->mask];
        if ((entry & 15u) == 0u) {
            entry = rc_long_code(reader->symbols, entry, reader->window);
        }
        length = entry & 15u;
        *symbol = entry >> 4;
    } else {
        *symbol = reader->window & reader->mask;
    }
    *n_bits += length;
    if (length == 0u || *n_bits > 8u * (uint64_t)n_bytes) {
        return 0;
    }
    rc_reader_skip(reader, length);
    return 1;
}

/* T17 to T20: every gap stays inside the matrix, every joint integer below the limit. Gives the entries. */
static int walk_gaps(const tensor *now, const rc_weights *weights, uint32_t *n_entries)
{
    const int joint = (now->form & RC_JOINT) != 0u;
    const uint32_t mask = (1u << now->gap_bits) - 1u;
    uint32_t position = 0u, i, symbol;
    uint64_t n_bits = 0u;
    rc_reader reader;

    *n_entries = 0u;
    rc_reader_open(&reader, &weights->gaps);
    for (i = 0u; i < now->n_symbols; i++) {
        uint32_t gap;
        if (!read_symbol(&reader, (now->form & RC_HUFFMAN_GAPS) != 0u, now->gap_bytes, &n_bits, &symbol)) {
            return 0;
        }
        gap = symbol & mask;
        if (gap > now->n_elements - position) {
            return 0;
        }
        position += gap;
        if (gap == weights->escape) {
            if (symbol != gap) {
                return 0;
            }
            continue;
        }
        if (position == now->n_elements || (joint && symbol >> now->gap_bits >= now->limit)) {
            return 0;
        }
        position++;
        (*n_entries)++;
    }
    return (n_bits + 7u) / 8u == now->gap_bytes;
}

/* T17, T20: every integer is below the limit. */
static int walk_integers(const tensor *now, const rc_weights *weights, uint32_t n_bytes, uint32_t n)
{
    uint32_t i, symbol;
    uint64_t n_bits = 0u;
    rc_reader reader;

    rc_reader_open(&reader, &weights->integers);
    for (i = 0u; i < n; i++) {
        if (!read_symbol(&reader, (now->form & RC_HUFFMAN_VALUES) != 0u, n_bytes, &n_bits, &symbol) ||
            symbol >= now->limit) {
            return 0;
        }
    }
    return (n_bits + 7u) / 8u == n_bytes;
}

static rc_status check_streams(tensor *now, const rc_checked *image, const uint32_t *step)
{
    uint32_t n_entries = now->n_elements;
    rc_weights weights;

    if (step[RC_RECORD_STREAM] != step[RC_RECORD_TENSOR] + now->at) { /* T16 */
        return RC_ERROR_TENSOR;
    }
    rc_record_weights(image->bytes, step, now->n_elements, &weights);
    if ((now->form & RC_CSR) != 0u) {
        if (!take(now, now->gap_bytes) || !walk_gaps(now, &weights, &n_entries)) {
            return RC_ERROR_STREAM;
        }
    }
    if ((now->form & (RC_CODEBOOK | RC_LINEAR)) == 0u) {
        return n_entries == now->n_floats && now->at == now->size ? RC_OK : RC_ERROR_STREAM; /* T9 */
    }
    if ((now->form & RC_JOINT) != 0u) {
        return now->at == now->size ? RC_OK : RC_ERROR_STREAM;
    }
    return walk_integers(now, &weights, now->size - now->at, n_entries) ? RC_OK : RC_ERROR_STREAM;
}

rc_status rc_check_weight(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns)
{
    const uint32_t offset = step[RC_RECORD_TENSOR], size = step[RC_RECORD_BYTES];
    rc_status status;
    tensor now;

    now.n_elements = rc_product(rows, columns);
    if (now.n_elements == 0u || size < RC_TENSOR_HEADER || /* T1 */
        !rc_inside(image, offset, (uint64_t)size + RC_STREAM_SLACK)) {
        return RC_ERROR_TENSOR;
    }
    now.bytes = image->bytes + offset;
    now.size = size;
    now.at = RC_TENSOR_HEADER;
    now.form = now.bytes[0];
    now.value_bits = now.bytes[1];
    now.gap_bits = now.bytes[2];
    now.n_symbols = now.n_elements;
    now.gap_bytes = 0u;
    now.n_floats = 0u;
    now.limit = 0u;
    if (!check_header(&now, image->elements) || !check_values(&now, rows)) {
        return RC_ERROR_TENSOR;
    }
    status = check_codes(&now, image, step);
    return status == RC_OK ? check_streams(&now, image, step) : status;
}
