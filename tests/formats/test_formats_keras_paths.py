"""Layers whose weights stand under the path of their object are found in every version's way of counting."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest
from checks import keras_archives as ka
from checks.keras_files import Json, functional, image_input, layer, nested, sequential

from refcompress.errors import FormatError, ModelError
from refcompress.formats.keras import paths


def found(model: Json, groups: ka.Groups, path: tuple[str, ...]) -> float | None:
    """Return the first number of the first weight found for a layer, None if there is none."""
    with h5py.File(io.BytesIO(ka.weights_file(groups))) as file:
        variables = paths.find(paths.open_tree(model, file, 1 << 20), path)
        return None if variables is None else float(np.ravel(variables["0"])[0])


def one(value: float, name: str | None = None) -> tuple[str | None, list[Any]]:
    """Return the weights of a layer: one number."""
    return name, [np.array([value], np.float32)]


EMPTY = (None, [])

FOUR = sequential(
    image_input("x", 3),
    layer("Dense", "z"),
    layer("ReLU", "r"),
    layer("Dense", "a"),
    layer("Dense", "m"),
)  # fmt: skip


def test_layers_of_one_class_are_counted_whatever_their_names() -> None:
    groups = {"layers/dense": one(1), "layers/re_lu": EMPTY, "layers/dense_1": one(2), "layers/dense_2": one(3)}
    assert [found(FOUR, groups, (name,)) for name in "zam"] == [1, 2, 3]


def test_numbers_are_no_texts() -> None:
    names = [f"d{number}" for number in range(12)]
    model = sequential(image_input("x", 3), *(layer("Dense", name) for name in names))
    groups = {f"layers/dense_{number}" if number else "layers/dense": one(number) for number in range(12)}
    assert [found(model, groups, (name,)) for name in names] == list(range(12))


def test_tensorflow_2_12_counts_layers_with_weights_twice() -> None:
    root = "_layer_checkpoint_dependencies"
    groups = {f"{root}/dense": one(1), f"{root}/re_lu": EMPTY, f"{root}/dense_2": one(2), f"{root}/dense_4": one(3)}
    assert [found(FOUR, groups, (name,)) for name in "zam"] == [1, 2, 3]


def test_names_beside_the_weights_decide() -> None:
    groups = {"layers/dense": one(1, "m"), "layers/dense_1": one(2, "z"), "layers/dense_2": one(3, "a")}
    assert [found(FOUR, groups, (name,)) for name in "zam"] == [2, 3, 1]


def test_other_names_beside_the_weights_are_refused() -> None:
    groups = {"layers/dense": one(1, "z"), "layers/dense_1": one(2, "b"), "layers/dense_2": one(3, "m")}
    with pytest.raises(ModelError, match=r"called \['z', 'b', 'm'\], the architecture \['z', 'a', 'm'\]"):
        found(FOUR, groups, ("a",))


def test_names_that_keras_made_count_as_none() -> None:
    model = sequential(image_input("x", 3), layer("Dense", "dense_5"), layer("Dense", "dense_6"))
    groups = {"layers/dense": one(1, "dense"), "layers/dense_1": one(2, "dense_1")}
    assert [found(model, groups, (name,)) for name in ("dense_5", "dense_6")] == [1, 2]


def test_names_that_keras_made_are_refused_if_there_are_more_of_them() -> None:
    model = sequential(image_input("x", 3), layer("Dense", "dense_5"), layer("Dense", "dense_6"))
    with pytest.raises(ModelError, match=r"called \['dense'\]"):
        found(model, {"layers/dense": one(1, "dense")}, ("dense_5",))


def test_groups_of_layers_without_weights_may_be_missing() -> None:
    flat = {"class_name": "Flatten", "config": {"name": "f"}}
    full = {"class_name": "Dense", "config": {"name": "d"}}
    model = sequential(
        image_input("x", 3), layer("TimeDistributed", "a", layer=flat), layer("TimeDistributed", "b", layer=full)
    )
    assert found(model, {"layers/time_distributed_1/layer": one(5)}, ("b", "d")) == 5
    assert found(model, {"layers/time_distributed_1/layer": one(5)}, ("a", "f")) is None


def test_more_layers_than_the_architecture_has_are_refused() -> None:
    groups = {f"layers/dense_{number}" if number else "layers/dense": one(number) for number in range(4)}
    with pytest.raises(ModelError, match="the file holds 4 layers of the class 'dense', the architecture 3"):
        found(FOUR, groups, ("z",))


def test_functions_that_keras_3_lists_among_the_layers_are_not_counted() -> None:
    add = {**layer("Add", "add", ["x"]), "module": "keras.src.ops.numpy"}
    own = {**layer("Add", "mine", ["x"]), "module": "keras.layers"}
    model = functional([image_input("x", 3), add, own], ["x"], ["mine"])
    assert found(model, {"layers/input_layer": EMPTY, "layers/add": one(7)}, ("mine",)) == 7
    assert found(model, {"layers/input_layer": EMPTY, "layers/add": one(7)}, ("add",)) is None


INNER = sequential(image_input("i", 3), layer("Dense", "d"), name="inner")


def test_each_model_counts_for_itself() -> None:
    model = functional([image_input("x", 3), layer("Dense", "d", ["x"]), nested(INNER, ["d"])], ["x"], ["inner"])
    groups = {"layers/dense": one(1), "layers/sequential/layers/dense": one(2)}
    assert found(model, groups, ("d",)) == 1
    assert found(model, groups, ("inner", "d")) == 2


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("first", ["inner", "outer"])
def test_an_object_of_several_models_is_saved_where_keras_meets_it_first(
    first: str, counted: bool, noted: bool
) -> None:
    shared = layer("Dense", "d", ["x"], units=3, kernel_initializer={"class_name": "Zeros"})
    again = layer("Dense", "d", ["x"], units=3, kernel_initializer={"class_name": "Zeros", "shared_object_id": 7})
    inner = {**INNER, "config": {**INNER["config"], "layers": [INNER["config"]["layers"][0], shared]}}
    last = layer("Dense", "e", ["d"])
    layers = [nested(inner, ["d"]), again] if first == "inner" else [again, nested(inner, ["d"])]
    model = functional([image_input("x", 3), *layers, last], ["x"], ["e"])
    where = "layers/sequential/layers/dense" if first == "inner" else "layers/dense"
    # Keras 3 counts it again where it meets it again, tf.keras does not
    number = 1 if first == "outer" or counted else 0
    rest = f"layers/dense_{number}" if number else "layers/dense"
    groups = {where: one(1, "d" if noted else None), rest: one(2, "e" if noted else None)}
    assert found(model, groups, ("inner", "d")) == 1
    assert found(model, groups, ("d",)) == 1
    assert found(model, groups, ("e",)) == 2


def test_a_layer_without_weights_is_not_taken_for_another_one_of_its_name() -> None:
    inner = sequential(image_input("i", 3), layer("Dense", "d", units=3), name="inner")
    model = functional(
        [image_input("x", 3), nested(inner, ["x"]), layer("Dense", "d", ["inner"], units=4)], ["x"], ["d"]
    )
    groups = {"layers/sequential/layers/dense": one(1)}
    assert found(model, groups, ("inner", "d")) == 1
    assert found(model, groups, ("d",)) is None


def test_wrappers_hold_their_layers_under_names_of_their_own() -> None:
    lstm = {"class_name": "LSTM", "config": {"name": "lstm"}}
    model = sequential(
        image_input("x", 3),
        layer("Bidirectional", "both", layer=lstm),
        layer("TimeDistributed", "each", layer=INNER),
        layer("MultiHeadAttention", "heads"),
    )
    groups = {
        "layers/bidirectional/forward_layer/cell": one(1),
        "layers/bidirectional/backward_layer/cell": one(2),
        "layers/bidirectional/layer/cell": EMPTY,
        "layers/time_distributed/layer/layers/dense": one(3),
        "layers/multi_head_attention/query_dense": one(4),
        "layers/multi_head_attention/_key_dense": one(5),
        "layers/multi_head_attention/_output_dense": one(6),
    }
    assert found(model, groups, ("both", "forward_lstm")) == 1
    assert found(model, groups, ("both", "backward_lstm")) == 2
    assert found(model, groups, ("each", "inner", "d")) == 3
    assert [found(model, groups, ("heads", name)) for name in ("query", "key", "attention_output")] == [4, 5, 6]
    assert found(model, groups, ("heads", "value")) is None


def test_a_recurrent_layer_may_keep_its_weights_itself() -> None:
    model = sequential(image_input("x", 3), layer("CuDNNLSTM", "lstm"))
    assert found(model, {"layers/cu_dnnlstm": one(1), "layers/cu_dnnlstm/cell": EMPTY}, ("lstm",)) == 1


def test_layers_inside_unknown_layers_are_found_by_the_name_beside_them() -> None:
    model = sequential(image_input("x", 3), layer("Mine", "mine"))
    assert (
        found(model, {"layers/mine/_a": one(1, "first"), "layers/mine/_b": one(2, "second")}, ("mine", "second")) == 2
    )


@pytest.mark.parametrize("spoil", ["dataset", "soft", "external"])
def test_what_is_no_group_is_refused(spoil: str) -> None:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        links = {"dataset": np.ones(1), "soft": h5py.SoftLink("/other"), "external": h5py.ExternalLink("a.h5", "/")}
        file.create_group("layers")["dense"] = links[spoil]
    model = sequential(image_input("x", 3), layer("Dense", "d"))
    with h5py.File(memory) as file, pytest.raises(FormatError, match=r"is no group|a link to elsewhere"):
        paths.find(paths.open_tree(model, file, 1 << 20), ("d",))


@pytest.mark.parametrize(
    "layers",
    [[], [7], [{}], [{"class_name": [], "config": 3}], [{"class_name": "Dense"}], [{"config": {"layers": [1]}}]],
)
def test_an_architecture_that_is_malformed_holds_no_layers(layers: Any) -> None:
    model = {"class_name": "Sequential", "config": {"layers": layers}}
    assert found(model, {"layers/conv2d": one(1)}, ("d", "e")) is None
