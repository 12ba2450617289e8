/* rc_weights.h - weights executed where they lie: every form they are stored in, and the cursor over one of them.
 *
 * A weight is a matrix: a row is an output unit, a column an input (kh, kw, channel). Entries stand row after row;
 * a sparse weight stores some of them, each after the number of zeros since the one before. The cursor takes the
 * form as a constant, so each instance holds the code of one form only. */
#ifndef RC_WEIGHTS_H
#define RC_WEIGHTS_H

#include "rc_stream.h"

/* Bits of a form: those of the first byte of a packed tensor, without the one for escapes. */
#define RC_CSR 0x01u
#define RC_CODEBOOK 0x02u
#define RC_LINEAR 0x04u
#define RC_HUFFMAN_VALUES 0x10u
#define RC_HUFFMAN_GAPS 0x20u
#define RC_JOINT 0x40u

/* X(name, form) for every form but dense float32; the name tells rows, values, gap stream, value stream. */
#define RC_STREAM_FORMS(X)                         \
    X(dense_codebook_bits, 0x02u)                  \
    X(dense_codebook_huffman, 0x12u)               \
    X(dense_linear_bits, 0x04u)                    \
    X(dense_linear_huffman, 0x14u)                 \
    X(csr_float32_bits, 0x01u)                     \
    X(csr_float32_huffman, 0x21u)                  \
    X(csr_codebook_bits_bits, 0x03u)               \
    X(csr_codebook_bits_huffman, 0x13u)            \
    X(csr_codebook_huffman_bits, 0x23u)            \
    X(csr_codebook_huffman_huffman, 0x33u)         \
    X(csr_codebook_joint_bits, 0x43u)              \
    X(csr_codebook_joint_huffman, 0x63u)           \
    X(csr_linear_bits_bits, 0x05u)                 \
    X(csr_linear_bits_huffman, 0x15u)              \
    X(csr_linear_huffman_bits, 0x25u)              \
    X(csr_linear_huffman_huffman, 0x35u)           \
    X(csr_linear_joint_bits, 0x45u)                \
    X(csr_linear_joint_huffman, 0x65u)

typedef struct rc_weights {
    const RC_FLASH float *values;         /* the values, the centroids, or the scales */
    const RC_FLASH uint16_t *zero_points; /* linear: one, or as many as scales */
    rc_symbols gaps;                      /* sparse: gaps, or joint symbols (gap | integer << gap_bits) */
    rc_symbols integers;                  /* labels or integers that have a stream of their own */
    uint32_t n_entries;                   /* symbols of the gap stream; dense: elements */
    uint16_t escape;                      /* gap symbol that carries no value; RC_NO_ESCAPE: none */
    uint8_t gap_bits;
    uint8_t per_row; /* linear: what each row has of its own */
} rc_weights;

#define RC_PER_ROW_NOTHING 0u
#define RC_PER_ROW_SCALE 1u
#define RC_PER_ROW_SCALE_AND_ZERO_POINT 2u

#define RC_NO_ESCAPE 0xFFFFu

typedef struct rc_cursor {
    rc_reader gaps;
    rc_reader integers;
    const RC_FLASH float *values; /* centroids or scales; float32: the next value */
    uint32_t gap_bits;
    uint32_t gap_mask;
    uint32_t joint; /* integer that came with the last gap */
    float scale;
    int32_t zero_point;
} rc_cursor;

/* Enter a row: scale and zero point may differ by row. */
RC_INLINE void rc_cursor_row(rc_cursor *cursor, const rc_weights *weights, uint32_t row, uint32_t form)
{
    if ((form & RC_LINEAR) != 0u && weights->per_row != RC_PER_ROW_NOTHING) {
        cursor->scale = weights->values[row];
        if (weights->per_row == RC_PER_ROW_SCALE_AND_ZERO_POINT) {
            cursor->zero_point = (int32_t)weights->zero_points[row];
        }
    }
}

RC_INLINE void rc_cursor_open(rc_cursor *cursor, const rc_weights *weights, uint32_t form)
{
    if ((form & RC_CSR) != 0u) {
        rc_reader_open(&cursor->gaps, &weights->gaps);
    }
    if ((form & (RC_CODEBOOK | RC_LINEAR)) != 0u && (form & RC_JOINT) == 0u) {
        rc_reader_open(&cursor->integers, &weights->integers);
    }
    if ((form & RC_LINEAR) != 0u) {
        cursor->scale = weights->values[0];
        cursor->zero_point = (int32_t)weights->zero_points[0];
    }
    cursor->values = weights->values;
    cursor->gap_bits = weights->gap_bits;
    cursor->gap_mask = ~(~0u << weights->gap_bits);
    cursor->joint = 0u;
}

/* Zeros before the next entry; after a gap that equals weights->escape there is no entry but another gap. */
RC_INLINE uint32_t rc_cursor_gap(rc_cursor *cursor, uint32_t form)
{
    const uint32_t symbol =
        (form & RC_HUFFMAN_GAPS) != 0u ? rc_read_code(&cursor->gaps) : rc_read_fixed(&cursor->gaps);
    if ((form & RC_JOINT) == 0u) {
        return symbol;
    }
    cursor->joint = symbol >> cursor->gap_bits;
    return symbol & cursor->gap_mask;
}

/* The next integer: a label, or a number on the linear scale. */
RC_INLINE uint32_t rc_cursor_integer(rc_cursor *cursor, uint32_t form)
{
    if ((form & RC_JOINT) != 0u) {
        return cursor->joint;
    }
    return (form & RC_HUFFMAN_VALUES) != 0u ? rc_read_code(&cursor->integers) : rc_read_fixed(&cursor->integers);
}

RC_INLINE float rc_cursor_value(rc_cursor *cursor, uint32_t form)
{
    uint32_t integer;

    if ((form & (RC_CODEBOOK | RC_LINEAR)) == 0u) {
        return *cursor->values++;
    }
    integer = rc_cursor_integer(cursor, form);
    if ((form & RC_CODEBOOK) != 0u) {
        return cursor->values[integer];
    }
    return cursor->scale * (float)((int32_t)integer - cursor->zero_point);
}

#endif
