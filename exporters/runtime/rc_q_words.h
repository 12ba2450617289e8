/* rc_q_words.h - four integers in a word: loads, and the instructions of the DSP extension. */
#ifndef RC_Q_WORDS_H
#define RC_Q_WORDS_H

#include "rc_q.h"

#if RC_DSP

#include <string.h>

typedef uint32_t __attribute__((may_alias)) rc_word; /* two int16, or four int8, at an address aligned to 4 */

typedef struct rc_two_words {
    rc_word first, second;
} rc_two_words;

RC_INLINE uint32_t rc_load_bytes(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Two words, and on to the next. */
RC_INLINE const rc_word *rc_load_two(const rc_word *words, uint32_t *first, uint32_t *second)
{
    __asm__("ldrd %0, %1, [%2], #8"
            : "=r"(*first), "=r"(*second), "+r"(words)
            : "m"(*(const rc_two_words *)(const void *)words));
    return words;
}

/* Bytes 0 and 2, or 1 and 3, as two int16, each plus a number. */
RC_INLINE uint32_t rc_even_plus(uint32_t plus, uint32_t word)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(plus), "r"(word));
    return pair;
}

RC_INLINE uint32_t rc_odd_plus(uint32_t plus, uint32_t word)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(plus), "r"(word));
    return pair;
}

/* sum + the four products of a word of weights with inputs in two pairs, elements 0 and 2, then 1 and 3. */
RC_INLINE int32_t rc_four(uint32_t weights, uint32_t even, uint32_t odd, int32_t sum)
{
    uint32_t pair;
    __asm__("sxtb16 %1, %2\n\t"
            "smlad %0, %1, %3, %0\n\t"
            "sxtb16 %1, %2, ror #8\n\t"
            "smlad %0, %1, %4, %0"
            : "+&r"(sum), "=&r"(pair)
            : "r"(weights), "r"(even), "r"(odd));
    return sum;
}

/* The same weights with two columns. */
RC_INLINE void rc_four_twice(uint32_t weights, uint32_t even, uint32_t odd, uint32_t next_even, uint32_t next_odd,
                             int32_t *first, int32_t *second)
{
    uint32_t pair;
    __asm__("sxtb16 %2, %3\n\t"
            "smlad %0, %2, %4, %0\n\t"
            "smlad %1, %2, %6, %1\n\t"
            "sxtb16 %2, %3, ror #8\n\t"
            "smlad %0, %2, %5, %0\n\t"
            "smlad %1, %2, %7, %1"
            : "+&r"(*first), "+&r"(*second), "=&r"(pair)
            : "r"(weights), "r"(even), "r"(odd), "r"(next_even), "r"(next_odd));
}

/* Four sums of one product each: those of the bytes of two words, the second above a number. */
RC_INLINE void rc_each(uint32_t weights, uint32_t x, uint32_t plus, int32_t sums[4])
{
    uint32_t pair, other;
    __asm__("sxtb16 %4, %6\n\t"
            "sxtab16 %5, %8, %7\n\t"
            "smlabb %0, %4, %5, %0\n\t"
            "smlatt %2, %4, %5, %2\n\t"
            "sxtb16 %4, %6, ror #8\n\t"
            "sxtab16 %5, %8, %7, ror #8\n\t"
            "smlabb %1, %4, %5, %1\n\t"
            "smlatt %3, %4, %5, %3"
            : "+&r"(sums[0]), "+&r"(sums[1]), "+&r"(sums[2]), "+&r"(sums[3]), "=&r"(pair), "=&r"(other)
            : "r"(weights), "r"(x), "r"(plus));
}

#endif

#endif
