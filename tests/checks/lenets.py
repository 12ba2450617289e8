"""The LeNets that come with the project, in int8."""

from __future__ import annotations

import refcompress
from refcompress import Graph
from refcompress.integer import IntegerNetwork, smallest
from reference_models.data import Splits

CALIBRATION_IMAGES = 500


def in_int8(graph: Graph, data: Splits) -> IntegerNetwork:
    """Quantize a network, calibrated by the first training images, and store it in the fewest bytes."""
    calibration = data.train.x[:CALIBRATION_IMAGES].reshape(CALIBRATION_IMAGES, *graph.inputs[0].shape)
    return smallest(refcompress.quantize_network(graph, calibration))
