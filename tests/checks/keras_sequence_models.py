"""Small models that use Keras's layers for sequences, with all options; built by Keras itself."""

from __future__ import annotations

from typing import Any

Model = Any


def recurrent(k: Any) -> Model:
    """Recurrent layers."""
    x = k.Input((6, 4))
    a = k.layers
    outputs = []
    for kind in (a.SimpleRNN, a.LSTM, a.GRU):
        outputs += [kind(3)(x), kind(3, return_sequences=True, go_backwards=True)(x), kind(4, use_bias=False)(x)]
        outputs += [*kind(3, return_state=True)(x), *kind(2, return_state=True, return_sequences=True)(x)]
    outputs += [
        a.LSTM(3, recurrent_activation="hard_sigmoid", activation="softsign")(x),
        a.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(x),
        a.LSTM(3, unroll=True, dropout=0.2, recurrent_dropout=0.1)(x),
        a.RNN(a.LSTMCell(3))(x),
        a.RNN(a.GRUCell(3), return_sequences=True, go_backwards=True)(x),
        a.RNN(a.SimpleRNNCell(3))(x),
    ]
    return k.Model(x, outputs)


def recurrent_states(k: Any) -> Model:
    """Recurrent layers that start from given states."""
    x, h, c = k.Input((6, 4)), k.Input((3,)), k.Input((3,))
    a = k.layers
    outputs = [
        *a.LSTM(3, return_sequences=True, return_state=True)(x, initial_state=[h, c]),
        a.GRU(3)(x, initial_state=h),
        a.SimpleRNN(3, return_sequences=True)(x, initial_state=[h]),
        *a.Bidirectional(a.LSTM(3, return_state=True))(x, initial_state=[h, c, c, h]),
    ]
    return k.Model([x, h, c], outputs)


def bidirectional(k: Any) -> Model:
    """Two recurrent layers, one of which reads backwards, merged in every way."""
    x = k.Input((5, 4))
    a, both = k.layers, k.layers.Bidirectional
    outputs = []
    for mode in ("concat", "sum", "mul", "ave"):
        outputs += [both(a.LSTM(3, return_sequences=True), merge_mode=mode)(x), both(a.GRU(2), merge_mode=mode)(x)]
    backward = a.GRU(3, go_backwards=True, return_sequences=True, name="other_gru")
    outputs += [
        *both(a.SimpleRNN(2, return_sequences=True), merge_mode=None)(x),
        *both(a.LSTM(2, return_sequences=True, return_state=True))(x),
        both(a.LSTM(3, return_sequences=True), backward_layer=backward)(x),
    ]
    return k.Model(x, outputs)


def masks(k: Any) -> Model:
    """Masks of an embedding, through layers to those that heed them."""
    x = k.Input((8,))
    a = k.layers
    e = a.Embedding(11, 4, mask_zero=True)(x)
    outputs = [
        a.LSTM(3)(e),
        a.LSTM(3, return_sequences=True)(e),
        a.GRU(3, return_sequences=True)(a.Dense(5, activation="tanh")(e)),
        a.SimpleRNN(2, go_backwards=True)(e),
        a.Bidirectional(a.LSTM(2, return_sequences=True))(e),
        a.Bidirectional(a.GRU(2))(e),
        a.GlobalAveragePooling1D()(a.Dropout(0.3)(a.LayerNormalization()(e))),
        *a.LSTM(3, return_state=True)(e),
        a.LSTM(2)(a.LSTM(3, return_sequences=True)(e)),
        a.LSTM(2)(a.TimeDistributed(a.Dense(3))(e)),
        a.GRU(2)(a.Add()([e, a.Dense(4)(e)])),
        a.GRU(2)(a.Concatenate()([e, e])),
    ]
    return k.Model(x, outputs)


def masking(k: Any) -> Model:
    """Masks of the layer Masking."""
    x = k.Input((8, 3))
    a = k.layers
    m = a.Masking(mask_value=0.0)(x)
    outputs = [m, a.LSTM(3)(m), a.GRU(3, return_sequences=True)(m), a.GlobalAveragePooling1D()(m)]
    return k.Model(x, outputs)


def attention(k: Any) -> Model:
    """Attention layers."""
    q, v = k.Input((6, 4)), k.Input((5, 4))
    a, heads = k.layers, k.layers.MultiHeadAttention
    outputs = [
        heads(2, 3)(q, q),
        heads(2, 3, value_dim=5, output_shape=7)(q, v),
        heads(3, 2, use_bias=False)(q, v, a.Dense(3)(v)),
        heads(2, 3)(q, q, use_causal_mask=True),
        *heads(2, 3, dropout=0.1)(q, v, return_attention_scores=True),
        a.Attention()([q, v]),
        a.Attention(use_scale=True)([q, v, a.Dense(4)(v)]),
        a.Attention(score_mode="concat")([q, v]),
        a.Attention()([q, q], use_causal_mask=True),
        a.AdditiveAttention()([q, v]),
        a.AdditiveAttention(use_scale=False)([q, v]),
    ]
    return k.Model([q, v], outputs)


def masked_attention(k: Any) -> Model:
    """Attention among embeddings of which some steps do not count."""
    x, y = k.Input((8,)), k.Input((8,))
    a = k.layers
    e, d = a.Embedding(11, 4, mask_zero=True)(x), a.Embedding(11, 4, mask_zero=True)(y)
    outputs = [
        a.Attention()([e, d]),
        a.AdditiveAttention()([e, d]),
        a.GlobalAveragePooling1D()(a.MultiHeadAttention(2, 3)(e, d, use_causal_mask=True)),
        a.MultiHeadAttention(2, 3, dropout=0.1)(e, d),  # in Keras 3 the one before has taken the masks off
    ]
    return k.Model([x, y], outputs)


def time_distributed(k: Any) -> Model:
    """Layers and models on every time step."""
    x, s = k.Input((3, 6, 6, 2)), k.Input((3, 4))
    a, steps = k.layers, k.layers.TimeDistributed
    cnn = k.Sequential([k.Input((6, 6, 2)), a.Conv2D(3, 3, activation="relu"), a.MaxPooling2D(2), a.Flatten()])
    inner = k.Input((4,))
    dense = k.Model(inner, a.Dense(3)(a.Dense(5, activation="relu")(inner)))
    outputs = [
        steps(a.Conv2D(3, 3))(x),
        steps(a.GlobalAveragePooling2D())(x),
        steps(cnn)(x),
        steps(a.BatchNormalization())(x),
        steps(a.Dense(3, activation="softmax"))(s),
        steps(dense)(s),
        steps(a.LSTM(2))(a.Reshape((3, 4, 1))(s)),
        steps(steps(a.Dense(2)))(a.Reshape((3, 4, 1))(s)),
    ]
    return k.Model([x, s], outputs)
