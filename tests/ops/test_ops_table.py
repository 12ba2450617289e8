"""The table of operators, shapes of whole graphs, and attributes from JSON nobody vouches for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from checks.ops import check_table
from hypothesis import given
from hypothesis import strategies as st

from refcompress import ops
from refcompress.encodings import encode
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs, Op
from refcompress.ops.conv import Conv

ATTRS: dict[str, dict[str, Any]] = {
    "Abs": {},
    "Add": {},
    "Affine": {},
    "AveragePool": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": False},
    "BatchNormalization": {"epsilon": 0.001},
    "Celu": {"alpha": 2.0},
    "Clip": {"min": 0.0, "max": 6.0},
    "Concat": {"axis": 1},
    "Conv": {"strides": [2, 1], "pads": [0, 1, 2, 3], "dilations": [1, 2], "group": 4},
    "ConvTranspose": {
        "strides": [2, 1],
        "pads": [0, 1, 2, 3],
        "output_padding": [1, 0],
        "dilations": [1, 2],
        "group": 4,
    },
    "DepthToSpace": {"blocksize": 2, "mode": "CRD"},
    "Div": {},
    "Dropout": {"ratio": 0.5},
    "Elu": {"alpha": 1.5},
    "Erf": {},
    "Exp": {},
    "Expand": {"shape": [4, 1, 2]},
    "Flatten": {},
    "GRU": {
        "activation": "tanh",
        "recurrent_activation": "hard_sigmoid",
        "linear_before_reset": True,
        "reverse": True,
        "output": "last",
        "masked": True,
        "zero_masked": False,
        "initial_state": True,
    },
    "Gather": {},
    "Gelu": {"approximate": "tanh"},
    "Gemm": {},
    "GlobalAveragePool": {"keepdims": True},
    "GlobalMaxPool": {"keepdims": False},
    "GroupNormalization": {"num_groups": 4, "epsilon": 0.001},
    "HardSigmoid": {"alpha": 0.25, "beta": 0.5},
    "HardSwish": {},
    "LSTM": {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reverse": True,
        "output": "cell",
        "masked": True,
        "zero_masked": False,
        "initial_state": True,
    },
    "LayerNormalization": {"axis": 2, "epsilon": 0.001},
    "LeakyRelu": {"alpha": 0.25},
    "Log": {},
    "LogSoftmax": {},
    "LpNormalization": {"axis": 1, "epsilon": 0.0},
    "MatMul": {},
    "Max": {},
    "MaxPool": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "Min": {},
    "Mish": {},
    "Mul": {},
    "NotEqual": {"value": -1.0},
    "PRelu": {},
    "Pad": {"pads": [1, 2, 3, 4]},
    "Pow": {},
    "RMSNormalization": {"axis": 3, "epsilon": 0.001},
    "RNN": {
        "activation": "relu",
        "reverse": True,
        "output": "last",
        "masked": True,
        "zero_masked": False,
        "initial_state": True,
    },
    "Reciprocal": {},
    "ReduceMax": {"axes": [1, 2], "keepdims": True},
    "ReduceMean": {"axes": [3], "keepdims": False},
    "ReduceMin": {"axes": [2, 1], "keepdims": False},
    "ReduceSum": {"axes": [1], "keepdims": True},
    "Relu": {},
    "Reshape": {"shape": [4, 4, 2]},
    "Resize": {"size": [8, 4], "mode": "linear", "coordinates": "align_corners", "nearest": "ceil"},
    "Selu": {},
    "Sigmoid": {},
    "Slice": {"axes": [2, 1], "starts": [0, -1], "ends": [5, -9], "steps": [2, -1]},
    "Softmax": {},
    "Softplus": {},
    "Softsign": {},
    "SpaceToDepth": {"blocksize": 2, "mode": "DCR"},
    "Sqrt": {},
    "Sub": {},
    "Swish": {},
    "Tanh": {},
    "ThresholdedRelu": {"alpha": 0.5},
    "Transpose": {"perm": [0, 3, 1, 2]},
}


def test_every_row_stands_under_its_name() -> None:
    assert {name: op.name for name, op in ops.OPS.items()} == {name: name for name in ATTRS}


@pytest.mark.parametrize("name", ATTRS)
def test_attributes_survive_json(name: str) -> None:
    attrs = ops.make_attrs(name, ATTRS[name])
    assert isinstance(attrs, ops.OPS[name].attrs)
    assert ops.attrs_to_dict(attrs) == ATTRS[name]
    check_table(ops.OPS[name], attrs)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("Conv", {"group": True}, "'group' is True; allowed is an integer"),
        ("Conv", {"group": 2.0}, "allowed is an integer"),
        ("Conv", {"group": 10**4000}, "an integer of 13288 bits"),
        ("Conv", {"group": 0}, "at least 1"),
        ("Conv", {"strides": [1, 1, 1]}, "a list of 2 integers"),
        ("Conv", {"strides": [1, None]}, "'strides' is None; allowed is an integer"),
        ("Conv", {"strides": "11"}, "'strides' is '11'; allowed is a list of 2 integers"),
        ("Conv", {"pads": [0] * 1000}, "a list of 4 integers"),
        ("Conv", {"pads": {"top": 1}}, "'pads' is a dict"),
        ("Conv", {"x" * 1000: 1}, f"unknown attribute '{'x' * 40}'"),
        ("Reshape", {"shape": [1] * 17}, "at most 16 integers"),
        ("Clip", {"max": float("nan")}, "finite"),
        ("Clip", {"max": float("inf")}, "finite"),
        ("Clip", {"max": 10**400}, "finite"),
        ("Clip", {"max": 1e39}, "float32 can hold"),
        ("Clip", {"max": False}, "'max' is False"),
        ("GlobalMaxPool", {"keepdims": 1}, "true or false"),
        ("Relu", {"alpha": 0.1}, "its attributes are none"),
    ],
)
def test_attributes_of_wrong_type_or_value_are_refused(name: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ops.make_attrs(name, {**ATTRS[name], **changed})


@pytest.mark.parametrize("name", [name for name, fields in ATTRS.items() if fields])
def test_a_missing_attribute_is_named(name: str) -> None:
    field, *_ = ATTRS[name]
    rest = {key: value for key, value in ATTRS[name].items() if key != field}
    with pytest.raises(ModelError, match=f"{name}: the attribute '{field}' is missing"):
        ops.make_attrs(name, rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(ATTRS)), st.data())
def test_any_json_gives_attributes_or_our_error(name: str, data: st.DataObject) -> None:
    fields = {field: data.draw(JSON) if data.draw(st.booleans()) else value for field, value in ATTRS[name].items()}
    try:
        attrs = ops.make_attrs(name, fields)
    except ModelError:
        return
    assert ops.make_attrs(name, json.loads(json.dumps(ops.attrs_to_dict(attrs), allow_nan=False))) == attrs


@given(JSON)
def test_attributes_that_are_no_object_are_refused(value: Any) -> None:
    if value != {}:
        with pytest.raises(ModelError):
            ops.make_attrs("Relu", value)


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ModelError, match="no operator is named 'Lambda'; there are Abs, "):
        ops.make_attrs("Lambda", {})


def gemm(params: dict[str, str], inputs: tuple[str, ...] = ("x",), op: str = "Gemm", attrs: Any = None) -> Graph:
    node = Node(op, "dense", inputs, "y", params, NoAttrs() if attrs is None else attrs)
    weights = {"w": encode([[1.0, 2.0]] * 4), "b": encode([0.0, 0.0]), "none": encode([[]] * 4)}
    return Graph((TensorSpec("x", (4,)),), ("y",), (node,), weights)


def test_shapes_of_a_graph() -> None:
    assert ops.infer_shapes(gemm({"weight": "w", "bias": "b"})) == {"x": (4,), "y": (2,)}


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (gemm({"weight": "b"}), r"node 'dense' \(Gemm\): a weight of shape \(2,\)"),
        (gemm({"bias": "b"}), "node 'dense' .*its weight is missing"),
        (gemm({"weight": "w", "kernel": "w"}), "'kernel'; its roles are"),
        (gemm({"weight": "w"}, ("x", "x")), "2 inputs; it takes 1"),
        (gemm({}, op="Add"), "1 inputs; it takes 2 or more"),
        (gemm({"weight": "w"}, op="Lambda"), "no operator is named 'Lambda'"),
        (gemm({"weight": "w"}, attrs=Conv()), "attributes of type Conv; it takes NoAttrs"),
        (gemm({"weight": "none"}), r"the output of node 'dense' \(Gemm\) has the shape \(0,\)"),
        (Graph((TensorSpec("x", (4, -1)),), ("x",), (), {}), "the input 'x' has the shape"),
        (Graph((TensorSpec("x", (2**20, 2**20)),), ("x",), (), {}), "at most 2147483647 elements"),
    ],
)
def test_a_node_that_does_not_fit_is_named(graph: Graph, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ops.infer_shapes(graph)


@pytest.mark.parametrize("op", ops.OPS.values(), ids=lambda op: op.name)
def test_optional_roles_are_roles(op: Op) -> None:
    assert set(op.optional_roles) <= set(op.roles)
