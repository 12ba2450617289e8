"""Every way in which a float32 flash image breaks a constraint of its format, as changes of a good one."""

from __future__ import annotations

import numpy as np
from checks.images import Mutation, Words, at_step, both, first_step


def at_tensor(kernel: int, byte: int, value: int) -> Mutation:
    """Change a byte of the weight of the first step of a kernel."""

    def change(words: Words) -> None:
        words.view(np.uint8)[int(words[first_step(words, kernel) + 5]) + byte] = value

    return change


def at_table(record: int, entry: int, value: int) -> Mutation:
    """Change a 16-bit word of a decode table of the first convolution; record 8 is that of gaps, 9 of integers."""

    def change(words: Words) -> None:
        words.view(np.uint16)[int(words[first_step(words, 2) + record]) // 2 + entry] = value

    return change


def zero_length(words: Words) -> None:
    """Take the code away from the first coded symbol of the gaps of the first convolution."""
    tensor = int(words[first_step(words, 2) + 5])
    raw = words.view(np.uint8)
    centroids = int(raw[tensor + 12]) | int(raw[tensor + 13]) << 8
    lengths = tensor + 16 + 4 * centroids + 2
    raw[lengths] = raw[lengths] & 0xF0 | (raw[lengths] & 15) % 15 + 1


GEMM, CONV_STREAM, CONV_PIXELS, MAX_POOL, AVERAGE_POOL, RELU, CLIP, SOFTMAX, NORM, ADD, CONCAT, PAD = (
    *(1, 2, 3, 4, 5, 6, 7, 10),
    *(11, 12, 13, 14),
)

TABLE: list[tuple[str, str, Mutation]] = [
    # constraint, what rc_check says, what is done to the words of a good image (checksum repaired)
    ("H2 another magic", "MAGIC", lambda w: w.__setitem__(0, 0x4D494353)),
    ("H3 the next version", "VERSION", lambda w: w.__setitem__(1, 3)),
    ("H3 the version before", "VERSION", lambda w: w.__setitem__(1, 1)),
    ("H8 elements of no known size", "ELEMENTS", lambda w: w.__setitem__(4, 2)),
    ("H8 an image of int8", "ELEMENTS", lambda w: w.__setitem__(4, 1)),
    ("H6 an arena of 6 bytes", "STEP", lambda w: w.__setitem__(5, 6)),
    ("H7 more inputs than the image has words", "STEP", lambda w: w.__setitem__(6, 0xFFFFFFFF)),
    ("H7 inputs and outputs whose sum wraps around", "STEP", lambda w: w.__setitem__(slice(6, 8), [0x80000000] * 2)),
    ("H7 an input of no elements", "STEP", lambda w: w.__setitem__(9, 0)),
    ("H7 an input of 2^31 elements", "STEP", lambda w: w.__setitem__(9, 0x80000000)),
    ("H7 a smaller input", "BUFFER", lambda w: w.__setitem__(9, w[9] - 1)),
    ("S1 more steps than there are", "STEP", lambda w: w.__setitem__(8, 0xFFFFFFFF)),
    ("S2 an unknown kernel", "STEP", at_step(SOFTMAX, 0, 16 | 7 << 16)),
    ("S2 kernel 0", "STEP", at_step(SOFTMAX, 0, 7 << 16)),
    ("S3 one word too few", "STEP", at_step(SOFTMAX, 0, 10 | 6 << 16)),
    ("S3 no words", "STEP", at_step(SOFTMAX, 0, 10)),
    ("S4 a smaller arena", "BUFFER", lambda w: w.__setitem__(5, w[5] - 4)),
    ("S4 an empty arena", "BUFFER", lambda w: w.__setitem__(5, 0)),
    ("S4 a place of no kind", "BUFFER", at_step(CLIP, 1, 3)),
    ("S4 a second arena", "BUFFER", at_step(CLIP, 1, 4)),
    ("S4 an input that does not exist", "BUFFER", at_step(CLIP, 1, 1 | 1 << 2)),
    ("S4 an output that does not exist", "BUFFER", at_step(CLIP, 3, 2 | 3 << 2)),
    ("S4 writing to an input", "BUFFER", at_step(CLIP, 3, 1)),
    ("S4 an element past the end", "BUFFER", at_step(CLIP, 2, 0x7FFFFFFF)),
    ("S4 an element whose end wraps around", "BUFFER", at_step(CLIP, 4, 0xFFFFFFFF)),
    ("S4 no elements", "BUFFER", at_step(CLIP, 5, 0)),
    ("S4 one element more", "BUFFER", lambda w: at_step(CLIP, 5, int(w[first_step(w, CLIP) + 5]) + 1000)(w)),
    ("S4 a second operand outside", "BUFFER", at_step(ADD, 6, 0x7FFFFFFF)),
    ("S4 rows times n wraps around to 0", "BUFFER", at_step(SOFTMAX, 5, 0x80000000)),
    ("S4 channels of a normalization", "BUFFER", at_step(NORM, 6, 0x10000)),
    ("S5 a pool in place", "BUFFER", lambda w: at_step(MAX_POOL, 4, int(w[first_step(w, MAX_POOL) + 2]))(w)),
    ("S6 group 0", "STEP", at_step(CONV_STREAM, 25, 0)),
    ("S6 a group that does not divide the channels", "STEP", at_step(CONV_STREAM, 25, 3)),
    ("S6 stride 0", "STEP", at_step(CONV_STREAM, 19, 0)),
    ("S6 dilation 0", "STEP", at_step(CONV_STREAM, 24, 0)),
    ("S6 a huge stride", "STEP", at_step(CONV_STREAM, 20, 0x01000000)),
    ("S6 a huge pad", "STEP", at_step(CONV_STREAM, 21, 0xFFFFFFFF)),
    ("S6 a kernel of no height", "STEP", at_step(CONV_STREAM, 17, 0)),
    (
        "S6 a huge kernel and a huge dilation",
        "STEP",
        lambda w: (at_step(CONV_PIXELS, 17, 0x00FFFFFF)(w), at_step(CONV_PIXELS, 23, 0x00FFFFFF)(w)),
    ),
    ("S6 a group that divides the inputs alone", "STEP", at_step(CONV_STREAM, 25, 2)),
    ("S6 a wide kernel and dilation", "STEP", both(*(at_step(CONV_STREAM, k, 0xFFFFFF) for k in (18, 24)))),
    ("S6 many rows far apart", "STEP", both(*(at_step(CONV_STREAM, k, 0xFFFFFF) for k in (14, 19)))),
    ("S6 many columns far apart", "STEP", both(*(at_step(CONV_STREAM, k, 0xFFFFFF) for k in (15, 20)))),
    ("S7 a streamed weight pixel by pixel", "STEP", at_step(CONV_STREAM, 0, 3 | 26 << 16)),
    ("S8 a pad as wide as the kernel", "STEP", at_step(MAX_POOL, 14, 2)),
    ("S8 a pad to the left as wide as the kernel", "STEP", at_step(MAX_POOL, 15, 2)),
    ("S8 a kernel of 2^48", "STEP", both(*(at_step(MAX_POOL, k, 0xFFFFFF) for k in (10, 11)))),
    ("S8 stride 0", "STEP", at_step(MAX_POOL, 12, 0)),
    ("S8 a window past the end", "STEP", at_step(MAX_POOL, 12, 0x00FFFFFF)),
    ("S8 a flag that is none", "STEP", at_step(AVERAGE_POOL, 16, 2)),
    ("S9 blocks further apart than nothing", "STEP", at_step(CONCAT, 7, 0)),
    ("S9 blocks that overlap", "STEP", at_step(CONCAT, 7, 1)),
    ("S9 empty blocks", "STEP", at_step(CONCAT, 6, 0)),
    ("S9 too many blocks", "STEP", at_step(CONCAT, 5, 0x80000000)),
    ("S10 rows of nothing", "STEP", at_step(PAD, 6, 0)),
    ("S10 a huge border", "STEP", at_step(PAD, 10, 0xFFFFFFFF)),
    (
        "T1 a tensor that is not aligned",
        "TENSOR",
        lambda w: w.__setitem__(first_step(w, 2) + 5, w[first_step(w, 2) + 5] + 2),
    ),
    ("T1 a tensor past the end", "TENSOR", at_step(CONV_STREAM, 5, 0xFFFFFFF0)),
    ("T1 a tensor longer than the image", "TENSOR", at_step(CONV_STREAM, 6, 0xFFFFFFFF)),
    ("T1 a tensor of 3 bytes", "TENSOR", at_step(CONV_STREAM, 6, 3)),
    ("T1 a kernel of 2^48", "TENSOR", both(*(at_step(CONV_STREAM, k, 0xFFFFFF) for k in (17, 18)))),
    ("T2 both codebook and linear", "TENSOR", at_tensor(CONV_STREAM, 0, 0x37)),
    ("T2 the highest bit", "TENSOR", at_tensor(CONV_STREAM, 0, 0xBB)),
    ("T2 escapes without sparse rows", "TENSOR", at_tensor(CONV_PIXELS, 0, 0x08)),
    ("T3 labels of no bits", "TENSOR", at_tensor(CONV_STREAM, 1, 0)),
    ("T3 integers of 17 bits", "TENSOR", at_tensor(GEMM, 1, 17)),
    ("T3 float32 of 3 bits", "TENSOR", at_tensor(CONV_PIXELS, 1, 3)),
    ("T4 gaps of no bits", "TENSOR", at_tensor(CONV_STREAM, 2, 0)),
    ("T4 gaps of 13 bits", "TENSOR", at_tensor(CONV_STREAM, 2, 13)),
    ("T4 joint symbols of 17 bits", "TENSOR", at_tensor(GEMM, 1, 16)),
    ("T5 four streams", "TENSOR", at_tensor(CONV_STREAM, 3, 0x22)),
    ("T6 a tensor that ends in its counts", "TENSOR", at_step(CONV_STREAM, 6, 11)),
    ("T6 a tensor that ends before its scales", "TENSOR", at_step(GEMM, 6, 12)),
    (
        "T6 a tensor that ends before it counts its values",
        "TENSOR",
        both(at_tensor(CONV_PIXELS, 0, 1), at_tensor(CONV_PIXELS, 2, 1), at_step(CONV_PIXELS, 6, 12)),
    ),
    ("T7 no centroids", "TENSOR", at_tensor(CONV_STREAM, 12, 0)),
    ("T7 more centroids than labels can name", "TENSOR", at_tensor(CONV_STREAM, 12, 9)),
    ("T7 a codebook longer than the tensor", "TENSOR", at_tensor(CONV_STREAM, 13, 0x0F)),
    ("T8 two scales for four rows", "TENSOR", at_tensor(GEMM, 12, 2)),
    ("T8 one zero point for several scales where there is one", "TENSOR", at_tensor(GEMM, 15, 0x80)),
    ("T8 a zero point out of range", "TENSOR", at_tensor(GEMM, 20, 200)),
    ("T9 one value too few", "TENSOR", at_step(CONV_PIXELS, 6, 4 + 4 * 36 - 4)),
    ("T9 four bytes behind the values", "STREAM", at_step(CONV_PIXELS, 6, 4 + 4 * 36 + 4)),
    ("T10 an alphabet too wide for the gaps", "CODE", at_tensor(CONV_STREAM, 45, 1)),
    ("T10 a tensor that ends before its code", "CODE", at_step(CONV_STREAM, 6, 45)),
    ("T11 lengths that make no code", "CODE", zero_length),
    ("T12 a code without a table", "CODE", at_step(CONV_STREAM, 8, 0)),
    ("T12 a table past the end", "CODE", at_step(CONV_STREAM, 9, 0x7FFFFFFC)),
    ("T12 a table without a code", "CODE", at_step(GEMM, 8, 64)),
    ("T13 a table of 13 bits", "CODE", at_table(8, 0, 13)),
    ("T13 another number of codes of a length", "CODE", at_table(8, 3, 9)),
    ("T14 an entry of another symbol", "CODE", at_table(9, 18, 0x7FF1)),
    ("T14 an entry of no length", "CODE", at_table(9, 18, 0)),
    ("T13 a table that ends past the end", "CODE", at_table(8, 1, 0xFFFF)),
    ("T15 another number of long symbols", "CODE", at_table(8, 1, 0)),
    ("T15 a long symbol that is none", "CODE", at_table(8, 20, 4095)),
    ("T16 a stream elsewhere", "TENSOR", lambda w: w.__setitem__(first_step(w, 2) + 7, w[first_step(w, 2) + 7] + 1)),
    ("T17 more entries than the stream has", "STREAM", at_tensor(CONV_STREAM, 4, 200)),
    ("T17 fewer entries than the stream has", "STREAM", at_tensor(CONV_STREAM, 4, 1)),
    ("T18 entries behind the matrix", "STREAM", at_step(GEMM, 11, 1)),
    ("T21 a bias that is no tensor", "TENSOR", at_step(GEMM, 10, 4)),
    ("T21 a bias past the end", "TENSOR", at_step(GEMM, 10, 0xFFFFFFFC)),
    ("T21 a factor that is missing", "TENSOR", at_step(NORM, 7, 0)),
]
