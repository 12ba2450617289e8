/* rc_check_image.c - is a flash image safe to run? Header, checksum, the chain of steps and their buffers. */
#include "rc_check.h"

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

int rc_check_place(const rc_checked *image, const uint32_t *place, uint32_t n, int written)
{
    const uint32_t *const header = image->header;
    const uint32_t kind = place[0] & 3u, index = place[0] >> 2;
    uint32_t size;

    switch (kind) {
    case RC_PLACE_ARENA:
        if (index != 0u) {
            return 0;
        }
        size = header[RC_HEADER_ARENA] / image->elements;
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

rc_status rc_check_buffers(const rc_checked *image, const uint32_t *step, uint32_t n_x, uint32_t n_y, int64_t lag)
{
    const uint32_t *const x = step + RC_STEP_X, *const y = step + RC_STEP_Y;

    if (!rc_check_place(image, x, n_x, 0) || !rc_check_place(image, y, n_y, 1)) {
        return RC_ERROR_BUFFER;
    }
    if (x[0] == y[0] && x[1] < y[1] + n_y && y[1] < x[1] + n_x && (int64_t)y[1] + lag > (int64_t)x[1]) {
        return RC_ERROR_BUFFER;
    }
    return RC_OK;
}

/* H1 to H6, H8. */
static rc_status check_header(const void *bytes, size_t size, uint32_t elements, rc_checked *image)
{
    const uint32_t *const header = (const uint32_t *)bytes;
    rc_status status;

    if (bytes != NULL && size < 4u * RC_HEADER_WORDS) {
        return RC_ERROR_SIZE;
    }
    status = rc_record_open(bytes, elements);
    if (status != RC_OK && status != RC_ERROR_ELEMENTS) {
        return status;
    }
    image->bytes = (const uint8_t *)bytes;
    image->header = header;
    image->size = header[RC_HEADER_SIZE];
    image->elements = elements;
    if (image->size > size || image->size < 4u * RC_HEADER_WORDS || (image->size & 3u) != 0u) {
        return RC_ERROR_SIZE;
    }
    if (crc32(image->bytes + 16, image->size - 16u) != header[RC_HEADER_CRC]) {
        return RC_ERROR_CRC;
    }
    if (status == RC_OK && (header[RC_HEADER_ARENA] & 3u) != 0u) {
        return RC_ERROR_STEP;
    }
    return status;
}

/* H7: gives the index of the first step. */
static int check_sizes(const rc_checked *image, uint32_t *at)
{
    const uint64_t first =
        (uint64_t)RC_HEADER_WORDS + image->header[RC_HEADER_INPUTS] + image->header[RC_HEADER_OUTPUTS];

    if (first > image->size / 4u) {
        return 0;
    }
    for (*at = RC_HEADER_WORDS; *at < first; (*at)++) {
        if (image->header[*at] == 0u || image->header[*at] > RC_MOST_ELEMENTS) {
            return 0;
        }
    }
    return 1;
}

rc_status rc_check_image(const void *bytes, size_t size, uint32_t elements, rc_words_of words, rc_check_of check)
{
    rc_checked image;
    uint32_t at, left;
    rc_status status = check_header(bytes, size, elements, &image);

    if (status != RC_OK) {
        return status;
    }
    if (!check_sizes(&image, &at)) {
        return RC_ERROR_STEP;
    }
    for (left = image.header[RC_HEADER_STEPS]; left != 0u; left--) {
        const uint32_t behind = image.size / 4u - at;
        uint32_t n_words;
        if (behind == 0u) { /* S1 */
            return RC_ERROR_STEP;
        }
        n_words = words(rc_step_kernel(image.header + at)); /* S2, S3 */
        if (n_words == 0u || image.header[at] >> 16 != n_words || n_words > behind) {
            return RC_ERROR_STEP;
        }
        status = check(&image, image.header + at);
        if (status != RC_OK) {
            return status;
        }
        at += n_words;
    }
    return RC_OK;
}
