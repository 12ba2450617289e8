"""Integer networks: TFLite's int8 arithmetic to the last bit, with the rounding of each runtime as a named option."""

from refcompress.integer.network import IntegerNetwork, dequantized, real_bias, smallest
from refcompress.integer.quantization import Quantization, dequantize, quantize
from refcompress.integer.recognition import Agreement, compare_runtimes, which_runtime
from refcompress.integer.run import run_dequantized, run_integer, run_integer_all
from refcompress.integer.runtimes import RUNTIMES

__all__ = [
    "RUNTIMES",
    "Agreement",
    "IntegerNetwork",
    "Quantization",
    "compare_runtimes",
    "dequantize",
    "dequantized",
    "quantize",
    "real_bias",
    "run_dequantized",
    "run_integer",
    "run_integer_all",
    "smallest",
    "which_runtime",
]
