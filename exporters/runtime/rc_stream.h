/* rc_stream.h - bit streams read in place: least significant bit first, refilled by 16 bits.
 *
 * A stream of unsigned integers has a fixed width, or a canonical Huffman code. A reader may load up to
 * RC_STREAM_SLACK bytes past the last one of the stream; what they hold does not matter. */
#ifndef RC_STREAM_H
#define RC_STREAM_H

#include "rc_config.h"

#if defined(__AVR__)
#include <avr/pgmspace.h>
#endif

#define RC_STREAM_SLACK 4u
#define RC_MAX_CODE_BITS 15u

/* How the integers of a stream are stored, and where. */
typedef struct rc_symbols {
    const RC_FLASH uint8_t *bytes;
    const RC_FLASH uint16_t *table;   /* for each pattern of `bits` bits: symbol << 4 | length of its code, or of a
                                       * longer code its first bits as a number << 4 */
    const RC_FLASH uint16_t *counts;  /* codes of each length 1..15, and in place of length 0 the first code that is
                                       * one bit longer than `bits`; NULL if none is longer */
    const RC_FLASH uint16_t *symbols; /* symbols of the codes longer than `bits`, shorter codes first */
    uint16_t mask;                    /* 2^bits - 1 */
    uint8_t bits;                     /* width of the integers, or of an index into the table */
} rc_symbols;

/* Where a reader stands. The window always holds at least 16 bits that are not read yet. The constants of the
 * stream are copied here, so that a compiler knows that no store to a result changes them. */
typedef struct rc_reader {
    const RC_FLASH uint8_t *next;
    uint32_t window;
    int32_t spare; /* bits in the window, less 16 */
    uint32_t mask;
    uint32_t bits;
    const RC_FLASH uint16_t *table;
    const rc_symbols *symbols;
} rc_reader;

/* Entry (symbol << 4 | length) of a code longer than the table, whose entry there is given; 0 if it is none. */
uint32_t rc_long_code(const rc_symbols *symbols, uint32_t entry, uint32_t window);

/* Little-endian. Of loads from flash that belong together GCC 5 makes one from RAM, so that they are avr-libc's there. */
RC_INLINE uint32_t rc_load16(const RC_FLASH uint8_t *bytes)
{
#if defined(__AVR__)
    return pgm_read_word(bytes);
#else
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
#endif
}

RC_INLINE uint32_t rc_load32(const RC_FLASH uint8_t *bytes)
{
#if defined(__AVR__)
    return pgm_read_dword(bytes);
#else
    return rc_load16(bytes) | rc_load16(bytes + 2) << 16;
#endif
}

RC_INLINE void rc_reader_open(rc_reader *reader, const rc_symbols *symbols)
{
    reader->window = rc_load32(symbols->bytes);
    reader->next = symbols->bytes + 4;
    reader->spare = 16;
    reader->mask = symbols->mask;
    reader->bits = symbols->bits;
    reader->table = symbols->table;
    reader->symbols = symbols;
}

/* Move on by 0 to 16 bits. */
RC_INLINE void rc_reader_skip(rc_reader *reader, uint32_t n_bits)
{
    reader->window >>= n_bits;
    reader->spare -= (int32_t)n_bits;
    if (reader->spare < 0) {
        reader->spare += 16;
        reader->window |= rc_load16(reader->next) << (uint32_t)reader->spare;
        reader->next += 2;
    }
}

RC_INLINE uint32_t rc_read_fixed(rc_reader *reader)
{
    const uint32_t symbol = reader->window & reader->mask;
    rc_reader_skip(reader, reader->bits);
    return symbol;
}

RC_INLINE uint32_t rc_read_code(rc_reader *reader)
{
    uint32_t entry = reader->table[reader->window & reader->mask], length = entry & 15u;
    if (length == 0u) {
        entry = rc_long_code(reader->symbols, entry, reader->window);
        length = entry & 15u;
    }
    rc_reader_skip(reader, length);
    return entry >> 4;
}

#endif
