/* rc_image.c - what a checked flash image needs. */
#include "rc_image.h"

#include "rc_record.h"

uint32_t rc_arena_bytes(const void *image)
{
    return ((const uint32_t *)image)[RC_HEADER_ARENA];
}

uint32_t rc_input_count(const void *image)
{
    return ((const uint32_t *)image)[RC_HEADER_INPUTS];
}

uint32_t rc_output_count(const void *image)
{
    return ((const uint32_t *)image)[RC_HEADER_OUTPUTS];
}

uint32_t rc_input_size(const void *image, uint32_t index)
{
    return ((const uint32_t *)image)[RC_HEADER_WORDS + index];
}

uint32_t rc_output_size(const void *image, uint32_t index)
{
    return ((const uint32_t *)image)[RC_HEADER_WORDS + rc_input_count(image) + index];
}
