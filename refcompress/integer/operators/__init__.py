"""The integer forms of operators: the table INTEGER_OPS."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from refcompress.integer.operators import (
    add,
    average_pool,
    conv,
    gemm,
    global_average_pool,
    max_pool,
    moving,
    rescaling,
    softmax,
    tables,
)
from refcompress.integer.step import IntegerOp

INTEGER_OPS: Mapping[str, IntegerOp] = MappingProxyType(
    {
        "Add": add.OP,
        "AveragePool": average_pool.OP,
        "Clip": rescaling.CLIP,
        "Concat": moving.CONCAT,
        "Conv": conv.OP,
        "Dropout": moving.DROPOUT,
        "Flatten": moving.FLATTEN,
        "Gemm": gemm.OP,
        "GlobalAveragePool": global_average_pool.OP,
        "GlobalMaxPool": max_pool.GLOBAL_OP,
        "MaxPool": max_pool.OP,
        "Pad": moving.PAD,
        "Relu": rescaling.RELU,
        "Reshape": moving.RESHAPE,
        "Sigmoid": tables.SIGMOID,
        "Softmax": softmax.OP,
        "Tanh": tables.TANH,
    }
)

__all__ = ["INTEGER_OPS"]
