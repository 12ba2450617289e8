/* rc_image.h - networks as flash images: checked once, then run in place any number of times. */
#ifndef RC_IMAGE_H
#define RC_IMAGE_H

#include "rc.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__AVR__)
#error "images are read like any memory, which an AVR's flash is not; export the network as C"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Check an image of float32 activations (rc_check) or of int8 ones (rc_q_check): its magic, version, size and checksum,
 * and everything that the run would rely on, so that no read can leave the image and no access the arena, the inputs or
 * the outputs. Needs no memory but some stack. The image is aligned to 4 bytes and not longer than `size` bytes. */
RC_MUST_USE rc_status rc_check(const void *image, size_t size);
RC_MUST_USE rc_status rc_q_check(const void *image, size_t size);

/* Compute the outputs. The image was checked. inputs, outputs and arena have the sizes below and do not overlap; they
 * are aligned to 4 bytes (those of int8 need not, but the arena). The arena may be NULL if it takes no bytes. */
RC_MUST_USE rc_status rc_run(const void *image, const float *const *inputs, float *const *outputs, void *arena);
RC_MUST_USE rc_status rc_q_run(const void *image, const int8_t *const *inputs, int8_t *const *outputs, void *arena);

/* What a checked image needs: bytes of the arena, inputs and outputs, elements (float or int8) of each of them. */
uint32_t rc_arena_bytes(const void *image);
uint32_t rc_input_count(const void *image);
uint32_t rc_output_count(const void *image);
uint32_t rc_input_size(const void *image, uint32_t index);
uint32_t rc_output_size(const void *image, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
