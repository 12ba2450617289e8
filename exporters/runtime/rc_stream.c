/* rc_stream.c - canonical Huffman codes longer than the decode table. */
#include "rc_stream.h"

/* A code read as a number, first bit on top: those of one length are consecutive numbers, so the number less the
 * first of them is the symbol's place among the symbols of that length. */
uint32_t rc_long_code(const rc_symbols *symbols, uint32_t entry, uint32_t window)
{
    const RC_FLASH uint16_t *const counts = symbols->counts;
    const RC_FLASH uint16_t *place = symbols->symbols;
    uint32_t code = entry >> 4, length = symbols->bits, first;

    if (counts == RC_NO_TABLE) {
        return 0u;
    }
    first = counts[0];
    window >>= length;
    while (length < RC_MAX_CODE_BITS) {
        uint32_t count;
        count = counts[++length];
        code = code << 1 | (window & 1u);
        window >>= 1;
        if (code - first < count) {
            return (uint32_t)place[code - first] << 4 | length;
        }
        place += count;
        first = (first + count) << 1;
    }
    return 0u;
}
