/* rc.h - version and results of the refcompress runtime; every generated header includes it. */
#ifndef RC_H
#define RC_H

/* Version of the interface between generated files and the runtime. */
#define RC_RUNTIME_VERSION 1

#if defined(__GNUC__) || defined(__clang__)
#define RC_MUST_USE __attribute__((warn_unused_result))
#else
#define RC_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function of the runtime returns; everything but RC_OK means that nothing was written. */
typedef enum rc_status {
    RC_OK = 0,
    RC_ERROR_NULL = 1,       /* a pointer is NULL */
    RC_ERROR_ALIGNMENT = 2,  /* a pointer is not aligned as a uint32_t is */
    RC_ERROR_MAGIC = 3,      /* this is no image */
    RC_ERROR_VERSION = 4,    /* the image was written for another version of the runtime; export it again */
    RC_ERROR_SIZE = 5,       /* the image is cut off, or longer than it says */
    RC_ERROR_CRC = 6,        /* the image was damaged */
    RC_ERROR_STEP = 7,       /* a step or its sizes do not make sense */
    RC_ERROR_BUFFER = 8,     /* a step would leave the arena, an input or an output */
    RC_ERROR_TENSOR = 9,     /* the bytes of a weight do not fit its step */
    RC_ERROR_CODE = 10,      /* a Huffman code or its table is invalid */
    RC_ERROR_STREAM = 11,    /* a stream ends early, or holds what its weight cannot have */
    RC_ERROR_ELEMENTS = 12   /* an image of int8 where one of float32 is expected, or the other way round */
} rc_status;

#ifdef __cplusplus
}
#endif

#endif
