"""Forward and backward pass of the digits network in plain NumPy, for training it.

Nothing here uses the engine's operators, so that what :func:`refcompress.run` gives can be compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import decode
from refcompress.graph import Graph

Array = NDArray[np.float32]
Params = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What the backward pass needs of the forward pass.

    Attributes
    ----------
    x, a1, a2
        Input and the two convolutions after Relu, (n, 8, 8, channels).
    pooled
        (n, 4, 4, 32), times the dropout mask.
    hidden
        The dense layer after Relu, (n, 48).
    mask
        Dropout: 0 or 1 / (1 - ratio), the shape of ``pooled``; all ones at inference.

    """

    x: Array
    a1: Array
    a2: Array
    pooled: Array
    hidden: Array
    mask: Array


def params_of(graph: Graph) -> Params:
    """Return the arrays of a network by the names of the layers and their roles.

    Parameters
    ----------
    graph
        The network, built or loaded.

    Returns
    -------
    dict
        ``"conv1/weight"``, ``"conv1/bias"`` and so on, to float32 arrays.

    """
    return {f"{node.name}/{role}": decode(graph.params[name]) for node, role, name in graph.weights()}


def forward(params: Params, x: Array, mask: Array | None = None) -> tuple[Array, Kept]:
    """Compute the probabilities of the ten digits.

    Parameters
    ----------
    params
        Weights and biases as :func:`params_of` names them.
    x
        (n, 8, 8, 1), 0..1.
    mask
        Dropout mask (n, 4, 4, 32); None drops nothing.

    Returns
    -------
    tuple
        Probabilities (n, 10), and what :func:`backward` needs.

    """
    a1 = np.maximum(convolve(x, params["conv1/weight"]) + params["conv1/bias"], 0)
    a2 = np.maximum(convolve(a1, params["conv2/weight"]) + params["conv2/bias"], 0)
    pooled = _windows(a2).max(axis=(2, 4))
    mask = np.ones_like(pooled) if mask is None else mask
    pooled = pooled * mask
    flat = pooled.reshape(len(x), -1)
    hidden = np.maximum(flat @ params["dense1/weight"] + params["dense1/bias"], 0)
    scores = hidden @ params["dense2/weight"] + params["dense2/bias"]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), Kept(x, a1, a2, pooled, hidden, mask)


def backward(params: Params, kept: Kept, probabilities: Array, y: NDArray[np.int64]) -> Params:
    """Differentiate the mean cross-entropy by every parameter.

    Parameters
    ----------
    params, kept, probabilities
        As :func:`forward` took and gave them.
    y
        Classes (n,).

    Returns
    -------
    dict
        A gradient for each parameter, of its shape.

    """
    n = len(y)
    d_scores = (probabilities - np.eye(probabilities.shape[1], dtype=np.float32)[y]) / np.float32(n)
    d_hidden = (d_scores @ params["dense2/weight"].T) * (kept.hidden > 0)
    d_pooled = (d_hidden @ params["dense1/weight"].T).reshape(kept.pooled.shape) * kept.mask
    windows = _windows(kept.a2)
    # ties take the gradient several times; among positive values, which alone pass Relu, they are rare
    at_maximum = windows == windows.max(axis=(2, 4), keepdims=True)
    d_a2 = (d_pooled[:, :, None, :, None] * at_maximum).reshape(kept.a2.shape) * (kept.a2 > 0)
    d_a1 = _convolve_back(d_a2, params["conv2/weight"]) * (kept.a1 > 0)
    return {
        "conv1/weight": _convolve_weight(kept.x, d_a1),
        "conv1/bias": d_a1.sum(axis=(0, 1, 2)),
        "conv2/weight": _convolve_weight(kept.a1, d_a2),
        "conv2/bias": d_a2.sum(axis=(0, 1, 2)),
        "dense1/weight": kept.pooled.reshape(n, -1).T @ d_hidden,
        "dense1/bias": d_hidden.sum(axis=0),
        "dense2/weight": kept.hidden.T @ d_scores,
        "dense2/bias": d_scores.sum(axis=0),
    }


def convolve(x: Array, weight: Array) -> Array:
    """Convolve with a 3 by 3 kernel (3, 3, cin, cout), stride 1, zeros around.

    Examples
    --------
    >>> x = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    >>> convolve(x, np.ones((3, 3, 1, 1), np.float32)).ravel()
    array([6., 6., 6., 6.], dtype=float32)

    """
    return (_patches(x) @ weight.reshape(-1, weight.shape[-1])).reshape(*x.shape[:3], -1)


def _convolve_back(d_y: Array, weight: Array) -> Array:
    """Differentiate :func:`convolve` by its input: a convolution with the kernel turned by 180 degrees."""
    return convolve(d_y, np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3)))


def _convolve_weight(x: Array, d_y: Array) -> Array:
    """Differentiate :func:`convolve` by its kernel."""
    gradient = _patches(x).T @ d_y.reshape(-1, d_y.shape[-1])
    return gradient.reshape(3, 3, x.shape[-1], d_y.shape[-1])


def _patches(x: Array) -> Array:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return views.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * x.shape[-1])


def _windows(a: Array) -> Array:
    n, height, width, channels = a.shape
    return a.reshape(n, height // 2, 2, width // 2, 2, channels)
