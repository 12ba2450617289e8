"""How much stack a run takes: the deepest of the kernels in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

RUN_BYTES = 64  # of the generated function itself

# Kernel to the bytes below its deepest call: the most on Cortex-M0 to M33 and RV32IMC with GCC, -O2 and -Os, float
# arithmetic of cores without an FPU included. The tests compile every kernel and follow its calls.
STACK_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "abs": 160,
        "add": 128,
        "arrange": 80,
        "average_pool": 224,
        "batch_norm": 144,
        "broadcast_add": 256,
        "broadcast_div": 256,
        "broadcast_max": 256,
        "broadcast_min": 256,
        "broadcast_mul": 256,
        "broadcast_pow": 320,
        "broadcast_prelu": 256,
        "broadcast_sub": 256,
        "celu": 240,
        "center": 272,
        "clip": 144,
        "concat": 128,
        "conv": 496,
        "conv_pixels": 480,
        "conv_pooled": 560,
        "conv_transpose": 304,
        "elu": 240,
        "elu_one": 240,
        "erf": 240,
        "exp": 240,
        "gather": 272,
        "gelu": 240,
        "gelu_tanh": 240,
        "gemm": 240,
        "gemm_dense_float32": 256,
        "gru_reset_after": 752,
        "gru_reset_before": 752,
        "hard_sigmoid": 160,
        "hard_sigmoid_fifth": 160,
        "hard_sigmoid_sixth": 160,
        "hard_swish": 160,
        "leaky_relu": 160,
        "log": 192,
        "log_softmax": 240,
        "lstm": 768,
        "max_pool": 224,
        "mish": 240,
        "multiply_matrices": 320,
        "not_equal": 160,
        "pad": 144,
        "q_add": 208,
        "q_average_pool": 192,
        "q_clamp": 32,
        "q_concat": 128,
        "q_conv_depthwise": 320,
        "q_conv_pixels": 288,
        "q_conv_points": 288,
        "q_conv_stream": 416,
        "q_gemm": 256,
        "q_gemm_fields": 416,
        "q_gemm_stream": 272,
        "q_global_mean": 160,
        "q_max_pool": 192,
        "q_pad": 128,
        "q_softmax": 224,
        "q_table": 32,
        "reciprocal": 160,
        "reduce_max": 272,
        "reduce_mean": 272,
        "reduce_min": 272,
        "reduce_sum": 272,
        "relu": 144,
        "resize_linear": 240,
        "resize_nearest": 240,
        "rnn": 720,
        "root_mean_square": 272,
        "selu": 240,
        "sigmoid": 208,
        "softmax": 240,
        "softplus": 192,
        "softsign": 160,
        "sqrt": 144,
        "strips": 192,
        "swish": 240,
        "tanh": 208,
        "thresholded_relu": 160,
        "unit_length": 272,
    }
)


def stack_bytes(kernels: Iterable[str]) -> int:
    """Return the most bytes of stack that a network of these kernels takes.

    Parameters
    ----------
    kernels
        Keys of :data:`STACK_BYTES`.

    Examples
    --------
    >>> stack_bytes(["relu"]) < stack_bytes(["relu", "conv"])
    True

    """
    return RUN_BYTES + max((STACK_BYTES[kernel] for kernel in kernels), default=0)
