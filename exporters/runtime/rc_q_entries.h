/* rc_q_entries.h - sparse integer weights, executed entry by entry where they lie.
 *
 * A weight is a matrix: a row is an output unit, a column an input (kh, kw, channel). An entry is an advance (1 and the
 * zeros before it) and a value; both stand together in one stream, row after row. What does not fit into an advance is
 * split, with escapes that have no value, or in pairs with entries of value 0. The last entry lies behind the last
 * row, so that the end of a row is all that a loop has to look for. */
#ifndef RC_Q_ENTRIES_H
#define RC_Q_ENTRIES_H

#include "rc_stream.h"

/* X(name, form) for every way to store entries. */
#define RC_Q_ENTRY_FORMS(X) \
    X(coded, RC_Q_CODED)    \
    X(mixed, RC_Q_MIXED)    \
    X(bytes, RC_Q_BYTES)    \
    X(pairs, RC_Q_PAIRS)

#define RC_Q_CODED 0u /* a Huffman code for the advance, one for the value: least significant bit first */
#define RC_Q_MIXED 1u /* a Huffman code for the advance, the 8 bits of the value */
#define RC_Q_BYTES 2u /* label of the value, and above its 4 bits the advance; 0: an escape by 15 and the label */
#define RC_Q_PAIRS 3u /* value, advance */
#define RC_Q_IS_CODED(form) ((form) <= RC_Q_MIXED)
#define RC_Q_ADVANCE_BITS(form) ((form) == RC_Q_BYTES ? 4u : 8u)

/* A code has at most 12 bits, so that both fit into a window of 25 bits; all of them stand in the tables, whose index is
 * a pattern of as many bits as the longest code has. RC_STREAM_SLACK bytes behind the stream may be read. */
typedef struct rc_q_entries {
    const RC_FLASH uint8_t *bytes;
    const RC_FLASH uint16_t *advances; /* coded, mixed: advance << 8 | length of the code, and RC_Q_ESCAPE */
    const RC_FLASH int16_t *values;    /* coded: value * 256 + length of the code */
    const RC_FLASH int8_t *centroids;  /* bytes: value of each label */
    uint16_t advance_mask, value_mask;
} rc_q_entries;

#define RC_Q_ESCAPE 0x8000u /* no value follows, but another advance, to which rc_q_escaped adds */

/* Where a reader stands; constants are copied, so that a compiler knows that no store to a result changes them. */
typedef struct rc_q_reader {
    const RC_FLASH uint8_t *bytes;
    const RC_FLASH uint16_t *advances;
    const RC_FLASH int16_t *values;
    const RC_FLASH int8_t *centroids;
    uint32_t advance_mask, value_mask;
    uint32_t position; /* coded, mixed: bits read */
    uint32_t window;   /* coded, mixed: bits behind the advance; else the entry */
} rc_q_reader;

RC_INLINE void rc_q_reader_open(rc_q_reader *reader, const rc_q_entries *entries)
{
    reader->bytes = entries->bytes;
    reader->advances = entries->advances;
    reader->values = entries->values;
    reader->centroids = entries->centroids;
    reader->advance_mask = entries->advance_mask;
    reader->value_mask = entries->value_mask;
    reader->position = 0u;
    reader->window = 0u;
}

/* Skip as many bits as the low byte of an entry of a table tells. */
RC_INLINE uint32_t rc_q_shift(uint32_t window, uint32_t entry)
{
#if defined(__arm__) && defined(__thumb2__) && defined(__GNUC__)
    __asm__("lsr %0, %1, %2" : "=r"(window) : "r"(window), "r"(entry)); /* takes no other bits of it */
    return window;
#else
    return window >> (entry & 31u);
#endif
}

/* The next advance, above RC_Q_ADVANCE_BITS other bits; perhaps an escape. */
RC_INLINE uint32_t rc_q_advance(rc_q_reader *reader, uint32_t form)
{
    uint32_t entry;

    if (form == RC_Q_BYTES) {
        reader->window = *reader->bytes++;
        return reader->window;
    }
    if (form == RC_Q_PAIRS) {
        reader->window = rc_load16(reader->bytes);
        reader->bytes += 2;
        return reader->window;
    }
    reader->window = rc_load32(reader->bytes + (reader->position >> 3)) >> (reader->position & 7u);
    entry = reader->advances[reader->window & reader->advance_mask];
    reader->window = rc_q_shift(reader->window, entry);
    reader->position += (uint8_t)entry;
    return entry;
}

/* A macro, since a function would lose that it is rare. */
#define RC_Q_IS_ESCAPE(entry, form)                 \
    ((form) == RC_Q_BYTES ? RC_RARELY((entry) < 16u) \
                          : RC_Q_IS_CODED(form) && RC_RARELY(((entry)&RC_Q_ESCAPE) != 0u))

RC_INLINE uint32_t rc_q_escaped(uint32_t entry, uint32_t form)
{
    return form == RC_Q_BYTES ? 15u + entry : entry >> 8 & 127u;
}

/* The value of an entry whose advance was read. */
RC_INLINE int32_t rc_q_value(rc_q_reader *reader, uint32_t form)
{
    int32_t entry;

    if (form == RC_Q_BYTES) {
        return reader->centroids[reader->window & 15u];
    }
    if (form == RC_Q_MIXED) {
        reader->position += 8u;
    }
    if (form != RC_Q_CODED) {
        return (int8_t)(reader->window & 255u);
    }
    entry = reader->values[reader->window & reader->value_mask];
    reader->position += (uint8_t)entry;
    return entry >> 8;
}

#endif
