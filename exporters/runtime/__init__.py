"""The C99 runtime: its sources, and which of them a set of kernels needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

_INCLUDE = re.compile(rb'#include "(rc[a-z_]*\.h)"')

# Kernel of a program -> the sources that define it; headers are found by their includes.
SOURCES: dict[str, tuple[str, ...]] = {
    "add": ("rc_merge.c",),
    "average_pool": ("rc_pool.c",),
    "batch_norm": ("rc_batch_norm.c",),
    "clip": ("rc_activation.c",),
    "concat": ("rc_merge.c",),
    "conv": ("rc_conv.c", "rc_plane.c", "rc_stream.c"),
    "conv_pixels": ("rc_conv_pixels.c",),
    "gemm": ("rc_gemm.c", "rc_stream.c"),
    "gemm_dense_float32": ("rc_gemm_dense.c",),
    "max_pool": ("rc_pool.c",),
    "pad": ("rc_pad.c",),
    "relu": ("rc_activation.c",),
    "sigmoid": ("rc_sigmoid.c", "rc_math.c"),
    "softmax": ("rc_softmax.c", "rc_math.c"),
    "tanh": ("rc_sigmoid.c", "rc_math.c"),
}
INTEGER_SOURCES: dict[str, tuple[str, ...]] = {
    "q_add": ("rc_q.c", "rc_q_add.c"),
    "q_average_pool": ("rc_q_pool.c",),
    "q_clamp": ("rc_q_activation.c",),
    "q_concat": ("rc_q_concat.c",),
    "q_conv_depthwise": ("rc_q.c", "rc_q_conv_depthwise.c"),
    "q_conv_pixels": ("rc_q.c", "rc_q_conv_pixels.c", "rc_q_rows.c"),
    "q_conv_points": ("rc_q.c", "rc_q_conv_points.c", "rc_q_rows.c"),
    "q_conv_stream": ("rc_q.c", "rc_q_conv_stream.c", "rc_q_plane.c", "rc_stream.c"),
    "q_gemm": ("rc_q.c", "rc_q_gemm.c", "rc_q_rows.c"),
    "q_gemm_stream": ("rc_q.c", "rc_q_gemm_stream.c", "rc_stream.c"),
    "q_global_mean": ("rc_q.c", "rc_q_mean.c"),
    "q_max_pool": ("rc_q_pool.c",),
    "q_pad": ("rc_q_pad.c",),
    "q_softmax": ("rc_q_softmax.c",),
    "q_table": ("rc_q_activation.c",),
}
_MATH = ("rc_exponential.c", "rc_math.c")
C_SOURCES: dict[str, tuple[str, ...]] = {
    "q_gemm_fields": ("rc_q.c", "rc_q_gemm_fields.c", "rc_q_rows.c"),
    "abs": ("rc_elementwise.c",),
    "arrange": ("rc_arrange.c",),
    **{f"broadcast_{name}": ("rc_broadcast.c",) for name in ("add", "div", "max", "min", "mul", "prelu", "sub")},
    "broadcast_pow": ("rc_pow.c",),
    "celu": _MATH,
    "center": ("rc_normalization.c", "rc_sqrt.c"),
    "conv_pooled": ("rc_conv_pooled.c", "rc_plane.c", "rc_stream.c"),
    "conv_transpose": ("rc_conv_transpose.c", "rc_stream.c"),
    "elu": _MATH,
    "elu_one": _MATH,
    "erf": _MATH,
    "exp": _MATH,
    "gather": ("rc_gather.c", "rc_stream.c"),
    "gelu": _MATH,
    "gelu_tanh": _MATH,
    "gru_reset_after": ("rc_gru.c", "rc_recurrent.c"),
    "gru_reset_before": ("rc_gru.c", "rc_recurrent.c"),
    "hard_sigmoid": ("rc_elementwise.c",),
    "hard_sigmoid_fifth": ("rc_elementwise.c",),
    "hard_sigmoid_sixth": ("rc_elementwise.c",),
    "hard_swish": ("rc_elementwise.c",),
    "leaky_relu": ("rc_elementwise.c",),
    "log": ("rc_log.c", "rc_math.c"),
    "log_softmax": ("rc_log_softmax.c", "rc_log.c", "rc_math.c"),
    "lstm": ("rc_lstm.c", "rc_recurrent.c"),
    "mish": _MATH,
    "multiply_matrices": ("rc_matmul.c",),
    "not_equal": ("rc_elementwise.c",),
    "reciprocal": ("rc_elementwise.c",),
    **{f"reduce_{name}": ("rc_reduce.c",) for name in ("max", "mean", "min", "sum")},
    "resize_linear": ("rc_resize.c",),
    "resize_nearest": ("rc_resize.c",),
    "rnn": ("rc_recurrent.c",),
    "root_mean_square": ("rc_normalization.c", "rc_sqrt.c"),
    "selu": _MATH,
    "softplus": ("rc_log.c", "rc_math.c"),
    "softsign": ("rc_elementwise.c",),
    "sqrt": ("rc_sqrt.c",),
    "strips": ("rc_strips.c",),  # and of integer networks
    "swish": _MATH,
    "thresholded_relu": ("rc_elementwise.c",),
    "unit_length": ("rc_normalization.c", "rc_sqrt.c"),
}  # of float networks too, but flash images have none of them
# The checker and the interpreter of flash images: what both kinds share, then of float32 and of int8.
SHARED_IMAGE_SOURCES = (
    *("rc_image.c", "rc_record.c", "rc_check_image.c", "rc_check_sizes.c"),
    *("rc_check_tensor.c", "rc_check_code.c", "rc_stream.c"),
)
FLOAT_IMAGE_SOURCES = ("rc_check.c", "rc_run.c", "rc_step.c")
INTEGER_IMAGE_SOURCES = ("rc_q_check.c", "rc_q_check_lag.c", "rc_q_check_rows.c", "rc_q_run.c", "rc_q_step.c")


@cache
def source(name: str) -> bytes:
    """Bytes of one file of the runtime.

    Examples
    --------
    >>> source("rc.h").startswith(b"/* rc.h")
    True

    """
    return resources.files(__name__).joinpath(name).read_bytes()


def files_for(kernels: Iterable[str]) -> dict[str, bytes]:
    """Return the files that these kernels need, headers first.

    Parameters
    ----------
    kernels
        Keys of :data:`SOURCES`, :data:`C_SOURCES` and :data:`INTEGER_SOURCES`.

    Examples
    --------
    >>> list(files_for(["relu"]))
    ['rc.h', 'rc_activation.h', 'rc_config.h', 'rc_activation.c']

    """
    groups = SOURCES | C_SOURCES | INTEGER_SOURCES
    return _with_headers({name for kernel in kernels for name in groups[kernel]})


def image_files(*, integers: bool) -> dict[str, bytes]:
    """Return the checker, the interpreter and every kernel of flash images of int8, or of float32.

    Examples
    --------
    >>> "rc_q_run.c" in image_files(integers=True), "rc_run.c" in image_files(integers=True)
    (True, False)

    """
    groups = INTEGER_SOURCES if integers else SOURCES
    kernels = {name for group in groups.values() for name in group}
    return _with_headers(
        {*kernels, *SHARED_IMAGE_SOURCES, *(INTEGER_IMAGE_SOURCES if integers else FLOAT_IMAGE_SOURCES)}
    )


def _with_headers(sources: set[str]) -> dict[str, bytes]:
    headers = {"rc.h"}
    todo = [*sources, *headers]
    while todo:
        found = {match.decode() for match in _INCLUDE.findall(source(todo.pop()))}
        todo += sorted(found - headers)
        headers |= found
    return {name: source(name) for name in [*sorted(headers), *sorted(sources)]}
