/* rc_q_fields.h - rows of weights of 2 to 4 bits times a column of inputs (rc_q_rows.h).
 *
 * A weight is a field of a word, above an offset. A block of a row is 32 columns in as many words as a field has bits,
 * and 16 pairs of fields: pair k is that of the columns 4 * (k / 2) + k % 2 and 2 more, one in the lower half of a word
 * and one in the upper, so that a mask gives what the DSP extension multiplies. A word holds 16 / bits pairs, the first
 * one in the lowest bits; of 3 bits each word has one bit left in its halves, and these three make the last pair. */
#ifndef RC_Q_FIELDS_H
#define RC_Q_FIELDS_H

#include "rc_q_words.h"

#define RC_Q_BLOCK 32u /* columns */

#if RC_DSP

/* Add the products of a pair, shifted down, with two inputs. Masked here, lest a compiler masks all pairs first. */
#define RC_Q_PAIR(sum, word, shift, x)                \
    __asm__("and %1, %3, %2" shift "\n\t"             \
            "smlad %0, %1, %4, %0"                    \
            : "+&r"(sum), "=&r"(pair)                 \
            : "r"(word), "r"(mask), "r"(x))

/* Two pairs of two rows: the first of the words a and b, the second of c and d. */
#define RC_Q_TWO_PAIRS(a, b, shift, c, d, next_shift) \
    column = rc_load_two(column, &even, &odd);        \
    RC_Q_PAIR(s0, a, shift, even);                    \
    RC_Q_PAIR(s1, b, shift, even);                    \
    RC_Q_PAIR(s0, c, next_shift, odd);                \
    RC_Q_PAIR(s1, d, next_shift, odd)

/* Put the highest bits of the halves of three words above each other, below bits 16 and 32. */
RC_INLINE uint32_t rc_q_highest(uint32_t first, uint32_t second, uint32_t third)
{
    __asm__("and %0, %0, #0x80008000\n\t"
            "and %1, %1, #0x80008000\n\t"
            "and %2, %2, #0x80008000\n\t"
            "orr %1, %1, %0, lsr #1\n\t"
            "orr %2, %2, %1, lsr #1"
            : "+&r"(first), "+&r"(second), "+r"(third));
    return third;
}

/* Add the products of two rows, a and b, with a column. */
RC_INLINE void rc_q_two_rows(uint32_t sums[2], const int16_t *x, const RC_FLASH uint32_t *a, const RC_FLASH uint32_t *b,
                             uint32_t blocks, uint32_t bits)
{
    const rc_word *column = (const rc_word *)(const void *)x;
    const uint32_t mask = (0xFFFFu >> (16u - bits)) * 0x10001u;
    const RC_FLASH uint32_t *const end = a + bits * blocks;
    uint32_t s0 = sums[0], s1 = sums[1], even, odd, pair;

    while (a != end) {
        uint32_t a0 = *a++, b0 = *b++;
        if (bits == 2u) {
            RC_Q_TWO_PAIRS(a0, b0, "", a0, b0, ", lsr #2");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #4", a0, b0, ", lsr #6");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #8", a0, b0, ", lsr #10");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #12", a0, b0, ", lsr #14");
        } else if (bits == 4u) {
            RC_Q_TWO_PAIRS(a0, b0, "", a0, b0, ", lsr #4");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #8", a0, b0, ", lsr #12");
        } else {
            const uint32_t a1 = *a++, b1 = *b++, a2 = *a++, b2 = *b++;
            RC_Q_TWO_PAIRS(a0, b0, "", a0, b0, ", lsr #3");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #6", a0, b0, ", lsr #9");
            RC_Q_TWO_PAIRS(a0, b0, ", lsr #12", a1, b1, "");
            RC_Q_TWO_PAIRS(a1, b1, ", lsr #3", a1, b1, ", lsr #6");
            RC_Q_TWO_PAIRS(a1, b1, ", lsr #9", a1, b1, ", lsr #12");
            RC_Q_TWO_PAIRS(a2, b2, "", a2, b2, ", lsr #3");
            RC_Q_TWO_PAIRS(a2, b2, ", lsr #6", a2, b2, ", lsr #9");
            a0 = rc_q_highest(a0, a1, a2);
            b0 = rc_q_highest(b0, b1, b2);
            RC_Q_TWO_PAIRS(a2, b2, ", lsr #12", a0, b0, ", lsr #13");
        }
    }
    sums[0] = s0;
    sums[1] = s1;
}

#else

/* Pair k of a block, one field in the lower bits of either half; bits and k are constants. */
RC_INLINE uint32_t rc_q_pair(const RC_FLASH uint32_t *words, uint32_t bits, uint32_t k)
{
    const uint32_t in_word = 16u / bits, mask = (0xFFFFu >> (16u - bits)) * 0x10001u;

    if (k < in_word * bits) {
        return words[k / in_word] >> (k % in_word * bits) & mask;
    }
    return (words[0] >> 15 & 0x10001u) | (words[1] >> 14 & 0x20002u) | (words[2] >> 13 & 0x40004u);
}

RC_INLINE int32_t rc_q_pair_product(uint32_t pair, const int16_t *x)
{
    return (int32_t)(pair & 0xFFFFu) * x[0] + (int32_t)(pair >> 16) * x[2];
}

/* Pairs 2 * k and 2 * k + 1 of two rows. */
#define RC_Q_TWO_PAIRS(k)                                                                              \
    s0 += (uint32_t)rc_q_pair_product(rc_q_pair(a, bits, 2u * (k)), x + 4u * (k));                     \
    s1 += (uint32_t)rc_q_pair_product(rc_q_pair(b, bits, 2u * (k)), x + 4u * (k));                     \
    s0 += (uint32_t)rc_q_pair_product(rc_q_pair(a, bits, 2u * (k) + 1u), x + 4u * (k) + 1u);           \
    s1 += (uint32_t)rc_q_pair_product(rc_q_pair(b, bits, 2u * (k) + 1u), x + 4u * (k) + 1u)

/* Add the products of two rows, a and b, with a column. */
RC_INLINE void rc_q_two_rows(uint32_t sums[2], const int16_t *x, const RC_FLASH uint32_t *a, const RC_FLASH uint32_t *b,
                             uint32_t blocks, uint32_t bits)
{
    uint32_t s0 = sums[0], s1 = sums[1];

    for (; blocks != 0u; blocks--, x += RC_Q_BLOCK, a += bits, b += bits) {
        RC_Q_TWO_PAIRS(0u);
        RC_Q_TWO_PAIRS(1u);
        RC_Q_TWO_PAIRS(2u);
        RC_Q_TWO_PAIRS(3u);
        RC_Q_TWO_PAIRS(4u);
        RC_Q_TWO_PAIRS(5u);
        RC_Q_TWO_PAIRS(6u);
        RC_Q_TWO_PAIRS(7u);
    }
    sums[0] = s0;
    sums[1] = s1;
}

#endif

#endif
