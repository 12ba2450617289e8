/* rc_q_check.h - what the parts of the checker of int8 images share; numbers in comments are those of
 * exporters/blob/SPEC.md. */
#ifndef RC_Q_CHECK_H
#define RC_Q_CHECK_H

#include "rc_check.h"
#include "rc_q_step.h"

#define RC_Q_LEAST_SHIFT (-32)
#define RC_Q_MOST_SHIFT 30

RC_INLINE int rc_q_between(uint32_t word, int32_t least, int32_t most)
{
    return rc_q_signed(word) >= least && rc_q_signed(word) <= most;
}

/* Q2 */
RC_INLINE int rc_q_is_int8(uint32_t word)
{
    return rc_q_between(word, -128, 127);
}

/* Q1, Q3: biases, factors and shifts of n units; their zero point. */
rc_status rc_q_check_scale(const rc_checked *image, const uint32_t *offsets, uint32_t zero_point, uint32_t n,
                           int32_t least_shift);

/* Q4: the weights, biases, factors and shifts of a kernel of bytes: no sum can reach 2^30. */
rc_status rc_q_check_rows(const rc_checked *image, const uint32_t *step, const rc_q_shape *shape);

/* Q6: how many elements the output of a window that moves over a plane must begin before the input. The kernel reads the
 * pixels of a window before it writes its outputs, those of two neighbours in a row at once if `pairs` is 1; otherwise
 * it goes channel by channel. */
int64_t rc_q_check_lag(const rc_q_window *window, uint32_t pairs);

#endif
