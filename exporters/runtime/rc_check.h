/* rc_check.h - what the parts of the image checkers share; numbers in comments are those of exporters/blob/SPEC.md. */
#ifndef RC_CHECK_H
#define RC_CHECK_H

#include "rc_record.h"

#define RC_MOST_ELEMENTS 0x7FFFFFFFu
#define RC_MOST_SIZE 0x00FFFFFFu /* of a stride, a pad, a dilation, a kernel or a plane's side */

/* An image whose header was checked. */
typedef struct rc_checked {
    const uint8_t *bytes;
    uint32_t size;
    const uint32_t *header;
    uint32_t elements; /* what activations are made of */
} rc_checked;

/* How many elements the output of a step must begin before its input, where the two overlap. */
#define RC_LAG_ANY (-((int64_t)1 << 40))  /* it may begin anywhere */
#define RC_LAG_APART ((int64_t)1 << 40)   /* they do not overlap */

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

/* Words of a kernel's step, 0 for an unknown one; is a step safe? */
typedef uint32_t (*rc_words_of)(uint32_t kernel);
typedef rc_status (*rc_check_of)(const rc_checked *image, const uint32_t *step);

/* Header, checksum, and every step by the two functions. */
rc_status rc_check_image(const void *bytes, size_t size, uint32_t elements, rc_words_of words, rc_check_of check);

/* S4: whether n elements of a place lie inside its buffer. */
int rc_check_place(const rc_checked *image, const uint32_t *place, uint32_t n, int written);

/* S4, S5: what a step reads and writes. */
rc_status rc_check_buffers(const rc_checked *image, const uint32_t *step, uint32_t n_x, uint32_t n_y, int64_t lag);

/* Geometries: are the words sizes that make sense? Give the elements of input and output, 0 if there are too many. */
typedef struct rc_extent {
    uint32_t n_x, n_y;
} rc_extent;

int rc_check_window(const uint32_t *sizes, rc_extent *extent);
int rc_check_pool(const uint32_t *sizes, rc_extent *extent);
int rc_check_concat(const uint32_t *sizes, rc_extent *extent);
int rc_check_pad(const uint32_t *sizes, rc_extent *extent);

/* Columns of a convolution's weight, 0 if there are too many; rows are out_channels, its sixth size. */
uint32_t rc_check_columns(const uint32_t *sizes);

/* The weight of a streamed step, its tables and every entry of its streams. */
rc_status rc_check_weight(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns);

/* Code lengths of `available` bytes at `packed` and the decode table at an offset: is the table that of the code?
 * Gives the bytes that the lengths take. */
rc_status rc_check_code(const rc_checked *image, uint32_t table, const uint8_t *packed, uint32_t available,
                        uint32_t width, uint32_t *used);

#endif
