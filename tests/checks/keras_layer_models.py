"""Small models that use every layer of Keras there is an importer for, with all options; built by Keras itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from checks import keras_sequence_models as sequences
from checks.keras_function_models import functions
from numpy.typing import NDArray

Model = Any


def convolutions_1d(k: Any) -> Model:
    """Convolutions of sequences."""
    x = k.Input((21, 4))
    a = k.layers
    outputs = [
        a.Conv1D(6, 3, strides=2, activation="relu")(x),
        a.Conv1D(8, 3, groups=2, padding="same")(x),
        a.Conv1D(4, 2, padding="causal", dilation_rate=3, activation="tanh")(x),
        a.DepthwiseConv1D(3, depth_multiplier=2, padding="same")(x),
        a.SeparableConv1D(5, 3, padding="same", activation="relu")(x),
        a.Conv1DTranspose(3, 3, strides=2, padding="same")(x),
        a.Conv1DTranspose(3, 4, strides=3, activation="relu")(x),
        a.Conv1DTranspose(3, 2, strides=4)(x),
        a.Conv1DTranspose(3, 2, strides=4, padding="same")(x),
    ]
    return k.Model(x, outputs)


def convolutions_2d(k: Any) -> Model:
    """Convolutions of images."""
    x = k.Input((9, 8, 4))
    a = k.layers
    outputs = [
        a.Conv2D(6, (3, 2), strides=(2, 1), padding="same", activation="swish")(x),
        a.Conv2D(8, 3, groups=4, dilation_rate=2)(x),
        a.DepthwiseConv2D((3, 2), strides=2, padding="same", depth_multiplier=2, use_bias=False)(x),
        a.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x),
        a.SeparableConv2D(5, 3, depth_multiplier=2, activation="elu", strides=2)(x),
        a.Conv2DTranspose(3, 3, strides=2, padding="same")(x),
        a.Conv2DTranspose(3, (4, 3), strides=(3, 2), use_bias=False)(x),
        a.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=(1, 0))(x),
        a.Conv2DTranspose(3, (3, 4), strides=(2, 3), output_padding=(1, 2))(x),
        a.Conv2DTranspose(3, 1, strides=3, padding="same")(x),
        a.Conv2DTranspose(2, 3, dilation_rate=2, padding="same")(x),
    ]
    return k.Model(x, outputs)


def poolings(k: Any) -> Model:
    """Poolings of sequences and images."""
    s, x = k.Input((13, 3)), k.Input((9, 7, 3))
    a = k.layers
    outputs = [
        a.MaxPooling1D(3, 2, padding="same")(s),
        a.AveragePooling1D(2)(s),
        a.AveragePooling1D(4, 3, padding="same")(s),
        a.GlobalAveragePooling1D()(s),
        a.GlobalMaxPooling1D(keepdims=True)(s),
        a.MaxPooling2D((2, 3), padding="same")(x),
        a.AveragePooling2D((3, 2), strides=(2, 1), padding="same")(x),
        a.GlobalAveragePooling2D(keepdims=True)(x),
        a.GlobalMaxPooling2D()(x),
    ]
    return k.Model([s, x], outputs)


def channels_first(k: Any) -> Model:
    """Layers whose channels stand first; convolutions and poolings of TensorFlow need a GPU for these."""
    x, s = k.Input((3, 6, 5)), k.Input((4, 7))
    a, first = k.layers, {"data_format": "channels_first"}
    y = a.ZeroPadding2D(((1, 0), (2, 1)), **first)(x)
    y = a.ReLU()(a.BatchNormalization(axis=1)(y))
    z = a.UpSampling2D(2, **first)(y)
    both = a.Concatenate(axis=1)([y, a.Add()([y, a.Activation("tanh")(y)])])
    outputs = [
        a.Cropping2D(((1, 1), (0, 2)), **first)(z),
        a.GlobalMaxPooling2D(keepdims=True, **first)(z),
        a.Flatten(**first)(y),
        a.GlobalAveragePooling2D(**first)(y),
        a.LayerNormalization(axis=1)(both),
        a.GlobalAveragePooling1D(**first)(s),
    ]
    return k.Model([x, s], outputs)


def shapes(k: Any) -> Model:
    """Layers that move elements."""
    s, x, v = k.Input((12, 4)), k.Input((6, 5, 3)), k.Input((7,))
    a = k.layers
    outputs = [
        a.ZeroPadding1D((1, 2))(s),
        a.Cropping1D((2, 1))(s),
        a.UpSampling1D(3)(s),
        a.Permute((2, 1))(s),
        a.Permute((3, 1, 2))(x),
        a.Flatten()(x),
        a.Flatten()(v),
        a.RepeatVector(4)(v),
        a.Reshape((5, -1, 3))(x),
        a.UpSampling2D((2, 3))(x),
        a.UpSampling2D((2, 2), interpolation="bilinear")(x),
        a.Cropping2D(1)(x),
        a.ZeroPadding2D((1, 2))(x),
    ]
    return k.Model([s, x, v], outputs)


def images(k: Any) -> Model:
    """Preprocessing."""
    x = k.Input((8, 10, 3))
    a = k.layers
    moments = {"mean": [1.0, 2.0, 3.0], "variance": [0.5, 0.2, 0.1]}
    outputs = [
        a.Rescaling(1 / 127.5, offset=-1)(x),
        a.Rescaling([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])(x),
        a.Resizing(5, 7)(x),
        a.Resizing(16, 20, interpolation="nearest")(x),
        a.Resizing(6, 6, crop_to_aspect_ratio=True)(x),
        a.CenterCrop(5, 6)(x),
        a.CenterCrop(9, 9)(x),
        a.Normalization(axis=-1, **moments)(x),
        a.Normalization(axis=-1, mean=0.5, variance=2.0)(x),
        a.Normalization(axis=-1, invert=True, **moments)(x),
    ]
    return k.Model(x, outputs)


def adapted(k: Any) -> Model:
    """Use Normalization with moments that are weights."""
    data = np.random.default_rng(0).normal(1.0, 3.0, (50, 6, 3)).astype(np.float32)
    layers = [k.layers.Normalization(axis=axis) for axis in (-1, None, (1, 2))]
    for layer in layers:
        layer.adapt(data)
    x = k.Input((6, 3))
    return k.Model(x, [*(layer(x) for layer in layers), layers[0](k.layers.Activation("tanh")(x))])


def normalizations(k: Any) -> Model:
    """Normalize over any axes."""
    x, s = k.Input((6, 5, 4)), k.Input((7, 4))
    a = k.layers
    outputs = [
        a.BatchNormalization()(x),
        a.BatchNormalization(axis=1, scale=False)(x),
        a.BatchNormalization(axis=2, center=False)(x),
        a.BatchNormalization()(s),
        *(a.LayerNormalization(axis=axis)(x) for axis in (-1, [1, 2, 3], [1, 2])),
        a.LayerNormalization(axis=1, scale=False)(x),
        *(a.GroupNormalization(groups=groups)(x) for groups in (2, -1)),
        a.GroupNormalization(groups=3, axis=1)(x),
        a.GroupNormalization(groups=2)(s),
        *(a.UnitNormalization(axis=axis)(x) for axis in (-1, 1, [1, 2])),
    ]
    if hasattr(a, "RMSNormalization"):
        outputs += [a.RMSNormalization()(x), a.RMSNormalization(axis=[2, 3])(x)]
    return k.Model([x, s], outputs)


def einsum_dense(k: Any) -> Model:
    """Products over any axes."""
    x = k.Input((5, 6))
    dense = k.layers.EinsumDense
    outputs = [
        dense("abc,cd->abd", (5, 7), bias_axes="d")(x),
        dense("abc,cde->abde", (5, 2, 3), bias_axes="de", activation="relu")(x),
        dense("abc,bcd->ad", (4,), bias_axes="d")(x),
        dense("...x,xy->...y", 3, bias_axes="y")(x),
        dense("abc,bd->acd", (6, 2))(x),
        dense("abc,bd->adc", (2, 6), bias_axes="d")(x),
    ]
    return k.Model(x, outputs)


def activations(k: Any) -> Model:
    """Activations as names and as layers."""
    x, y = k.Input((9,)), k.Input((4, 5, 3))
    a = k.layers
    names = "relu sigmoid tanh softmax softplus softsign elu selu gelu exponential hard_sigmoid swish linear mish"
    if not hasattr(a, "ThresholdedReLU"):  # Keras 3
        names += " relu6 silu hard_silu hard_swish log_softmax celu leaky_relu hard_tanh"
    outputs = [
        *(a.Activation(name)(x) for name in names.split()),
        a.ReLU(max_value=6.0)(x),
        a.ReLU(negative_slope=0.2)(x),
        a.ReLU(threshold=0.7)(x),
        a.ReLU(max_value=2.0, negative_slope=0.1)(x),
        a.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.5)(x),
        a.LeakyReLU(0.1)(x),
        a.LeakyReLU()(x),
        a.ELU(0.5)(x),
        *(a.PReLU(shared_axes=axes)(y) for axes in (None, [1, 2], [1])),
        *(a.Softmax(axis=axis)(y) for axis in (1, -1)),
        a.Dense(3, activation=a.ReLU(max_value=1.0))(x),
    ]
    if hasattr(a, "ThresholdedReLU"):
        outputs.append(a.ThresholdedReLU(0.3)(x))
    return k.Model([x, y], outputs)


def merges(k: Any) -> Model:
    """Layers of several inputs, of different shapes."""
    a, b, c, v, w = (k.Input(shape) for shape in ((4, 5, 3), (4, 5, 3), (1, 1, 3), (3,), (4, 3)))
    m = k.layers
    outputs = [
        m.Add()([a, b, a]),
        m.Add()([a, c]),
        m.Subtract()([a, b]),
        m.Multiply()([a, v]),
        m.Average()([a, b, a]),
        m.Maximum()([a, b]),
        m.Minimum()([a, b]),
        m.Concatenate(axis=-1)([a, b]),
        m.Concatenate(axis=1)([a, b]),
        m.Dot(axes=(2, 1))([w, m.Permute((2, 1))(w)]),
        m.Dot(axes=1, normalize=True)([w, w]),
        m.Dot(axes=1)([v, v]),
        m.Dot(axes=(1, 2))([v, w]),
        m.Dot(axes=(3, 2))([a, w]),
        m.Dot(axes=-1, normalize=True)([v, v]),
    ]
    return k.Model([a, b, c, v, w], outputs)


def nested(k: Any) -> Model:
    """Models inside models, called several times, with several outputs of which not all are used."""
    a = k.layers
    i = k.Input((4,))
    inner = k.Model(i, [a.Dense(4, activation="relu", name="d")(i), a.Dense(3, name="e")(i)], name="inner")
    chain = k.Sequential([k.Input((4,)), a.Dense(4, name="d"), a.BatchNormalization(name="e")], name="chain")
    x, y = k.Input((4,)), k.Input((4,))
    first, second = inner(x), inner(y)
    return k.Model([x, y], [first[1], second[0], inner(first[0])[1], chain(x), chain(second[0])])


def only_training(k: Any) -> Model:
    """Layers that do nothing at inference."""
    a = k.layers
    x = y = k.Input((6, 6, 3))
    for layer in (
        *(a.GaussianNoise(0.1), a.GaussianDropout(0.1), a.SpatialDropout2D(0.1), a.ActivityRegularization(0.1)),
        *(a.RandomFlip(), a.RandomRotation(0.1), a.RandomZoom(0.1), a.RandomContrast(0.1)),
    ):
        y = layer(y)
    return k.Model(x, y)


MODELS: dict[str, Callable[[Any], Model]] = {
    build.__name__: build
    for build in (
        *(convolutions_1d, convolutions_2d, poolings, channels_first, shapes, images, adapted, normalizations),
        *(einsum_dense, activations, merges, nested, only_training, functions),
        *(sequences.recurrent, sequences.recurrent_states, sequences.bidirectional, sequences.time_distributed),
        *(sequences.masks, sequences.masking, sequences.attention, sequences.masked_attention),
    )
}


def randomized(model: Model, rng: np.random.Generator) -> None:
    """Give a model random weights."""
    arrays = []
    for variable, array in zip(model.weights, model.get_weights(), strict=True):
        name = getattr(variable, "path", variable.name)
        new = array
        if array.dtype.kind == "f":
            new = rng.normal(0.0, 0.4, array.shape)
            new = np.abs(new) + 0.3 if "variance" in name else new + ("gamma" in name or "scale" in name)
        arrays.append(np.asarray(new, array.dtype))
    model.set_weights(arrays)


def inputs_of(model: Model, name: str, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Draw inputs; where masks are tested, the first, the middle and the last steps of some samples are 0."""
    drawn = []
    for tensor in model.inputs:
        shape = (3, *tensor.shape[1:])
        x = rng.integers(1, 11, shape) if name in {"masks", "masked_attention"} else rng.normal(0.0, 1.5, shape)
        if name in {"masks", "masked_attention", "masking"}:
            x[0, 5:], x[1, :2], x[2, 3] = 0, 0, 0
        drawn.append(x.astype(np.float32))
    return drawn
