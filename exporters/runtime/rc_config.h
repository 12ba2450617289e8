/* rc_config.h - what every source of the runtime needs from the compiler, checked when it is compiled.
 *
 * The results are exact to the last bit, so each float operation must be rounded to float32 on its own:
 * no fused multiply-add, no extended precision, no reordering. */
#ifndef RC_CONFIG_H
#define RC_CONFIG_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__)
#error "the runtime promises exact results; compile it without -ffast-math (or -Ofast)"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float must be evaluated as float; on x86 compile with -msse2 -mfpmath=sse"
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24 || FLT_MAX_EXP != 128
#error "float must be IEEE 754 binary32"
#endif

/* Contraction off. GCC ignores the standard's pragma and contracts unless told -std=c99 or -ffp-contract=off;
 * its own pragma makes that certain whatever the command line says. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(__STDC_VERSION__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Alignment of a word: 4 bytes nearly everywhere, 1 on 8-bit parts. */
struct rc_aligned {
    char before;
    uint32_t word;
};
#define RC_ALIGNMENT offsetof(struct rc_aligned, word)

/* RC_FLASH qualifies tables of constants, and what points into them: an AVR reads its flash with instructions of their
 * own, so it has to be told, while all other machines read it like any memory. Descriptors of layers are in RAM: they
 * are small, and some kernels run with changed copies on the stack. */
#if defined(__AVR__)
#if defined(__cplusplus) || defined(__STRICT_ANSI__) || !defined(__FLASH)
#error "on AVR compile the runtime with GCC as C with extensions (-std=gnu99), so that tables stay in flash"
#endif
#define RC_FLASH __flash
#else
#define RC_FLASH
#endif
#define RC_NO_TABLE ((const RC_FLASH void *)0)

/* Functions that are templates: their last argument is a constant, and each caller is an instance. Functions that
 * are called rarely from a hot loop stay out of it. */
#if defined(__GNUC__) || defined(__clang__)
#define RC_RARELY(condition) __builtin_expect((condition), 0)
#define RC_INLINE static inline __attribute__((always_inline))
#define RC_OUTLINE static __attribute__((noinline))
#else
#define RC_RARELY(condition) (condition)
#define RC_INLINE static inline
#define RC_OUTLINE static
#endif

#endif
