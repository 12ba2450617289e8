"""Architectures of networks that others published as weights only, as their papers and programs describe them."""

from __future__ import annotations

from typing import Any

from checks.keras_files import Json, functional, image_input, layer, sequential


def meso4() -> Json:
    """MesoNet, Meso-4 (Afchar et al. 2018): four convolutions that find forged faces."""
    layers = [image_input("input_2", 256, 256, 3)]
    for number, (filters, size, pool) in enumerate([(8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)], 5):
        conv = {"filters": filters, "kernel_size": [size, size], "padding": "same", "activation": "relu"}
        layers += [
            layer("Conv2D", f"conv2d_{number}", **conv),
            layer("BatchNormalization", f"batch_normalization_{number}"),
            layer("MaxPooling2D", f"max_pooling2d_{number}", pool_size=[pool, pool], padding="same"),
        ]
    return sequential(
        *layers,
        layer("Flatten", "flatten_2"),
        layer("Dropout", "dropout_3", rate=0.5),
        layer("Dense", "dense_3", units=16),
        layer("LeakyReLU", "leaky", alpha=0.1),
        layer("Dropout", "dropout_4", rate=0.5),
        layer("Dense", "dense_4", units=1, activation="sigmoid"),
    )


def congestion_gru() -> Json:
    """Forecast 20 steps of a series from 50: an encoder and a decoder of GRUs."""
    gru = {"units": 70, "activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
    inner = layer("Dense", "dense", units=1)
    return sequential(
        image_input("x", 50, 1),
        layer("GRU", "gru_0", **gru),
        layer("RepeatVector", "repeat_vector", n=20),
        *(layer("GRU", f"gru_{i}", **gru, return_sequences=True) for i in range(1, 5)),
        layer("TimeDistributed", "time_distributed", layer={"class_name": "Dense", "config": inner["config"]}),
    )


def cvmcu() -> Json:
    """Digit recognition for microcontrollers: two convolutions, two dense layers."""
    conv = {"kernel_size": [3, 3], "activation": "relu"}
    return sequential(
        image_input("x", 28, 28, 1),
        layer("Conv2D", "conv2d", filters=32, **conv),
        layer("MaxPooling2D", "max_pooling2d", pool_size=[2, 2]),
        layer("Conv2D", "conv2d_1", filters=64, **conv),
        layer("MaxPooling2D", "max_pooling2d_1", pool_size=[2, 2]),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=64, activation="relu"),
        layer("Dense", "dense_1", units=10, activation="softmax"),
    )


def ddpg_actor() -> Json:
    """Actor of a car's driver (DDPG): steering, acceleration and brake from 29 sensors."""
    return functional(
        [
            image_input("input_1", 29),
            layer("Dense", "dense_1", ["input_1"], units=300, activation="relu"),
            layer("Dense", "dense_2", ["dense_1"], units=600, activation="relu"),
            layer("Dense", "dense_3", ["dense_2"], units=1, activation="tanh"),
            layer("Dense", "dense_4", ["dense_2"], units=1, activation="sigmoid"),
            layer("Dense", "dense_5", ["dense_2"], units=1, activation="sigmoid"),
            layer("Concatenate", "merge_1", ["dense_3", "dense_4", "dense_5"], axis=-1),
        ],
        ["input_1"],
        ["merge_1"],
    )


def textgenrnn() -> Json:
    """Writer of texts, letter by letter: two LSTMs, trained by cuDNN, and an attention layer of its own."""
    lstm: dict[str, Any] = {"units": 128, "recurrent_activation": "sigmoid", "return_sequences": True}
    return functional(
        [
            image_input("input", 40),
            layer("Embedding", "embedding", ["input"], input_dim=465, output_dim=100),
            layer("LSTM", "rnn_1", ["embedding"], **lstm),
            layer("LSTM", "rnn_2", ["rnn_1"], **lstm),
            layer("Concatenate", "rnn_concat", ["embedding", "rnn_1", "rnn_2"], axis=-1),
            layer("AttentionWeightedAverage", "attention", ["rnn_concat"], return_attention=False),
            layer("Dense", "output", ["attention"], units=465, activation="softmax"),
        ],
        ["input"],
        ["output"],
    )


def attention_weighted_average(call: Any) -> str:
    """Build the attention layer of textgenrnn: steps averaged, each as much as a trained vector says."""
    _, features = call.shape
    weight = call.param("W", ["attention_W"], (features, 1))
    logits = call.emit("Gemm", params={"weight": weight})
    last = {"axes": (1,), "keepdims": True}
    largest = call.then(logits, part="largest").emit("ReduceMax", last)
    shifted = call.then(logits, largest, part="shifted").emit("Sub")
    powers = call.then(shifted, part="powers").emit("Exp")
    total = call.then(powers, part="total").emit("ReduceSum", last)
    total = call.then(total, part="safe").affine(bias=1e-7)
    shares = call.then(powers, total, part="shares").emit("Div")
    weighted = call.then(call.inputs[0], shares, part="weighted").emit("Mul")
    return str(call.then(weighted, part="sum").emit("ReduceSum", {"axes": (1,), "keepdims": False}))


# file -> architecture
PUBLISHED = {
    "Meso4_DF_weights.h5": meso4,
    "congestion_gru.weights.h5": congestion_gru,
    "cvmcu_model.weights.h5": cvmcu,
    "ddpg_actor_keras1_weights.h5": ddpg_actor,
    "textgenrnn_weights.hdf5": textgenrnn,
}
