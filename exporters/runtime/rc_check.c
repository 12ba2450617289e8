/* rc_check.c - is a flash image safe to run? Header, checksum, steps and their buffers. */
#include "rc_check.h"

#include "rc_image.h"

/* CRC-32 of IEEE 802.3, as zlib computes it, four bits at a time. */
static uint32_t crc32(const uint8_t *bytes, uint32_t n)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    uint32_t crc = ~0u;

    for (; n != 0u; n--) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ table[crc & 15u];
        crc = crc >> 4 ^ table[crc & 15u];
    }
    return ~crc;
}

/* S4: n elements of a place lie inside its buffer. */
static int check_place(const rc_checked *image, const uint32_t *place, uint32_t n, int written)
{
    const uint32_t *const header = image->header;
    const uint32_t kind = place[0] & 3u, index = place[0] >> 2;
    uint32_t size;

    switch (kind) {
    case RC_PLACE_ARENA:
        if (index != 0u) {
            return 0;
        }
        size = header[RC_HEADER_ARENA] / 4u;
        break;
    case RC_PLACE_INPUT:
        if (written || index >= header[RC_HEADER_INPUTS]) {
            return 0;
        }
        size = header[RC_HEADER_WORDS + index];
        break;
    case RC_PLACE_OUTPUT:
        if (index >= header[RC_HEADER_OUTPUTS]) {
            return 0;
        }
        size = header[RC_HEADER_WORDS + header[RC_HEADER_INPUTS] + index];
        break;
    default: return 0;
    }
    return n != 0u && place[1] <= size && n <= size - place[1];
}

/* S4, S5: what a step reads and writes; unless it goes element by element, these do not overlap. */
static rc_status check_buffers(const rc_checked *image, const uint32_t *step, uint32_t n_x, uint32_t n_y,
                               int elementwise)
{
    const uint32_t *const x = step + RC_STEP_X, *const y = step + RC_STEP_Y;

    if (!check_place(image, x, n_x, 0) || !check_place(image, y, n_y, 1)) {
        return RC_ERROR_BUFFER;
    }
    if (!elementwise && x[0] == y[0] && x[1] < y[1] + n_y && y[1] < x[1] + n_x) {
        return RC_ERROR_BUFFER;
    }
    return RC_OK;
}

static int all_sizes(const uint32_t *sizes, uint32_t n, uint32_t least)
{
    for (; n != 0u; n--, sizes++) {
        if (*sizes < least || *sizes > RC_MOST_SIZE) {
            return 0;
        }
    }
    return 1;
}

static rc_status check_streamed(const rc_checked *image, const uint32_t *step, uint32_t rows, uint32_t columns)
{
    const rc_status status = rc_check_weight(image, step, rows, columns);

    if (status != RC_OK || step[RC_RECORD_BIAS] == 0u) {
        return status;
    }
    return rc_check_floats(image, step[RC_RECORD_BIAS], rows);
}

static rc_status check_gemm(const rc_checked *image, const uint32_t *step)
{
    const uint32_t rows = step[RC_RECORD_SIZES], columns = step[RC_RECORD_SIZES + 1u];
    const rc_status status = check_buffers(image, step, columns, rows, 0);

    return status == RC_OK ? check_streamed(image, step, rows, columns) : status;
}

/* S6: the geometry of a convolution. */
static rc_status check_conv(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_RECORD_SIZES;
    uint32_t columns;
    rc_status status;
    rc_conv conv;

    rc_step_conv(step, &conv);
    if (!all_sizes(sizes, 10u, 1u) || !all_sizes(sizes + 10, 2u, 0u) || !all_sizes(sizes + 12, 3u, 1u)) {
        return RC_ERROR_STEP;
    }
    if (conv.in_channels % conv.group != 0u || conv.out_channels % conv.group != 0u ||
        rc_product(conv.kernel_h, conv.dilation_h) == 0u || rc_product(conv.kernel_w, conv.dilation_w) == 0u ||
        rc_product(conv.out_h, conv.stride_h) == 0u || rc_product(conv.out_w, conv.stride_w) == 0u) {
        return RC_ERROR_STEP;
    }
    columns = rc_product(rc_product(conv.kernel_h, conv.kernel_w), conv.in_channels / conv.group);
    status = check_buffers(image, step, rc_product(rc_product(conv.in_h, conv.in_w), conv.in_channels),
                           rc_product(rc_product(conv.out_h, conv.out_w), conv.out_channels), 0);
    if (status == RC_OK) {
        status = check_streamed(image, step, conv.out_channels, columns);
    }
    if (status == RC_OK && (step[0] & 0xFFFFu) == RC_STEP_CONV_PIXELS &&
        image->bytes[step[RC_RECORD_TENSOR]] != 0u) { /* S7 */
        return RC_ERROR_STEP;
    }
    return status;
}

/* S8: every window of a pool meets the image. */
static rc_status check_pool(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const sizes = step + RC_STEP_ARGUMENTS;
    rc_pool pool;

    rc_step_pool(step, &pool);
    if (!all_sizes(sizes, 9u, 1u) || !all_sizes(sizes + 9, 2u, 0u) || pool.count_padding > 1u) {
        return RC_ERROR_STEP;
    }
    if (pool.pad_top >= pool.kernel_h || pool.pad_left >= pool.kernel_w ||
        rc_product(pool.kernel_h, pool.kernel_w) == 0u ||
        (uint64_t)(pool.out_h - 1u) * pool.stride_h >= (uint64_t)pool.in_h + pool.pad_top ||
        (uint64_t)(pool.out_w - 1u) * pool.stride_w >= (uint64_t)pool.in_w + pool.pad_left) {
        return RC_ERROR_STEP;
    }
    return check_buffers(image, step, rc_product(rc_product(pool.in_h, pool.in_w), pool.channels),
                         rc_product(rc_product(pool.out_h, pool.out_w), pool.channels), 0);
}

/* S10: the geometry of a padding. */
static rc_status check_pad(const rc_checked *image, const uint32_t *step)
{
    rc_pad_sizes sizes;

    rc_step_pad(step, &sizes);
    if (!all_sizes(step + RC_STEP_ARGUMENTS, 2u, 1u) || !all_sizes(step + RC_STEP_ARGUMENTS + 2, 4u, 0u)) {
        return RC_ERROR_STEP;
    }
    return check_buffers(image, step, rc_product(sizes.height, sizes.row),
                         rc_product(sizes.top + sizes.height + sizes.bottom, sizes.left + sizes.row + sizes.right), 0);
}

static rc_status check_batch_norm(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const uint32_t n = rc_product(words[0], words[1]);
    rc_status status = check_buffers(image, step, n, n, 1);

    if (status == RC_OK) {
        status = rc_check_floats(image, words[2], words[1]);
    }
    return status == RC_OK ? rc_check_floats(image, words[3], words[1]) : status;
}

/* S9: blocks of n elements, pitch apart: the last one ends inside the output. */
static rc_status check_concat(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    const uint32_t blocks = words[0], n = words[1], pitch = words[2];
    const uint32_t span = rc_product(blocks, pitch);

    if (n == 0u || n > pitch || span == 0u) {
        return RC_ERROR_STEP;
    }
    return check_buffers(image, step, rc_product(blocks, n), span - (pitch - n), 0);
}

static rc_status check_step(const rc_checked *image, const uint32_t *step)
{
    const uint32_t *const words = step + RC_STEP_ARGUMENTS;
    uint32_t n;

    switch (step[0] & 0xFFFFu) {
    case RC_STEP_GEMM: return check_gemm(image, step);
    case RC_STEP_CONV:
    case RC_STEP_CONV_PIXELS: return check_conv(image, step);
    case RC_STEP_MAX_POOL:
    case RC_STEP_AVERAGE_POOL: return check_pool(image, step);
    case RC_STEP_SOFTMAX: n = rc_product(words[0], words[1]); return check_buffers(image, step, n, n, 1);
    case RC_STEP_BATCH_NORM: return check_batch_norm(image, step);
    case RC_STEP_ADD:
        if (!check_place(image, words, words[2], 0)) {
            return RC_ERROR_BUFFER;
        }
        return check_buffers(image, step, words[2], words[2], 1);
    case RC_STEP_CONCAT: return check_concat(image, step);
    case RC_STEP_PAD: return check_pad(image, step);
    case RC_STEP_COPY: return check_buffers(image, step, words[0], words[0], 0);
    default: return check_buffers(image, step, words[0], words[0], 1);
    }
}

/* H1 to H6. */
static rc_status check_header(const void *bytes, size_t size, rc_checked *image)
{
    const uint32_t *const header = (const uint32_t *)bytes;

    if (bytes == NULL) {
        return RC_ERROR_NULL;
    }
    if (((uintptr_t)bytes & 3u) != 0u) {
        return RC_ERROR_ALIGNMENT;
    }
    if (size < 4u * RC_HEADER_WORDS) {
        return RC_ERROR_SIZE;
    }
    if (header[RC_HEADER_MAGIC] != RC_IMAGE_MAGIC) {
        return RC_ERROR_MAGIC;
    }
    if (header[RC_HEADER_VERSION] != RC_IMAGE_VERSION) {
        return RC_ERROR_VERSION;
    }
    image->bytes = (const uint8_t *)bytes;
    image->header = header;
    image->size = header[RC_HEADER_SIZE];
    if (image->size > size || image->size < 4u * RC_HEADER_WORDS || (image->size & 3u) != 0u) {
        return RC_ERROR_SIZE;
    }
    if (crc32(image->bytes + 16, image->size - 16u) != header[RC_HEADER_CRC]) {
        return RC_ERROR_CRC;
    }
    return (header[RC_HEADER_ARENA] & 3u) == 0u ? RC_OK : RC_ERROR_STEP;
}

rc_status rc_check(const void *bytes, size_t size)
{
    rc_checked image;
    uint32_t at, left, words;
    uint64_t first;
    rc_status status = check_header(bytes, size, &image);

    if (status != RC_OK) {
        return status;
    }
    words = image.size / 4u;
    first = (uint64_t)RC_HEADER_WORDS + image.header[RC_HEADER_INPUTS] + image.header[RC_HEADER_OUTPUTS];
    if (first > words) { /* H7 */
        return RC_ERROR_STEP;
    }
    for (at = RC_HEADER_WORDS; at < first; at++) {
        if (image.header[at] == 0u || image.header[at] > RC_MOST_ELEMENTS) { /* H7 */
            return RC_ERROR_STEP;
        }
    }
    for (left = image.header[RC_HEADER_STEPS]; left != 0u; left--) {
        uint32_t n_words;
        if (at >= words) { /* S1 */
            return RC_ERROR_STEP;
        }
        n_words = rc_step_words(image.header[at] & 0xFFFFu); /* S2, S3 */
        if (n_words == 0u || image.header[at] >> 16 != n_words || n_words > words - at) {
            return RC_ERROR_STEP;
        }
        status = check_step(&image, image.header + at);
        if (status != RC_OK) {
            return status;
        }
        at += n_words;
    }
    return RC_OK;
}
