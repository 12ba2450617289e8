/* rc_stream.c - canonical Huffman codes longer than the decode table. */
#include "rc_stream.h"

/* A code read as a number, first bit on top: those of one length are consecutive numbers, so the number less the
 * first of them is the symbol's place among the symbols of that length. */
uint32_t rc_long_code(const rc_symbols *symbols, uint32_t window)
{
    uint32_t code = 0u, first = 0u, index = 0u, in_table = 0u, length;

    if (symbols->counts == NULL) {
        return 0u;
    }
    for (length = 1u; length <= RC_MAX_CODE_BITS; length++) {
        const uint32_t count = symbols->counts[length];
        code |= window & 1u;
        window >>= 1;
        if (length <= symbols->bits) {
            in_table += count;
        } else if (code - first < count) {
            return (uint32_t)symbols->symbols[index + (code - first) - in_table] << 4 | length;
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return 0u;
}
