"""Models that call functions of ``keras.ops`` and of TensorFlow in the place of layers; built by Keras itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Model = Any


def functions(k: Any) -> Model:
    """Functions in the place of layers."""
    x, image = k.Input((4, 6)), k.Input((4, 4, 8))
    c = np.arange(1, 7, dtype=np.float32)
    if hasattr(k, "ops"):
        return k.Model([x, image], _keras_functions(k.ops, x, image, c))
    import tensorflow as tf

    return k.Model([x, image], _tensorflow_functions(tf, x, image, c))


def _keras_functions(o: Any, x: Any, image: Any, c: NDArray[np.float32]) -> list[Any]:
    turned = o.transpose(x, (0, 2, 1))
    positive = o.abs(x) + 1.0
    return [
        *(2.0 - x, 1 / positive, x * c, o.subtract(c, x), x / c, -x, x @ turned, x + image[:, :, 0, :6]),
        *(x[:, 1:3], x[:, 0], x[:, ::-1, None], x[..., 0], x[:, -1], x[:, :, ::2]),
        *(o.mean(x, axis=-1, keepdims=True), o.max(x, axis=1), o.sum(x, axis=[1, 2]), o.min(x, axis=-1)),
        *(o.reshape(x, (-1, 24)), turned, o.swapaxes(x, 1, 2), o.moveaxis(x, 1, 2), o.squeeze(x[:, None], axis=1)),
        *(
            o.concatenate([x, x], axis=-1),
            o.stack([x, x], axis=1),
            *o.split(x, 2, axis=-1),
            *o.split(x, [1, 3], axis=1),
        ),
        *(o.pad(x, [[0, 0], [1, 2], [3, 0]]), o.pad(image, [[0, 0], [1, 2], [0, 1], [0, 0]])),
        *(o.repeat(x, 2, axis=1), o.flip(x, axis=1), o.tile(x, (1, 2, 3)), o.expand_dims(x, 1)),
        *(o.relu(x), o.relu6(x), o.gelu(x), o.gelu(x, approximate=False), o.leaky_relu(x), o.softmax(x, axis=1)),
        *(o.silu(x), o.elu(x), o.selu(x), o.celu(x), o.softplus(x), o.hard_silu(x), o.hard_sigmoid(x), o.tanh(x)),
        *(o.log_softmax(x), o.exp(x), o.log(positive), o.sqrt(positive), o.rsqrt(positive), o.square(x), o.erf(x)),
        *(o.clip(x, -1, 1), o.maximum(x, 0.5), o.minimum(x, x * 0.5), o.normalize(x), o.cast(x, "float32")),
        *(o.nn.average_pool(image, 2), o.nn.max_pool(image, 3, 2, padding="same"), o.image.resize(image, (8, 8))),
        *(o.einsum("bij,bkj->bik", x, x), o.matmul(x, turned)),
        *(x**2, o.power(x, 3), positive**-0.5, o.power(positive, c), 2.0**x, positive**x),
    ]


def _tensorflow_functions(t: Any, x: Any, image: Any, c: NDArray[np.float32]) -> list[Any]:
    positive = t.abs(x) + 1.0
    return [
        *(2.0 - x, 1 / positive, x * c, c - x, x / c, -x, t.matmul(x, x, transpose_b=True), t.nn.bias_add(x, c)),
        *(x[:, 1:3], x[:, 0], x[:, ::-1, None], x[:, t.newaxis], x[:, -1], x[:, :, ::2]),
        *(t.reduce_mean(x, -1, keepdims=True), t.reduce_max(x, axis=1), t.reduce_sum(x, axis=[1, 2])),
        *(t.reshape(x, (-1, 24)), t.transpose(x, (0, 2, 1)), t.expand_dims(x, 1), t.squeeze(x[:, None], axis=1)),
        *(t.concat([x, x], -1), t.stack([x, x], axis=1), *t.split(x, 2, axis=-1), *t.split(x, [1, 3], axis=1)),
        *(t.pad(x, [[0, 0], [1, 1], [0, 2]]), t.repeat(x, 2, axis=1), t.reverse(x, [1]), t.tile(x, (1, 2, 1))),
        *(t.nn.relu(x), t.nn.relu6(x + 3.0), t.nn.gelu(x), t.nn.leaky_relu(x), t.nn.softmax(x, axis=1), t.nn.silu(x)),
        *(t.clip_by_value(x, -1, 1), t.maximum(x, 0.5), t.square(x), t.sqrt(positive), t.math.rsqrt(positive)),
        *(t.math.l2_normalize(x, axis=-1), t.sigmoid(x), t.cast(x, t.float32), t.identity(x), *t.unstack(x, axis=1)),
        *(t.image.resize(image, (8, 8)), t.nn.depth_to_space(image, 2), t.nn.space_to_depth(image, 2)),
        *(t.nn.avg_pool2d(image, 2, 2, "SAME"), t.nn.max_pool2d(image, 3, 2, "SAME")),
        *(x**2, t.pow(x, 3), positive**-0.5, t.pow(positive, c), 2.0**x, positive**x),
    ]
