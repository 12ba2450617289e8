/* rc_check.h - what the parts of the image checker share; numbers in comments are those of exporters/blob/SPEC.md. */
#ifndef RC_CHECK_H
#define RC_CHECK_H

#include "rc.h"
#include "rc_step.h"

#define RC_MOST_ELEMENTS 0x7FFFFFFFu
#define RC_MOST_SIZE 0x00FFFFFFu /* of a stride, a pad, a dilation, a kernel or a plane's side */

/* An image whose header was checked. */
typedef struct rc_checked {
    const uint8_t *bytes;
    uint32_t size;
    const uint32_t *header;
} rc_checked;

/* Product of two sizes; 0 if it is 0 or larger than any array may be. */
RC_INLINE uint32_t rc_product(uint32_t a, uint32_t b)
{
    const uint64_t product = (uint64_t)a * b;
    return product <= RC_MOST_ELEMENTS ? (uint32_t)product : 0u;
}

/* Whether n bytes at an offset aligned to 4 lie inside the image. */
RC_INLINE int rc_inside(const rc_checked *image, uint32_t offset, uint64_t n)
{
    return (offset & 3u) == 0u && offset <= image->size && n <= image->size - offset;
}

/* The weight of a streamed step, its tables and every entry of its streams. */
rc_status rc_check_weight(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns);

/* A dense float32 tensor of n values. */
rc_status rc_check_floats(const rc_checked *image, uint32_t offset, uint32_t n);

/* Code lengths of `available` bytes at `packed` and the decode table at an offset: is the table that of the code?
 * Gives the bytes that the lengths take. */
rc_status rc_check_code(const rc_checked *image, uint32_t table, const uint8_t *packed, uint32_t available,
                        uint32_t width, uint32_t *used);

#endif
