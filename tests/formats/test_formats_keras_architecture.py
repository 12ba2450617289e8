"""Architectures that are malformed or do not fit together: each gives one of our errors and never another one."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, nested, sequential
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress.errors import FormatError, ModelError
from refcompress.formats import keras
from refcompress.graph import Graph

DENSE = sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False))

TEXTS: list[tuple[str, Any, str]] = [
    ("empty", "", "is no JSON"),
    ("no JSON", "{'class_name': 1}", "is no JSON"),
    ("cut off", json.dumps(DENSE)[:-5], "is no JSON"),
    ("a list", "[]", "is no JSON object"),
    ("a number of too many digits", "9" * 5000, "is no JSON"),
    ("no UTF-8", np.bytes_(b'{"class_name": "\xff"}'), "is no UTF-8"),
    ("nested without end", "[" * 20000, "is no JSON"),
    ("nested deeply", '{"a":' * 300 + "1" + "}" * 300, "nests deeper than 128"),
    ("an empty object", "{}", "without class and options"),
    ("no options", '{"class_name": "Sequential"}', "without class and options"),
    ("a class that is no text", '{"class_name": 1, "config": {}}', "without class and options"),
    ("another class", '{"class_name": "Net", "config": {}}', "the model is of the class 'Net'; allowed are"),
    ("no layers", '{"class_name": "Sequential", "config": {"name": "s"}}', "'layers' is 'missing'"),
    ("layers that are no list", '{"class_name": "Model", "config": {"layers": {"a": 1}}}', "a list of layers"),
    ("an empty list of layers", '{"class_name": "Sequential", "config": []}', "a list of layers"),
    ("a layer that is a number", '{"class_name": "Sequential", "config": [7]}', "described by 7"),
]


@pytest.mark.parametrize(("text", "message"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
def test_an_architecture_that_is_no_keras_json_is_refused(tmp_path: Path, text: Any, message: str) -> None:
    assert message in kf.refusal(tmp_path, text)


def chain(*layers: Any, inputs: Any = ("x",), outputs: Any = ("b",)) -> Any:
    """Build a functional model on the input x."""
    return functional([image_input("x", 3), *layers], list(inputs), list(outputs))


def flat(name: str, *inbound: Any) -> Any:
    """Describe a layer without options or weights."""
    return layer("Flatten", name, *inbound)


def raw(inbound: Any) -> Any:
    """Describe the layer b with any JSON for its inbound nodes."""
    return {**flat("b"), "inbound_nodes": inbound}


TENSOR = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}

GRAPHS: list[tuple[str, Any, str]] = [
    ("a circle", chain(flat("a", ["b"]), flat("b", ["a"])), "'a', 'b' read each other in a circle"),
    ("a layer that reads itself", chain(flat("b", ["b"])), "'b' read each other in a circle"),
    ("a missing layer", chain(flat("b", ["ghost"])), "layer 'b' reads call 0 of the layer 'ghost'"),
    ("a missing call", chain(flat("b", [("x", 1, 0)])), "reads call 1 of the layer 'x'"),
    ("a missing output", chain(flat("b", [("x", 0, 1)])), "reads output 1 of 'x', which has 1"),
    ("an output that is not there", chain(flat("b", ["x"]), outputs=("c",)), "the output of"),
    ("an output never called", chain(flat("a", ["x"]), flat("b")), "reads call 0 of the layer 'b'"),
    ("no outputs", chain(flat("b", ["x"]), outputs=()), "output_layers holds []"),
    ("no inputs", chain(flat("b", ["x"]), inputs=()), "input_layers holds []"),
    ("an input that is a layer", chain(flat("b", ["x"]), inputs=("b",)), "its input 'b' is no InputLayer"),
    ("an input twice", chain(flat("b", ["x"]), inputs=("x", "x")), "two inputs share a name"),
    ("an input not listed", chain(image_input("z", 3), flat("b", ["z"])), "reads call 0 of the layer 'z'"),
    ("an input that is called", chain({**image_input("b", 3), "inbound_nodes": [[["x", 0, 0]]]}),
     "an input stands where"),
    ("two layers of one name", chain(flat("b", ["x"]), flat("b", ["x"])), "two layers have this name"),
    ("a name that is no text", chain({**flat("b"), "name": 7}), "is named 7"),
    ("an empty name", chain({"class_name": "Flatten", "config": {}, "inbound_nodes": []}), "is named None"),
    ("a name with control characters", chain(flat("a\n", ["x"])), "printable name"),
    ("a name that is no Unicode", chain(flat("\ud800", ["x"])), "printable name"),
    ("a name that another makes", chain(layer("Dense", "d", ["x"], units=2, use_bias=False, activation="relu"),
                                        flat("d/relu", ["x"]), outputs=("d",)), "two layers make 'd/relu'"),
    ("inbound nodes that are text", chain(raw("x")), "inbound_nodes holds 'x'"),
    ("inbound nodes that are an object", chain(raw({})), "inbound_nodes holds {}"),
    ("a call without inputs", chain(raw([[]])), "inbound_nodes holds []"),
    ("a short reference", chain(raw([[["x", 0]]])), "inbound_nodes holds ['x', 0]"),
    ("a negative call", chain(raw([[["x", -1, 0, {}]]])), "inbound_nodes holds ['x', -1, 0]"),
    ("a call that is true", chain(raw([[["x", True, 0, {}]]])), "inbound_nodes holds ['x', True, 0]"),
    ("arguments that are no object", chain(raw([[["x", 0, 0, 3]]])), "inbound_nodes holds 3"),
    ("a constant for an input", chain(raw([{"args": [1.5], "kwargs": {}}])), "inbound_nodes holds {'args': [1.5]"),
    ("a tensor as an option", chain(raw([{"args": [TENSOR], "kwargs": {"axis": TENSOR}}])), "it is called with axis="),
    ("two arguments", chain(raw([{"args": [TENSOR, TENSOR], "kwargs": {}}])), "it is called with 2 arguments"),
    ("a tensor without history", chain(raw([{"args": [{**TENSOR, "config": {}}]}])), "inbound_nodes holds None"),
    ("a model in the place of a layer", chain(nested(chain(flat("b", ["x"])), ["x", "x"]), outputs=("model",)),
     "it is called on 2 inputs and has 1"),
    ("an input in the middle", sequential(image_input("x", 3), image_input("y", 3)), "an input stands where"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), [case[1:] for case in GRAPHS], ids=[case[0] for case in GRAPHS])
def test_an_architecture_that_does_not_fit_together_is_refused(tmp_path: Path, model: Any, message: str) -> None:
    weights = {"d": {"d/kernel:0": np.ones((3, 2), np.float32)}}
    assert message in kf.refusal(tmp_path, model, weights)


def test_models_that_double_at_each_level_are_refused(tmp_path: Path) -> None:
    model = chain(flat("b", ["x"]), outputs=("b",))
    for _ in range(15):  # each level calls the one below 8 times
        calls = [["x"], *([("model", call, 0)] for call in range(7))]
        model = chain(nested(model, *calls), outputs=(("model", 7, 0),))
    assert "calls layers more than 20000 times" in kf.refusal(tmp_path, model)


def test_models_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    model = chain(flat("b", ["x"]))
    for _ in range(20):
        model = chain(nested(model, ["x"]), outputs=("model",))
    assert "nested deeper than 16 levels" in kf.refusal(tmp_path, model)


def test_long_chains_are_no_trouble(tmp_path: Path) -> None:
    names = ["x", *(f"f{i}" for i in range(3000))]
    layers = [flat(name, [before]) for before, name in itertools.pairwise(names)]
    model = functional([image_input("x", 3), *reversed(layers)], ["x"], [names[-1]])
    assert len(keras.load(kf.write(tmp_path / "model.h5", model)).nodes) == 3000


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "d", "x", "same"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["class_name", "config", "name"]), inner)
    ),
    max_leaves=4,
)

SUBJECT = functional(
    [
        image_input("x", 4, 4, 3),
        layer("Conv2D", "d", ["x"], filters=2, kernel_size=[1, 1], strides=[1, 1], padding="same", use_bias=False),
        nested(sequential(image_input("i", 4, 4, 2), layer("MaxPooling2D", "p", pool_size=[2, 2])), ["d"]),
        layer("Concatenate", "c", [("sequential", 1, 0), ("sequential", 1, 0)], axis=-1),
    ],
    ["x"],
    ["c"],
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in places(item, (*path, key)))]


@settings(max_examples=400)
@given(place=st.sampled_from(places(SUBJECT)[1:]), value=JSON, delete=st.booleans())
def test_any_change_of_the_architecture_gives_a_network_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, place: Any, value: Any, delete: bool
) -> None:
    model = copy.deepcopy(SUBJECT)
    parent = model
    for key in place[:-1]:
        parent = parent[key]
    if delete:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "changed.h5"
    kf.write(path, model, {"d": {"d/kernel:0": np.ones((1, 1, 3, 2), np.float32)}})
    try:
        graph = keras.load(path)
    except (ModelError, FormatError):
        return
    assert isinstance(graph, Graph)
