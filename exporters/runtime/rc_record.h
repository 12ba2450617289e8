/* rc_record.h - the words of a flash image (exporters/blob/SPEC.md) that images of both kinds share: header, places,
 * weights and decode tables. */
#ifndef RC_RECORD_H
#define RC_RECORD_H

#include "rc.h"
#include "rc_weights.h"

#define RC_IMAGE_MAGIC 0x4D494352u /* "RCIM" on a little-endian machine, which a target must be */
#define RC_IMAGE_VERSION 2u

/* Words of the header; sizes of inputs and outputs and the steps follow. */
#define RC_HEADER_MAGIC 0u
#define RC_HEADER_VERSION 1u
#define RC_HEADER_SIZE 2u
#define RC_HEADER_CRC 3u
#define RC_HEADER_ELEMENTS 4u
#define RC_HEADER_ARENA 5u
#define RC_HEADER_INPUTS 6u
#define RC_HEADER_OUTPUTS 7u
#define RC_HEADER_STEPS 8u
#define RC_HEADER_WORDS 9u

/* What activations are made of: bytes of an element. */
#define RC_ELEMENTS_INT8 1u
#define RC_ELEMENTS_FLOAT32 4u

/* Words of every step: its kernel and the number of its words << 16, where it reads and writes (kind | index << 2,
 * then an element), then what its kernel takes. */
#define RC_STEP_X 1u
#define RC_STEP_Y 3u
#define RC_STEP_ARGUMENTS 5u

#define RC_PLACE_ARENA 0u
#define RC_PLACE_INPUT 1u
#define RC_PLACE_OUTPUT 2u

/* Words of a step that streams a weight: the weight, then what its kernel takes. */
#define RC_RECORD_TENSOR 5u
#define RC_RECORD_BYTES 6u
#define RC_RECORD_STREAM 7u
#define RC_RECORD_GAP_TABLE 8u
#define RC_RECORD_INTEGER_TABLE 9u
#define RC_RECORD_ARGUMENTS 10u

#define RC_TENSOR_ESCAPE 0x08u /* bit of a packed tensor's form */
#define RC_ONE_ZERO_POINT 0x80000000u /* in the number of scales: one zero point for all of them */
#define RC_TENSOR_HEADER 4u    /* bytes before what a packed tensor holds */

/* A decode table: bits and long symbols (16 bits each), counts of 16 lengths, the table, the long symbols. */
#define RC_TABLE_COUNTS 2u
#define RC_TABLE_ENTRIES 18u

RC_INLINE uint32_t rc_step_kernel(const uint32_t *step)
{
    return step[0] & 0xFFFFu;
}

/* Is this an image of such elements, for this version? All that is asked of one that was checked. */
rc_status rc_record_open(const void *image, uint32_t elements);

/* The weight of a step that streams one, once it was checked; the values of a codebook of integers are its centroids. */
void rc_record_weights(const uint8_t *image, const uint32_t *step, uint32_t n_elements, rc_weights *weights);

/* The table of a Huffman code at an offset of the image. */
void rc_record_table(const uint8_t *image, uint32_t offset, rc_symbols *symbols);

#endif
