/* image_harness.c - any bytes as a flash image: checked, and run if they pass, in buffers of exactly the sizes that the
 * image asks for, so that the sanitizers see every access outside. -DINT8=1 takes int8 images, -DINT8=0 float32 ones.
 *
 * For libFuzzer an input is an image from its 16th byte on: magic, version, size and checksum are put before it. With
 * -DREPLAY=1 this is a program that tries every image of the file `images` (the number of its bytes, the bytes) and
 * prints what the checker says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rc_image.h"

#define MOST_BUFFERS 16u

#if INT8
typedef int8_t element;
#define CHECK rc_q_check
#define RUN rc_q_run
#else
typedef float element;
#define CHECK rc_check
#define RUN rc_run
#endif

#if REPLAY
#define MOST_ELEMENTS 0x100000u
#else
#define MOST_ELEMENTS 0x1000u /* so that a run takes little time */
#endif

static void *room(size_t bytes)
{
    void *const memory = calloc(bytes != 0u ? bytes : 1u, 1u);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* Whether the buffers are few and small. */
static int is_small(const void *image)
{
    const uint32_t n_in = rc_input_count(image), n_out = rc_output_count(image);
    uint32_t i, total = rc_arena_bytes(image) / (uint32_t)sizeof(element);

    if (n_in > MOST_BUFFERS || n_out > MOST_BUFFERS) {
        return 0;
    }
    for (i = 0u; i < n_in + n_out && total < MOST_ELEMENTS; i++) {
        total += i < n_in ? rc_input_size(image, i) : rc_output_size(image, i - n_in);
    }
    return total < MOST_ELEMENTS;
}

static void run(const void *image)
{
    const element *inputs[MOST_BUFFERS];
    element *outputs[MOST_BUFFERS], *sources[MOST_BUFFERS];
    const uint32_t n_in = rc_input_count(image), n_out = rc_output_count(image);
    void *const arena = room(rc_arena_bytes(image));
    uint32_t i, k;

    for (i = 0u; i < n_in; i++) {
        inputs[i] = sources[i] = room(rc_input_size(image, i) * sizeof(element));
        for (k = 0u; k < rc_input_size(image, i); k++) {
            sources[i][k] = (element)((int32_t)(k * 37u % 256u) - 128);
        }
    }
    for (i = 0u; i < n_out; i++) {
        outputs[i] = room(rc_output_size(image, i) * sizeof(element));
    }
    if (RUN(image, inputs, outputs, arena) != RC_OK) {
        abort(); /* what was checked runs */
    }
    if (RUN(image, NULL, outputs, arena) != RC_ERROR_NULL || RUN(image, inputs, NULL, arena) != RC_ERROR_NULL ||
        RUN(image, inputs, outputs, (uint8_t *)arena + 2) != RC_ERROR_ALIGNMENT ||
        (RUN(image, inputs, outputs, NULL) == RC_ERROR_NULL) != (rc_arena_bytes(image) != 0u)) {
        abort();
    }
    for (i = 0u; i < n_in; i++) {
        free(sources[i]);
    }
    for (i = 0u; i < n_out; i++) {
        free(outputs[i]);
    }
    free(arena);
}

static rc_status try_image(const void *image, size_t size)
{
    const rc_status status = CHECK(image, size);

    if (status == RC_OK && is_small(image)) {
        run(image);
    }
    return status;
}

#if REPLAY

/* What has nothing to do with what an image holds. */
static int refuses_bad_pointers(void)
{
    uint32_t words[16] = {0u};
    const void *const odd = (const uint8_t *)words + 2;

    return CHECK(NULL, 64u) == RC_ERROR_NULL && CHECK(odd, 62u) == RC_ERROR_ALIGNMENT &&
           RUN(NULL, NULL, NULL, NULL) == RC_ERROR_NULL && RUN(odd, NULL, NULL, NULL) == RC_ERROR_ALIGNMENT &&
           RUN(words, NULL, NULL, NULL) == RC_ERROR_MAGIC;
}

int main(void)
{
    FILE *const file = fopen("images", "rb");
    uint32_t size;

    if (file == NULL) {
        return 92;
    }
    if (!refuses_bad_pointers()) {
        return 94;
    }
    while (fread(&size, 4, 1, file) == 1) {
        void *const image = malloc(size != 0u ? size : 1u);
        if (image == NULL || fread(image, 1, size, file) != size) {
            return 93;
        }
        printf("%08x\n", (unsigned)try_image(image, size));
        free(image);
    }
    fclose(file);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static uint32_t crc32(const uint8_t *bytes, size_t n)
{
    uint32_t crc = ~0u;
    int bit;

    for (; n != 0u; n--) {
        crc ^= *bytes++;
        for (bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0u - (crc & 1u) & 0xEDB88320u);
        }
    }
    return ~crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = size & ~(size_t)3u;
    const uint32_t header[4] = {0x4D494352u, 2u, (uint32_t)(16u + n), crc32(data, n)};
    uint8_t *const image = room(16u + n);

    memcpy(image, header, 16u);
    memcpy(image + 16, data, n);
    (void)try_image(image, 16u + n);
    free(image);
    return 0;
}

/* Half of the time libFuzzer's own mutations; otherwise a word becomes another word of the image, a little more or less,
 * or the end of some range: sizes, places and offsets are words. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    static const uint32_t ends[8] = {0u, 1u, 0x7Fu, 0xFFu, 0x00FFFFFFu, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu};
    const uint32_t n = (uint32_t)(size / 4u);
    uint32_t random = seed, at, word;

    if ((random & 1u) != 0u || n == 0u) {
        return LLVMFuzzerMutate(data, size, most);
    }
    random = random * 1664525u + 1013904223u;
    at = (random >> 8) % n;
    memcpy(&word, data + 4u * at, 4u);
    random = random * 1664525u + 1013904223u;
    switch (random >> 30) {
    case 0u: memcpy(&word, data + 4u * ((random >> 8) % n), 4u); break;
    case 1u: word = ends[random >> 8 & 7u]; break;
    case 2u: word += (random >> 8 & 15u) - 8u; break;
    default: word += 4u * ((random >> 8 & 15u) - 8u); break;
    }
    memcpy(data + 4u * at, &word, 4u);
    return size;
}

#endif
