"""LeNet-300-100: two hidden layers for MNIST, 266,610 parameters (LeCun et al., Proc. IEEE 1998)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refcompress.graph import Graph, TensorSpec
from reference_models.layers import Layer, chain, gemm, glorot_uniform, he_normal

if TYPE_CHECKING:
    import numpy as np

PARAMETER_COUNT = 266_610


def build(rng: np.random.Generator) -> Graph:
    """Make the network with random weights; it takes images (28, 28, 1) and returns 10 probabilities.

    Parameters
    ----------
    rng
        Source of the weights; the same state gives the same network.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.random.default_rng(0)).params["ip1/weight"].shape
    (784, 300)

    """
    layers = [
        Layer("Flatten", "flatten"),
        gemm("ip1", he_normal(rng, (784, 300))),
        Layer("Relu", "relu1"),
        gemm("ip2", he_normal(rng, (300, 100))),
        Layer("Relu", "relu2"),
        gemm("ip3", glorot_uniform(rng, (100, 10))),
        Layer("Softmax", "probabilities"),
    ]
    return chain(TensorSpec("image", (28, 28, 1)), layers)
