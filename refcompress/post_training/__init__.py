"""Quantization of trained networks: from real numbers and calibration samples to an integer network."""

from refcompress.post_training.integer_weights import SCALES
from refcompress.post_training.network import quantize_network
from refcompress.post_training.ranges import RANGES

__all__ = ["RANGES", "SCALES", "quantize_network"]
