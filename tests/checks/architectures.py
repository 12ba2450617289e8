"""Architectures of checkpoints that hold weights only, told from the names and shapes of their weights.

Each is public, or the only one that these names and shapes allow up to what they leave open (activations, strides of
poolings); those are as the reference outputs say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from checks.keras_files import Json, functional, image_input, layer, sequential


def meso4() -> Json:
    """Return Meso4 of MesoNet (Afchar et al. 2018): four convolutions, normalized and pooled, and two dense layers."""
    layers = [image_input("input_2", 256, 256, 3)]
    for number, (filters, size, pool) in enumerate([(8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)], 5):
        layers += [
            layer("Conv2D", f"conv2d_{number}", filters=filters, kernel_size=[size, size], padding="same",
                  activation="relu"),
            layer("BatchNormalization", f"batch_normalization_{number}", axis=-1, epsilon=1e-3),
            layer("MaxPooling2D", f"max_pooling2d_{number}", pool_size=[pool, pool], padding="same"),
        ]  # fmt: skip
    layers += [
        layer("Flatten", "flatten_2"),
        layer("Dropout", "dropout_3", rate=0.5),
        layer("Dense", "dense_3", units=16),
        layer("LeakyReLU", "leaky_re_lu", alpha=0.1),
        layer("Dropout", "dropout_4", rate=0.5),
        layer("Dense", "dense_4", units=1, activation="sigmoid"),
    ]
    return sequential(*layers)


def textgenrnn() -> Json:
    """Return textgenrnn (Woolf 2017): two LSTMs, whose outputs beside the embedding are averaged by attention."""
    lstm = {"units": 128, "return_sequences": True}
    return functional(
        [
            image_input("input", 40),
            layer("Embedding", "embedding", ["input"], input_dim=465, output_dim=100),
            layer("CuDNNLSTM", "rnn_1", ["embedding"], **lstm),
            layer("CuDNNLSTM", "rnn_2", ["rnn_1"], **lstm),
            layer("Concatenate", "rnn_concat", ["embedding", "rnn_1", "rnn_2"], axis=-1),
            layer("AttentionWeightedAverage", "attention", ["rnn_concat"], return_attention=False),
            layer("Dense", "output", ["attention"], units=465, activation="softmax"),
        ],
        ["input"],
        ["output"],
    )


def congestion_gru() -> Json:
    """Return encoder and decoder: 50 steps in, 20 steps out."""
    gru = {"units": 70, "reset_after": True, "activation": "tanh", "recurrent_activation": "sigmoid"}
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 1}}
    return sequential(
        image_input("x", 50, 1),
        layer("GRU", "gru", return_sequences=False, **gru),
        layer("RepeatVector", "repeat_vector", n=20),
        layer("GRU", "gru_1", return_sequences=True, **gru),
        layer("GRU", "gru_2", return_sequences=True, **gru),
        layer("GRU", "gru_3", return_sequences=True, **gru),
        layer("GRU", "gru_4", return_sequences=True, **gru),
        layer("TimeDistributed", "time_distributed", layer=dense),
    )


def cvmcu() -> Json:
    """Return two convolutions, each pooled, and two dense layers, for digits."""
    return sequential(
        image_input("x", 28, 28, 1),
        layer("Conv2D", "conv2d", filters=32, kernel_size=[3, 3], activation="relu"),
        layer("MaxPooling2D", "max_pooling2d", pool_size=[2, 2]),
        layer("Conv2D", "conv2d_1", filters=64, kernel_size=[3, 3], activation="relu"),
        layer("MaxPooling2D", "max_pooling2d_1", pool_size=[2, 2]),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=64, activation="relu"),
        layer("Dense", "dense_1", units=10, activation="softmax"),
    )


def ddpg_actor() -> Json:
    """Return the driver of a racing car, in the words of Keras 1: steering, acceleration and brake side by side."""

    def dense(name: str, inbound: str, units: int, activation: str) -> Json:
        options = {"output_dim": units, "activation": activation, "init": "normal", "bias": True}
        return layer("Dense", name, [inbound], **options)

    model = functional(
        [
            image_input("input_1", 29),
            dense("dense_1", "input_1", 300, "relu"),
            dense("dense_2", "dense_1", 600, "relu"),
            dense("dense_3", "dense_2", 1, "tanh"),
            dense("dense_4", "dense_2", 1, "sigmoid"),
            dense("dense_5", "dense_2", 1, "sigmoid"),
            layer("Merge", "merge_1", ["dense_3", "dense_4", "dense_5"], mode="concat", concat_axis=-1),
        ],
        ["input_1"],
        ["merge_1"],
    )
    return {**model, "class_name": "Model", "keras_version": "1.1.0"}


ARCHITECTURES: Mapping[str, Any] = MappingProxyType(
    {
        "Meso4_DF_weights.h5": meso4,
        "congestion_gru.weights.h5": congestion_gru,
        "cvmcu_model.weights.h5": cvmcu,
        "ddpg_actor_keras1_weights.h5": ddpg_actor,
        "textgenrnn_weights.hdf5": textgenrnn,
    }
)
