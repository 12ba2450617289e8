"""LeNet-5 as Caffe ships it: two convolutions without Relu and two dense layers, 431,080 parameters.

The compression literature means this network by LeNet-5 (Han, Mao & Dally, ICLR 2016, section 5.1), not the
one of LeCun et al. 1998, which has about 60,000 parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refcompress.graph import Graph, TensorSpec
from reference_models.layers import Layer, chain, conv, gemm, glorot_uniform, he_normal, max_pool

if TYPE_CHECKING:
    import numpy as np

PARAMETER_COUNT = 431_080


def build(rng: np.random.Generator) -> Graph:
    """Make the network with random weights; it takes images (28, 28, 1) and returns 10 probabilities.

    Parameters
    ----------
    rng
        Source of the weights; the same state gives the same network.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.random.default_rng(0)).params["conv2/weight"].shape
    (5, 5, 20, 50)

    """
    layers = [
        conv("conv1", glorot_uniform(rng, (5, 5, 1, 20))),
        max_pool("pool1", 2),
        conv("conv2", glorot_uniform(rng, (5, 5, 20, 50))),
        max_pool("pool2", 2),
        Layer("Flatten", "flatten"),
        gemm("ip1", he_normal(rng, (800, 500))),
        Layer("Relu", "relu1"),
        gemm("ip2", glorot_uniform(rng, (500, 10))),
        Layer("Softmax", "probabilities"),
    ]
    return chain(TensorSpec("image", (28, 28, 1)), layers)
