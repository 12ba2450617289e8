"""Every way in which an int8 flash image breaks a constraint of its format, as changes of a good one."""

from __future__ import annotations

import numpy as np
from checks.images import ARENA, ELEMENTS, Mutation, Words, at_step, both, first_step, steps_of

from exporters.blob.image import KERNELS

# Words of steps: behind the places (5), bytes have offsets of weights, biases, factors and shifts, then sizes; streams
# have five words of a weight, then biases, factors and shifts, then sizes
WEIGHTS, BIAS, FACTORS, SHIFTS = 5, 6, 7, 8
PIXELS_END = 9 + 15  # zero point, that of the input, scratch
STREAM_BIAS, STREAM_FACTORS, STREAM_SHIFTS, STREAM_END = 10, 11, 12, 13 + 15
POOL = STREAM_END + 3  # sizes of the pool behind a convolution


def in_table(kernel: str, word: int, dtype: str, index: int, value: int) -> Mutation:
    """Change an element of a table that the first step of a kernel reads."""

    def change(words: Words) -> None:
        offset = int(words[first_step(words, kernel) + word])
        words.view(dtype)[offset // np.dtype(dtype).itemsize + index] = value

    return change


def apart(kernel: str, x: int, y: int, scratch: int | None, *, arena: int = 1 << 16) -> Mutation:
    """Give a step a large arena and places in it; scratch is the word of its place and an offset."""

    def change(words: Words) -> None:
        words[ARENA] = arena
        at = first_step(words, kernel)
        words[at + 1 : at + 5] = 0, x, 0, y
        if scratch is not None:
            words[at + scratch_word(kernel)] = scratch

    return change


def scratch_word(kernel: str) -> int:
    stream = {"q_conv_stream": STREAM_END + 2, "q_conv_pool": STREAM_END + 2}
    return {"q_gemm": 13, "q_conv_points": 14, "q_conv_pixels": PIXELS_END + 2, **stream}[kernel]


def of_bytes(word: int, value: int) -> Mutation:
    """Change a word of the convolution that streams bytes."""

    def change(words: Words) -> None:
        at = next(at for kernel, at in steps_of(words) if kernel == KERNELS["q_conv_stream"] and words[at + 7] == 0)
        words[at + word] = value

    return change


TABLE: list[tuple[str, str, Mutation]] = [
    # constraint, what rc_q_check says, what is done to the words of a good image (checksum repaired)
    ("H8 an image of float32", "ELEMENTS", lambda w: w.__setitem__(ELEMENTS, 4)),
    ("H8 elements of no bytes", "ELEMENTS", lambda w: w.__setitem__(ELEMENTS, 0)),
    ("H6 an arena of 6 bytes", "STEP", lambda w: w.__setitem__(ARENA, 6)),
    ("S2 a kernel of float32", "STEP", at_step("q_clamp", 0, 7 | 8 << 16)),
    ("S2 an unknown kernel", "STEP", at_step("q_clamp", 0, 50 | 8 << 16)),
    ("S3 one word too few", "STEP", at_step("q_clamp", 0, 44 | 7 << 16)),
    ("S4 an empty arena", "BUFFER", lambda w: w.__setitem__(ARENA, 0)),
    ("S4 an element past the end", "BUFFER", at_step("q_clamp", 2, 0x7FFFFFFF)),
    ("S4 one column more than the input has", "BUFFER", at_step("q_gemm_stream", 14, 1000)),
    ("S4 a second operand outside", "BUFFER", at_step("q_add", 6, 0x7FFFFFFF)),
    ("S4 a copy of nothing", "BUFFER", at_step("q_copy", 5, 0)),
    ("S5 a streamed layer in place", "BUFFER", apart("q_gemm_stream", 0, 0, None)),
    ("S5 a streamed convolution in place", "BUFFER", apart("q_conv_stream", 0, 0, 4096)),
    ("S5 a mean in place", "BUFFER", apart("q_global_mean", 0, 0, None)),
    ("S5 a padding in place", "BUFFER", apart("q_pad", 0, 4, None)),
    ("S6 stride 0", "STEP", at_step("q_conv_pixels", 9 + 8, 0)),
    ("S6 group 0", "STEP", at_step("q_conv_depthwise", 9 + 14, 0)),
    ("S6 a huge pad", "STEP", at_step("q_conv_stream", 13 + 10, 0xFFFFFFFF)),
    (
        "S6 a kernel and channels beyond 2^31",
        "STEP",
        both(*(at_step("q_conv_pixels", 9 + k, 0xFFFFFF) for k in (6, 7))),
    ),
    ("S6 a plane of 2^48 sums", "STEP", both(*(at_step("q_conv_stream", 13 + k, 0xFFFFFF) for k in (3, 4)))),
    ("S4 an input of 2^48", "BUFFER", both(*(at_step("q_conv_pixels", 9 + k, 0xFFFFFF) for k in (0, 1)))),
    ("S4 an output of 2^48", "BUFFER", both(*(at_step("q_conv_pixels", 9 + k, 0xFFFFFF) for k in (3, 4)))),
    ("S8 a pad as wide as the kernel", "STEP", at_step("q_max_pool", 5 + 9, 2)),
    ("S8 a window past the end", "STEP", at_step("q_average_pool", 5 + 8, 0xFFFFFF)),
    ("S8 a window past the end of the plane between", "STEP", at_step("q_conv_pool", POOL + 7, 0xFFFFFF)),
    ("S9 blocks that overlap", "STEP", at_step("q_concat", 7, 1)),
    ("S10 a huge border", "STEP", at_step("q_pad", 10, 0xFFFFFFFF)),
    ("T1 a tensor past the end", "TENSOR", at_step("q_gemm_stream", 5, 0xFFFFFFF0)),
    ("T2 float32 values", "TENSOR", in_table("q_gemm_stream", 5, "u1", 0, 0x01)),
    ("T2 a codebook of float32", "TENSOR", in_table("q_conv_pool", 5, "u1", 0, 0x3B)),
    ("T7 more centroids than labels can name", "TENSOR", in_table("q_conv_pool", 5, "u1", 12, 9)),
    ("T7 a codebook longer than the tensor", "TENSOR", at_step("q_conv_pool", 6, 20)),
    ("T8 a zero point out of range", "TENSOR", in_table("q_gemm_stream", 5, "u2", 2 + 2 + 10, 300)),
    ("T12 a code without a table", "CODE", at_step("q_conv_pool", 8, 0)),
    ("T17 more entries than the stream has", "STREAM", in_table("q_conv_pool", 5, "u1", 4, 200)),
    ("Q1 weights past the end", "TENSOR", at_step("q_gemm", WEIGHTS, 0xFFFFFFF0)),
    (
        "Q1 weights of 2^32",
        "STEP",
        both(
            apart("q_gemm", 0, 0x20000, 0x40000, arena=1 << 20),
            at_step("q_gemm", 9, 0x10000),
            at_step("q_gemm", 10, 0x10000),
        ),
    ),
    ("Q1 weights that are not aligned", "TENSOR", lambda w: _moved(w, "q_conv_pixels", WEIGHTS, 2)),
    ("Q1 weights that end past the end", "TENSOR", lambda w: at_step("q_conv_depthwise", WEIGHTS, 4 * w.size - 4)(w)),
    ("Q1 biases past the end", "TENSOR", lambda w: at_step("q_conv_points", BIAS, 4 * w.size - 4)(w)),
    ("Q1 biases that are not aligned", "TENSOR", lambda w: _moved(w, "q_gemm_stream", STREAM_BIAS, 2)),
    ("Q1 factors past the end", "TENSOR", lambda w: at_step("q_conv_stream", STREAM_FACTORS, 4 * w.size - 4)(w)),
    ("Q1 shifts past the end", "TENSOR", lambda w: at_step("q_conv_pixels", SHIFTS, 4 * w.size)(w)),
    ("Q1 a table of fewer than 256 bytes", "TENSOR", lambda w: at_step("q_table", 5, 4 * w.size - 252)(w)),
    ("Q1 powers past the end", "TENSOR", lambda w: at_step("q_softmax", 5, 4 * w.size - 4)(w)),
    ("Q2 a zero point of 128", "STEP", at_step("q_gemm", 11, 128)),
    ("Q2 an input's zero point of -129", "STEP", at_step("q_conv_depthwise", PIXELS_END + 1, -129)),
    ("Q2 a zero point of a stream", "STEP", at_step("q_gemm_stream", 15, 1 << 30)),
    ("Q2 an input's zero point of a streamed convolution", "STEP", at_step("q_conv_stream", STREAM_END + 1, 200)),
    ("Q2 a mean's zero point", "STEP", at_step("q_global_mean", 7, 128)),
    ("Q2 a mean's zero point of outputs", "STEP", at_step("q_global_mean", 8, -200)),
    ("Q2 an Add's zero point of the first", "STEP", at_step("q_add", 8, 128)),
    ("Q2 an Add's zero point of the second", "STEP", at_step("q_add", 12, -129)),
    ("Q2 an Add's zero point of the output", "STEP", at_step("q_add", 16, 128)),
    ("Q2 padded with 300", "STEP", at_step("q_pad", 11, 300)),
    ("Q2 clamped from -129", "STEP", at_step("q_clamp", 6, -129)),
    ("Q2 clamped to 128", "STEP", at_step("q_clamp", 7, 128)),
    ("Q2 clamped from 5 to 4", "STEP", both(at_step("q_clamp", 6, 5), at_step("q_clamp", 7, 4))),
    ("Q3 a negative factor", "TENSOR", in_table("q_gemm", FACTORS, "i4", 3, -1)),
    ("Q3 a shift of 31", "TENSOR", in_table("q_conv_points", SHIFTS, "i1", 1, 31)),
    ("Q3 a shift of -33", "TENSOR", in_table("q_gemm_stream", STREAM_SHIFTS, "i1", 4, -33)),
    ("Q3 a negative factor of a mean", "STEP", at_step("q_global_mean", 9, -1)),
    ("Q3 a mean's shift of 31", "STEP", at_step("q_global_mean", 10, 31)),
    ("Q3 an Add's negative factor", "STEP", at_step("q_add", 17, -1)),
    ("Q3 an Add's shift of 31", "STEP", at_step("q_add", 18, 31)),
    (
        "Q3 sums shifted to the left before they are compared",
        "TENSOR",
        in_table("q_conv_pool", STREAM_SHIFTS, "i1", 0, -2),
    ),
    ("Q4 a bias of 2^30", "TENSOR", in_table("q_gemm", BIAS, "i4", 0, 1 << 30)),
    ("Q4 a bias of -2^31", "TENSOR", in_table("q_conv_depthwise", BIAS, "i4", 0, -(1 << 31))),
    ("Q4 a bias that the weights bring to 2^30", "TENSOR", in_table("q_conv_pixels", BIAS, "i4", 0, (1 << 30) - 1)),
    ("Q5 scratch past the end", "BUFFER", lambda w: at_step("q_gemm", 13, int(w[ARENA]))(w)),
    ("Q5 scratch that is not aligned", "BUFFER", apart("q_conv_pixels", 0, 4096, 8194)),
    ("Q5 scratch over the input", "BUFFER", apart("q_conv_pixels", 0, 4096, 4)),
    ("Q5 scratch over the output", "BUFFER", apart("q_conv_stream", 0, 4096, 4096)),
    ("Q5 scratch up to the output", "BUFFER", apart("q_conv_points", 0, 4096, 4092)),
    ("Q5 scratch over the output of a product", "BUFFER", apart("q_gemm", 0, 4096, 4096)),
    ("Q5 scratch behind 2^32", "BUFFER", apart("q_conv_pool", 0, 4096, 0xFFFFFFFC)),
    ("Q6 a convolution one element too late", "BUFFER", apart("q_conv_pixels", 4096, 4096, 0)),
    ("Q6 a depthwise one in place", "BUFFER", apart("q_conv_depthwise", 4096, 4096, None)),
    ("Q7 two groups pixel by pixel", "STEP", both(*(at_step("q_conv_pixels", 9 + k, 2) for k in (2, 5, 14)))),
    ("Q7 dilated pixel by pixel", "STEP", at_step("q_conv_pixels", 9 + 12, 2)),
    ("Q7 depthwise with one group", "STEP", at_step("q_conv_depthwise", 9 + 14, 1)),
    ("Q7 depthwise with more outputs", "STEP", at_step("q_conv_depthwise", 9 + 5, 10)),
    ("Q7 no pixels", "STEP", at_step("q_conv_points", 9, 0)),
    ("Q7 a product of nothing", "BUFFER", at_step("q_gemm", 10, 0)),
    ("Q8 a pool of another plane", "STEP", at_step("q_conv_pool", POOL, 3)),
    ("Q8 a pool of other channels", "STEP", at_step("q_conv_pool", POOL + 2, 3)),
    ("Q9 a window of 2^24", "STEP", both(*(at_step("q_average_pool", 5 + k, 4096) for k in (5, 6)))),
    ("Q9 a mean of 2^23 pixels", "STEP", at_step("q_global_mean", 5, 1 << 23)),
    ("Q10 no powers", "STEP", at_step("q_softmax", 6, 0)),
    ("Q10 257 powers", "STEP", at_step("q_softmax", 6, 257)),
    ("Q10 vectors of 8192", "STEP", at_step("q_softmax", 8, 8192)),
    ("Q10 a first power that counts for nothing", "TENSOR", in_table("q_softmax", 5, "i4", 0, 0x7FF)),
    ("Q10 a negative power", "TENSOR", in_table("q_softmax", 5, "i4", 1, -1)),
    ("Q11 shifted to the left by 23", "STEP", at_step("q_add", 10, 23)),
    ("Q11 shifted to the left by -1", "STEP", at_step("q_add", 14, -1)),
    ("Q11 shifted to the right by -1", "STEP", at_step("q_add", 11, -1)),
    ("Q11 shifted to the right by 31", "STEP", at_step("q_add", 15, 31)),
    ("Q11 a negative factor of the first", "STEP", at_step("q_add", 9, -1)),
    ("Q11 a negative factor of the second", "STEP", at_step("q_add", 13, -5)),
    ("Q12 a tensor as bytes", "TENSOR", at_step("q_conv_pool", 7, 0)),
    ("Q12 one byte less", "TENSOR", of_bytes(6, 7)),
    ("Q12 no bytes", "TENSOR", of_bytes(6, 0)),
    ("Q12 bytes with a table of gaps", "TENSOR", of_bytes(8, 64)),
    ("Q12 bytes with a table of integers", "TENSOR", of_bytes(9, 64)),
    ("Q12 bytes past the end", "TENSOR", lambda w: of_bytes(5, 4 * w.size - 4)(w)),
    ("Q12 bytes of too many columns", "TENSOR", both(*(of_bytes(13 + k, 0xFFFFF) for k in (6, 7)))),
]


def _moved(words: Words, kernel: str, word: int, by: int) -> None:
    words[first_step(words, kernel) + word] += by
