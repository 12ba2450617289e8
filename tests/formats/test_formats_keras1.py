"""Files of Keras 1 give the network of the same model said in the words of Keras 2; what is unclear is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import Json, functional, image_input, layer, sequential
from numpy.typing import NDArray

from refcompress import formats
from refcompress.encodings import decode
from refcompress.errors import ModelError
from refcompress.formats.keras import keras1, legacy_names
from refcompress.graph import Graph

RNG = np.random.default_rng(1)

Arrays = Mapping[str, NDArray[np.float32]]


def both(tmp_path: Path, old: tuple[Json, Arrays], new: tuple[Json, Arrays]) -> tuple[Graph, Graph]:
    """Import the model ``m`` of Keras 1 and that of Keras 2; weight names are ``layer_role`` and ``layer/role``."""
    graphs = []
    for version, (model, arrays), sign in (("1.2.2", old, "_"), ("2.1.5", new, "/")):
        names = list(dict.fromkeys(key.split(sign)[0] for key in arrays))
        weights = {
            name: {f"{key}:0": array for key, array in arrays.items() if key.split(sign)[0] == name} for name in names
        }
        graphs.append(formats.load(kf.write(tmp_path / f"{version}.h5", model, weights, keras_version=version)))
    return graphs[0], graphs[1]


def assert_same(a: Graph, b: Graph) -> None:
    """Compare two networks, values included."""
    assert a.inputs == b.inputs
    assert a.nodes == b.nodes
    for name in b.params:
        np.testing.assert_array_equal(decode(a.params[name]), decode(b.params[name]), err_msg=name)


def normal(*shape: int) -> NDArray[np.float32]:
    """Draw float32 weights."""
    return kf.normal(RNG, *shape)


def listed(*layers: Json) -> Json:
    """Describe a Sequential model as Keras 1 does."""
    return {"class_name": "Sequential", "config": [{**one, "inbound_nodes": []} for one in layers]}


def test_an_image_network(tmp_path: Path) -> None:
    old = listed(
        layer("Convolution2D", "c", batch_input_shape=[None, 9, 9, 2], nb_filter=3, nb_row=3, nb_col=2,
              subsample=[2, 1],
              border_mode="same", dim_ordering="tf", init="glorot_uniform", activation="relu", bias=True,
              W_regularizer=None, b_constraint=None, input_dtype="float32"),
        layer("BatchNormalization", "n", mode=0, axis=-1, epsilon=1e-5, momentum=0.9, gamma_regularizer=None),
        layer("ZeroPadding2D", "z", padding=[1, 0, 2, 1], dim_ordering="tf"),
        layer("MaxPooling2D", "p", pool_size=[2, 2], strides=[2, 2], border_mode="valid", dim_ordering="tf"),
        layer("SpatialDropout2D", "s", p=0.2),
        layer("Flatten", "f"),
        layer("Dropout", "o", p=0.25),
        layer("Dense", "d", output_dim=4, init="uniform", activation="softmax", bias=False, input_dim=None),
    )  # fmt: skip
    new = sequential(
        image_input("c_input", 9, 9, 2),
        layer("Conv2D", "c", filters=3, kernel_size=[3, 2], strides=[2, 1], padding="same", activation="relu"),
        layer("BatchNormalization", "n", axis=-1, epsilon=1e-5, momentum=0.9),
        layer("ZeroPadding2D", "z", padding=[[1, 0], [2, 1]]),
        layer("MaxPooling2D", "p", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        layer("SpatialDropout2D", "s", rate=0.2),
        layer("Flatten", "f"),
        layer("Dropout", "o", rate=0.25),
        layer("Dense", "d", units=4, activation="softmax", use_bias=False),
    )
    kernel, bias, dense = normal(3, 2, 2, 3), normal(3), normal(3 * 6 * 3, 4)
    gamma, beta, mean, variance = normal(3), normal(3), normal(3), np.abs(normal(3))
    statistics = {"running_mean": mean, "running_std": variance}  # the latter is the variance in spite of its name
    first = {"c_W": kernel, "c_b": bias, "n_gamma": gamma, "n_beta": beta, "d_W": dense}
    first |= {f"n_{key}": array for key, array in statistics.items()}
    second = {"c/kernel": kernel, "c/bias": bias, "n/gamma": gamma, "n/beta": beta, "n/moving_mean": mean}
    second |= {"n/moving_variance": variance, "d/kernel": dense}
    assert_same(*both(tmp_path, (old, first), (new, second)))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("apart", [True, False])
def test_the_gates_of_a_recurrent_network_stand_apart_or_together(tmp_path: Path, kind: str, apart: bool) -> None:
    gates = {"LSTM": "ifco", "GRU": "zrh"}[kind]
    old = listed(
        layer("Embedding", "e", batch_input_shape=[None, 6], input_dim=11, output_dim=4, input_length=6,
              mask_zero=False,
              init="uniform", dropout=0.0, W_constraint=None),
        layer(kind, "r", output_dim=3, inner_activation="hard_sigmoid", activation="tanh", return_sequences=False,
              go_backwards=False, stateful=False, unroll=False, consume_less="cpu" if apart else "gpu", dropout_W=0.0,
              dropout_U=0.0, init="glorot_uniform", inner_init="orthogonal", input_dim=4, input_length=None,
              **({"forget_bias_init": "one"} if kind == "LSTM" else {})),
    )  # fmt: skip
    options = {"reset_after": False} if kind == "GRU" else {}
    new = sequential(
        layer("Embedding", "e", batch_input_shape=[None, 6], input_dim=11, output_dim=4, mask_zero=False),
        layer(kind, "r", units=3, recurrent_activation="hard_sigmoid", activation="tanh", **options),
    )
    table, count = normal(11, 4), len(gates)
    whole = {"W": normal(4, 3 * count), "U": normal(3, 3 * count), "b": normal(3 * count)}
    first = {"e_W": table, **{f"r_{role}": array for role, array in whole.items()}}
    if apart:  # in the order in which Keras 1 makes them: one gate after the other
        pieces = {role: dict(zip(gates, np.split(array, count, axis=-1), strict=True)) for role, array in whole.items()}
        order = {"LSTM": "icfo"}.get(kind, gates)
        first = {"e_W": table, **{f"r_{role}_{gate}": pieces[role][gate] for gate in order for role in "WUb"}}
    second = {"e/embeddings": table, "r/kernel": whole["W"], "r/recurrent_kernel": whole["U"], "r/bias": whole["b"]}
    assert_same(*both(tmp_path, (old, first), (new, second)))


def test_convolutions_over_one_axis_and_dense_layers_over_time(tmp_path: Path) -> None:
    old = listed(
        layer("Convolution1D", "c", batch_input_shape=[None, 8, 3], nb_filter=4, filter_length=3, subsample_length=2,
              border_mode="valid", activation="linear", bias=True, input_dim=3, input_length=8),
        layer("MaxPooling1D", "p", pool_length=2, stride=1, border_mode="valid"),
        layer("TimeDistributedDense", "t", output_dim=2, activation="tanh", bias=True),
    )  # fmt: skip
    new = sequential(
        layer("Conv1D", "c", batch_input_shape=[None, 8, 3], filters=4, kernel_size=[3], strides=[2], padding="valid"),
        layer("MaxPooling1D", "p", pool_size=[2], strides=[1], padding="valid"),
        layer("Dense", "t", units=2, activation="tanh"),
    )
    kernel, bias, dense, last = normal(3, 3, 4), normal(4), normal(4, 2), normal(2)
    first = {"c_W": kernel[:, np.newaxis], "c_b": bias, "t_W": dense, "t_b": last}
    second = {"c/kernel": kernel, "c/bias": bias, "t/kernel": dense, "t/bias": last}
    assert_same(*both(tmp_path, (old, first), (new, second)))


MERGES = {"sum": "Add", "ave": "Average", "mul": "Multiply", "max": "Maximum", "concat": "Concatenate"}


@pytest.mark.parametrize("mode", MERGES)
def test_a_merge_is_a_layer_of_its_mode(tmp_path: Path, mode: str) -> None:
    def model(dense: dict[str, Any], merge: Json) -> Json:
        inner = [layer("Dense", name, ["x"], activation="linear", **dense) for name in "ab"]
        return functional([image_input("x", 3), *inner, merge], ["x"], ["m"])

    old = model(
        {"output_dim": 3}, layer("Merge", "m", ["a", "b"], mode=mode, concat_axis=-1, dot_axes=-1, arguments={})
    )
    new = model({"units": 3}, layer(MERGES[mode], "m", ["a", "b"], **({"axis": -1} if mode == "concat" else {})))
    arrays = {"a": normal(3, 3), "b": normal(3, 3)}
    first = {f"{name}_W": array for name, array in arrays.items()} | {
        f"{name}_b": array[0] for name, array in arrays.items()
    }
    second = {f"{name}/kernel": array for name, array in arrays.items()}
    second |= {f"{name}/bias": array[0] for name, array in arrays.items()}
    assert_same(*both(tmp_path, (old, first), (new, second)))


REFUSED: list[tuple[str, Json, str]] = [
    ("channels first", layer("Convolution2D", "c", nb_filter=1, dim_ordering="th"), "'dim_ordering' is 'th'; whether"),
    ("statistics of the batch", layer("BatchNormalization", "n", mode=2), "'mode' is 2; allowed is 0"),
    ("a merge by code", layer("Merge", "m", mode="lambda"), "'mode' is 'lambda'; allowed are sum"),
    ("a merge of angles", layer("Merge", "m", mode="cos"), "'mode' is 'cos'"),
    ("a merge of models", layer("Merge", "m", mode="sum", layers=[{}]), "'mode' is 'sum'"),
]


@pytest.mark.parametrize(("one", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_keras_2_cannot_say_is_refused(one: Json, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        keras1.translate(listed(one))


def test_layers_that_keras_2_does_not_have_keep_their_class() -> None:
    highway = layer("Highway", "h", activation="linear")
    assert keras1.translate(listed(highway))["config"]["layers"][0]["class_name"] == "Highway"


def test_keras_1_is_told_from_its_options() -> None:
    assert keras1.speaks(listed(layer("Dense", "d", output_dim=3)))
    inner = {"class_name": "Dense", "config": {"name": "d", "output_dim": 3}}
    assert keras1.speaks(sequential(layer("TimeDistributed", "t", layer=inner)))
    assert not keras1.speaks(sequential(layer("Embedding", "e", output_dim=3), layer("Dense", "d", units=3)))


NAMES: list[tuple[str, list[str], tuple[str, ...], list[str], str]] = [
    ("a cell", ["bi/forward_lstm/lstm_cell_1/kernel:0", "bi/backward_lstm/lstm_cell_2/kernel:0"],
     ("bi", "forward_lstm"),
     ["kernel"], "bi/forward_lstm/lstm_cell_1/kernel:0"),
    ("a cell in a model", ["m/lstm/lstm_cell/kernel", "m/lstm_1/lstm_cell/kernel"], ("m", "lstm_1"), ["kernel"],
     "m/lstm_1/lstm_cell/kernel"),
    ("a layer called cell", ["lstm_cell/lstm_cell/bias:0"], ("lstm_cell",), ["bias"], "lstm_cell/lstm_cell/bias:0"),
    ("the wrapper's name", ["td/kernel:0", "td/bias:0"], ("td", "dense"), ["bias"], "td/bias:0"),
    ("the wrapper's name in a model", ["td/kernel:0", "d/kernel:0"], ("m", "td", "dense"), ["kernel"], "td/kernel:0"),
    ("a name nobody knows", ["dense_7/kernel:0"], ("td", "dense"), ["kernel"], "dense_7/kernel:0"),
    ("heads", ["mha/query/kernel:0", "mha/key/kernel:0"], ("mha", "key"), ["kernel"], "mha/key/kernel:0"),
    ("a slash in a name", ["a/b/kernel:0"], ("a/b",), ["kernel"], "a/b/kernel:0"),
    ("a slash in a model", ["a/b/kernel:0", "c/b/kernel:0"], ("m", "c/b"), ["kernel"], "c/b/kernel:0"),
    ("Keras 1 in a model", ["a_1_W", "a_2_W", "a_2_b"], ("m", "a_2"), ["kernel"], "a_2_W"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "path", "roles", "expected"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES]
)
def test_a_weight_is_found_by_its_name(
    names: list[str], path: tuple[str, ...], roles: list[str], expected: str
) -> None:
    assert legacy_names.find(legacy_names.index(names, path[0]), path, roles, "it").names == (expected,)


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (["a/kernel:0", "b/kernel:0"], ("m", "c")),
        (["x/a/kernel:0", "y/a/kernel:0"], ("m", "a")),
        (["bi/forward_lstm/lstm_cell/bias:0"], ("bi", "forward_lstm")),
    ],
)
def test_a_name_that_may_mean_several_layers_is_refused(names: list[str], path: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=r"may be any of|is missing"):
        legacy_names.find(legacy_names.index(names, path[0]), path, ["kernel"], "it")
