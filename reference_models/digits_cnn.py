"""A small convolutional network for the 8 by 8 images of the UCI digits, 29,914 parameters.

:mod:`reference_models.train_digits` trains it; the result is ``checkpoints/digits_cnn.h5``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refcompress.graph import Graph, TensorSpec
from reference_models.layers import Layer, chain, conv, gemm, glorot_uniform, he_normal, max_pool

if TYPE_CHECKING:
    import numpy as np

PARAMETER_COUNT = 29_914
DROPOUT = 0.25


def build(rng: np.random.Generator) -> Graph:
    """Make the network with random weights; it takes images (8, 8, 1) in 0..1 and returns 10 probabilities.

    Parameters
    ----------
    rng
        Source of the weights; the same state gives the same network.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.random.default_rng(0)).params["dense1/weight"].shape
    (512, 48)

    """
    layers = [
        conv("conv1", he_normal(rng, (3, 3, 1, 16)), pad=1),
        Layer("Relu", "relu1"),
        conv("conv2", he_normal(rng, (3, 3, 16, 32)), pad=1),
        Layer("Relu", "relu2"),
        max_pool("pool", 2),
        Layer("Flatten", "flatten"),
        Layer("Dropout", "dropout", {"ratio": DROPOUT}),
        gemm("dense1", he_normal(rng, (512, 48))),
        Layer("Relu", "relu3"),
        gemm("dense2", glorot_uniform(rng, (48, 10))),
        Layer("Softmax", "probabilities"),
    ]
    return chain(TensorSpec("image", (8, 8, 1)), layers)
