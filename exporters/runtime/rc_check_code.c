/* rc_check_code.c - a decode table must be the one that follows from the code lengths of its tensor. */
#include "rc_check.h"

#define MOST_SYMBOLS 4096u
#define MOST_TABLE_BITS 12u

/* Code lengths as nibbles, low one first: 1 to 15, or 0 and the length less one of a run without code. */
typedef struct nibbles {
    const uint8_t *bytes;
    uint32_t end; /* in bytes */
    uint32_t at;  /* in nibbles */
    uint32_t run;  /* symbols of a run that are still to come */
    uint32_t over; /* 1 once the data ended early */
} nibbles;

static uint32_t take(nibbles *packed)
{
    uint32_t value;

    if (packed->at >> 1 >= packed->end) {
        packed->over = 1u;
        return 0u;
    }
    value = (uint32_t)packed->bytes[packed->at >> 1] >> (4u * (packed->at & 1u)) & 15u;
    packed->at++;
    return value;
}

/* Length of the next symbol's code. */
static uint32_t next_length(nibbles *packed)
{
    uint32_t length;

    if (packed->run != 0u) {
        packed->run--;
        return 0u;
    }
    length = take(packed);
    if (length == 0u) {
        packed->run = take(packed);
    }
    return length;
}

/* T10, T11: the lengths make a code; counts them. Gives the bytes they take. */
static rc_status count_lengths(nibbles packed, uint32_t n_symbols, uint16_t counts[16], uint32_t *used)
{
    uint32_t i, kraft = 0u, n_codes = 0u;

    for (i = 0u; i < 16u; i++) {
        counts[i] = 0u;
    }
    for (i = 0u; i < n_symbols; i++) {
        const uint32_t length = next_length(&packed);
        if (packed.over != 0u) {
            return RC_ERROR_CODE;
        }
        if (length != 0u) {
            counts[length]++;
            n_codes++;
            kraft += 1u << (RC_MAX_CODE_BITS - length);
        }
    }
    if (packed.run != 0u || ((packed.at & 1u) != 0u && take(&packed) != 0u)) {
        return RC_ERROR_CODE;
    }
    if (n_codes != 0u && kraft != 1u << RC_MAX_CODE_BITS && (n_codes != 1u || counts[1] != 1u)) {
        return RC_ERROR_CODE;
    }
    *used = packed.at >> 1;
    return RC_OK;
}

static uint32_t reversed(uint32_t code, uint32_t length)
{
    uint32_t result = 0u;

    for (; length != 0u; length--) {
        result = result << 1 | (code & 1u);
        code >>= 1;
    }
    return result;
}

/* T14: entries of one code, all of them. Gives how many there are; 0 if one is wrong. */
static uint32_t count_entries(const rc_symbols *table, uint32_t pattern, uint32_t length, uint32_t symbol)
{
    uint32_t found = 0u;

    for (; pattern <= table->mask; pattern += 1u << length) {
        if (table->table[pattern] != (symbol << 4 | length)) {
            return 0u;
        }
        found++;
    }
    return found;
}

/* T14: entries of no code hold the first bits of the long codes they begin; 0 where there are none. */
static int check_prefixes(const rc_symbols *table, uint32_t n_short, uint32_t n_long)
{
    uint32_t i, found = 0u;

    for (i = 0u; i <= table->mask; i++) {
        if ((table->table[i] & 15u) == 0u) {
            found++;
            if (table->table[i] != (n_long != 0u ? reversed(i, table->bits) << 4 : 0u)) {
                return 0;
            }
        }
    }
    return n_short + found == table->mask + 1u;
}

/* T13 to T15: short codes stand in the table, long ones in the list, and nothing else does. */
static rc_status compare_table(nibbles packed, uint32_t n_symbols, const uint16_t counts[16], uint32_t first_long,
                               uint32_t n_long, const rc_symbols *table)
{
    uint32_t first[17], place[16], i, filled = 0u, index = 0u;

    first[1] = 0u;
    for (i = 1u; i < 16u; i++) {
        first[i + 1u] = (first[i] + counts[i]) << 1;
        place[i] = index;
        index += i > table->bits ? counts[i] : 0u;
    }
    if (index != n_long || first_long != first[table->bits + 1u]) {
        return RC_ERROR_CODE;
    }
    for (i = 0u; i < n_symbols; i++) {
        const uint32_t length = next_length(&packed);
        if (length == 0u) {
            continue;
        }
        if (length <= table->bits) {
            const uint32_t found = count_entries(table, reversed(first[length], length), length, i);
            if (found == 0u) {
                return RC_ERROR_CODE;
            }
            filled += found;
        } else if (table->symbols[place[length]++] != i) {
            return RC_ERROR_CODE;
        }
        first[length]++;
    }
    return check_prefixes(table, filled, n_long) ? RC_OK : RC_ERROR_CODE;
}

rc_status rc_check_code(const rc_checked *image, uint32_t table, const uint8_t *packed, uint32_t available,
                        uint32_t width, uint32_t *used)
{
    uint16_t counts[16];
    const uint16_t *section;
    rc_symbols symbols;
    nibbles lengths;
    rc_status status;
    uint32_t n_symbols, i;

    if (available < 2u) {
        return RC_ERROR_CODE;
    }
    n_symbols = rc_load16(packed);
    if (n_symbols > MOST_SYMBOLS || n_symbols > 1u << width) { /* T10 */
        return RC_ERROR_CODE;
    }
    lengths.bytes = packed;
    lengths.end = available;
    lengths.at = 4u;
    lengths.run = 0u;
    lengths.over = 0u;
    status = count_lengths(lengths, n_symbols, counts, used);
    if (status != RC_OK) {
        return status;
    }
    if (!rc_inside(image, table, 2u * RC_TABLE_ENTRIES)) { /* T12 */
        return RC_ERROR_CODE;
    }
    section = (const uint16_t *)(const void *)(image->bytes + table);
    if (section[0] > MOST_TABLE_BITS ||
        !rc_inside(image, table, 2u * (RC_TABLE_ENTRIES + ((uint64_t)1 << section[0]) + section[1]))) { /* T13 */
        return RC_ERROR_CODE;
    }
    for (i = 1u; i < 16u; i++) {
        if (section[RC_TABLE_COUNTS + i] != counts[i]) { /* T13 */
            return RC_ERROR_CODE;
        }
    }
    rc_record_table(image->bytes, table, &symbols);
    return compare_table(lengths, n_symbols, counts, section[RC_TABLE_COUNTS], section[1], &symbols);
}
