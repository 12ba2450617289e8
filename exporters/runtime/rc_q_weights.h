/* rc_q_weights.h - integer weights executed where they lie: streams as those of float networks (rc_weights.h), whose
 * values are integers above a zero point or int8 centroids. */
#ifndef RC_Q_WEIGHTS_H
#define RC_Q_WEIGHTS_H

#include "rc_weights.h"

#define RC_SHARED (RC_CODEBOOK | RC_LINEAR) /* both bits: a codebook of integers */

/* X(name, form) for every form; dense_int8 has no stream. */
#define RC_Q_FORMS(X)                    \
    X(dense_int8, 0x00u)                 \
    X(dense_linear_bits, 0x04u)          \
    X(dense_linear_huffman, 0x14u)       \
    X(dense_shared_bits, 0x06u)          \
    X(dense_shared_huffman, 0x16u)       \
    X(csr_linear_bits_bits, 0x05u)       \
    X(csr_linear_bits_huffman, 0x15u)    \
    X(csr_linear_huffman_bits, 0x25u)    \
    X(csr_linear_huffman_huffman, 0x35u) \
    X(csr_linear_joint_bits, 0x45u)      \
    X(csr_linear_joint_huffman, 0x65u)   \
    X(csr_shared_bits_bits, 0x07u)       \
    X(csr_shared_bits_huffman, 0x17u)    \
    X(csr_shared_huffman_bits, 0x27u)    \
    X(csr_shared_huffman_huffman, 0x37u) \
    X(csr_shared_joint_bits, 0x47u)      \
    X(csr_shared_joint_huffman, 0x67u)

typedef struct rc_q_weights {
    const RC_FLASH int8_t *values; /* the centroids, or all weights row after row */
    rc_weights stream;             /* its values are NULL */
} rc_q_weights;

typedef struct rc_q_cursor {
    rc_cursor stream;
    const RC_FLASH int8_t *values; /* the centroids, or the next value */
    int32_t zero_point;
} rc_q_cursor;

/* Enter a row: its zero point may differ. */
RC_INLINE void rc_q_cursor_row(rc_q_cursor *cursor, const rc_q_weights *weights, uint32_t row, uint32_t form)
{
    if ((form & RC_SHARED) == RC_LINEAR && weights->stream.per_row != RC_PER_ROW_NOTHING) {
        cursor->zero_point = (int32_t)weights->stream.zero_points[row];
    }
}

RC_INLINE void rc_q_cursor_open(rc_q_cursor *cursor, const rc_q_weights *weights, uint32_t form)
{
    cursor->values = weights->values;
    cursor->zero_point = 0;
    if ((form & RC_SHARED) == RC_LINEAR) {
        cursor->zero_point = (int32_t)weights->stream.zero_points[0];
    }
    if (form != 0u) { /* as a codebook, whose values the stream does not touch */
        rc_cursor_open(&cursor->stream, &weights->stream, (form & ~RC_LINEAR) | RC_CODEBOOK);
    }
}

RC_INLINE int32_t rc_q_cursor_value(rc_q_cursor *cursor, uint32_t form)
{
    uint32_t integer;

    if (form == 0u) {
        return *cursor->values++;
    }
    integer = rc_cursor_integer(&cursor->stream, form);
    return (form & RC_SHARED) == RC_SHARED ? cursor->values[integer] : (int32_t)integer - cursor->zero_point;
}

#endif
