"""Functions in the place of layers: TensorFlow's and those of ``keras.ops``, by name."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Call, Tensor
from refcompress.formats.keras.config import TENSORFLOW_OPERATORS, Layer, shown
from refcompress.formats.keras.functions import arithmetic, images, indexing
from refcompress.formats.keras.functions.arithmetic import Build
from refcompress.formats.keras.functions.operands import Function
from refcompress.formats.keras.layers.activations import HARD_SIGMOID

# what the operands are called where they are given by name, in order
OPERANDS = (("x", "x1", "a", "input", "inputs", "values"), ("y", "x2", "b", "bias"))

# name -> what builds it: TensorFlow's last part, or the class of keras.ops with _ between words
FUNCTIONS: Mapping[str, Build] = MappingProxyType(
    {
        "abs": arithmetic.unary("Abs"),
        "absolute": arithmetic.unary("Abs"),
        "add": arithmetic.binary("Add"),
        "add_v2": arithmetic.binary("Add"),
        "all": arithmetic.reduction("ReduceMin"),
        "amax": arithmetic.reduction("ReduceMax"),
        "amin": arithmetic.reduction("ReduceMin"),
        "any": arithmetic.reduction("ReduceMax"),
        "average_pool": images.pool("AveragePool"),
        "avg_pool": images.pool("AveragePool"),
        "avg_pool2d": images.pool("AveragePool"),
        "bias_add": images.bias_add,
        "cast": arithmetic.cast,
        "celu": arithmetic.with_alpha("Celu"),
        "clip": arithmetic.clip,
        "clip_by_value": arithmetic.clip,
        "concat": indexing.concatenate,
        "concatenate": indexing.concatenate,
        "depth_to_space": images.blocks("DepthToSpace"),
        "divide": arithmetic.binary("Div"),
        "einsum": arithmetic.einsum,
        "elu": arithmetic.with_alpha("Elu"),
        "equal": arithmetic.equal,
        "erf": arithmetic.unary("Erf"),
        "exp": arithmetic.unary("Exp"),
        "expand_dims": indexing.expand_dims,
        "flip": indexing.flip,
        "gelu": arithmetic.gelu,
        "get_item": indexing.get_item,
        "getitem": indexing.get_item,
        "hard_sigmoid": arithmetic.unary(*HARD_SIGMOID),
        "hard_silu": arithmetic.unary("HardSwish"),
        "hard_tanh": arithmetic.unary("Clip", {"min": -1.0, "max": 1.0}),
        "identity": arithmetic.identity,
        "l2_normalize": arithmetic.normalize,
        "leaky_relu": arithmetic.leaky_relu,
        "log": arithmetic.unary("Log"),
        "log_softmax": arithmetic.last_axis("LogSoftmax"),
        "logical_and": arithmetic.binary("Min"),
        "logical_not": arithmetic.logical_not,
        "logical_or": arithmetic.binary("Max"),
        "matmul": arithmetic.matmul,
        "max": arithmetic.reduction("ReduceMax"),
        "max_pool": images.pool("MaxPool"),
        "max_pool2d": images.pool("MaxPool"),
        "maximum": arithmetic.binary("Max"),
        "mean": arithmetic.reduction("ReduceMean"),
        "min": arithmetic.reduction("ReduceMin"),
        "minimum": arithmetic.binary("Min"),
        "moveaxis": indexing.moveaxis,
        "mul": arithmetic.binary("Mul"),
        "multiply": arithmetic.binary("Mul"),
        "neg": arithmetic.negative,
        "negative": arithmetic.negative,
        "normalize": arithmetic.normalize,
        "not_equal": arithmetic.not_equal,
        "ones_like": arithmetic.ones_like,
        "pad": indexing.pad,
        "permute_dimensions": indexing.transpose,
        "pow": arithmetic.binary("Pow"),
        "power": arithmetic.binary("Pow"),
        "real_div": arithmetic.binary("Div"),
        "reciprocal": arithmetic.unary("Reciprocal"),
        "reduce_all": arithmetic.reduction("ReduceMin"),
        "reduce_any": arithmetic.reduction("ReduceMax"),
        "reduce_max": arithmetic.reduction("ReduceMax"),
        "reduce_mean": arithmetic.reduction("ReduceMean"),
        "reduce_min": arithmetic.reduction("ReduceMin"),
        "reduce_sum": arithmetic.reduction("ReduceSum"),
        "relu": arithmetic.relu,
        "relu6": arithmetic.unary("Clip", {"min": 0.0, "max": 6.0}),
        "repeat": indexing.repeat,
        "reshape": indexing.reshape,
        "resize": images.resize,
        "reverse": indexing.flip,
        "rsqrt": arithmetic.rsqrt,
        "selu": arithmetic.unary("Selu"),
        "sigmoid": arithmetic.unary("Sigmoid"),
        "silu": arithmetic.unary("Swish"),
        "softmax": arithmetic.last_axis("Softmax"),
        "softplus": arithmetic.unary("Softplus"),
        "softsign": arithmetic.unary("Softsign"),
        "space_to_depth": images.blocks("SpaceToDepth"),
        "split": indexing.split,
        "sqrt": arithmetic.unary("Sqrt"),
        "square": arithmetic.square,
        "squeeze": indexing.squeeze,
        "stack": indexing.stack,
        "stop_gradient": arithmetic.identity,
        "sub": arithmetic.binary("Sub"),
        "subtract": arithmetic.binary("Sub"),
        "sum": arithmetic.reduction("ReduceSum"),
        "swapaxes": indexing.swapaxes,
        "swish": arithmetic.unary("Swish"),
        "tanh": arithmetic.unary("Tanh"),
        "tile": indexing.tile,
        "transpose": indexing.transpose,
        "true_divide": arithmetic.binary("Div"),
        "truediv": arithmetic.binary("Div"),
        "unstack": indexing.unstack,
        "zeros_like": arithmetic.zeros_like,
    }
)

_UNTOLD = {"name", "trainable", "dtype", "function", "node_def", "constants", "training", "mask"}


def is_function(layer: Layer, *, known_layer: bool) -> bool:
    """Return whether an entry of the architecture is a function and no layer.

    Parameters
    ----------
    layer
        The entry.
    known_layer
        Whether a layer's class has its name; legacy HDF5 of Keras 3 does not tell ``keras.ops.add`` from the layer
        Add, but the former is called on two arguments and not on a list.

    """
    if layer.class_name in TENSORFLOW_OPERATORS or layer.origin[0].startswith(("keras.src.ops", "keras.ops")):
        return True
    if layer.origin[0] or snake(layer.class_name) not in FUNCTIONS:
        return False
    if not known_layer:
        return True
    if layer.class_name == "Reshape":
        return "newshape" in layer.config
    entries = layer.inbound if isinstance(layer.inbound, list) else []
    args = [entry.get("args") for entry in entries if isinstance(entry, dict)]
    return any(isinstance(one, list) and len(one) > 1 for one in args)


def snake(name: str) -> str:
    """Return a class's name as a function's.

    Examples
    --------
    >>> snake("TrueDivide"), snake("Relu6"), snake("RMSNorm")
    ('true_divide', 'relu6', 'rms_norm')

    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def build(call: Call) -> str | tuple[str, ...]:
    """Add the nodes of one call of a function.

    Raises
    ------
    ModelError
        The function is not known here, or called in a way that cannot be represented.

    """
    layer = call.layer
    if layer.class_name == "TensorFlowOpLayer":
        function = _graph_function(call)
    else:
        config = {name: value for name, value in layer.config.items() if name not in _UNTOLD}
        name = layer.config.get("function") if layer.class_name in TENSORFLOW_OPERATORS else snake(layer.class_name)
        function = _bound(call, str(name), config)
    short = function.name.rpartition(".")[2]
    if short not in FUNCTIONS:
        raise ModelError(
            f"{layer}: the function {function.name[:60]!r} cannot be represented; replace the call by a "
            "layer that does the same (Activation, Reshape, ...), set the weights from this model and save it"
        )
    return FUNCTIONS[short](function)


def _bound(call: Call, name: str, config: Mapping[str, Any]) -> Function:
    """Tell operands from options: the former are given by position, or under one of their usual names."""
    named = {key: value for key, value in call.kwargs.items() if key not in {"name", "training"}}
    if "dtype" in call.layer.config and snake(call.layer.class_name) == "cast":
        config = {**config, "dtype": call.layer.config["dtype"]}
    operands = list(call.args)
    for names in OPERANDS[len(operands) :]:
        found = next((key for key in names if key in named), None)
        if found is None:
            break
        operands.append(named.pop(found))
    while len(operands) > 1 and operands[-1] is None:
        operands.pop()
    return Function(call, name, operands, {**config, **named})


def _graph_function(call: Call) -> Function:
    """Read a node of TensorFlow's graph: constants stand among its operands by their place."""
    node, constants = call.layer.config.get("node_def"), call.layer.config.get("constants") or {}
    if isinstance(node, str):
        try:
            node = json.loads(node)
        except (ValueError, RecursionError):
            node = None
    if not isinstance(node, dict) or not isinstance(node.get("op"), str) or not isinstance(constants, dict):
        raise ModelError(f"{call.layer}: its node_def is {shown(node)}, which is no node; save the model again")
    operands: list[Any] = [Tensor(name) for name in call.inputs]
    for place, value in sorted(constants.items(), key=lambda item: str(item[0]).zfill(4)):
        if not str(place).isdigit():
            raise ModelError(f"{call.layer}: a constant stands at {shown(place)}, which is no place; save it again")
        operands.insert(int(place), value)
    given = node.get("attr")
    attributes = given if isinstance(given, dict) else {}
    options = {name: _attribute(value) for name, value in attributes.items() if name not in {"T", "Tidx", "_cloned"}}
    name = snake(node["op"]).removesuffix("_v2")
    if name in {"mean", "sum", "max", "min"} and len(operands) == 2:
        options["axis"] = operands.pop()
    if name == "concat" and len(operands) > 1:
        operands, options["axis"] = [operands[:-1]], operands[-1]
    kept = {
        name: value for name, value in options.items() if name in {"keep_dims", "block_size", "data_format", "axis"}
    }
    return Function(call, name, operands, {**kept, **({"DstT": options["DstT"]} if "DstT" in options else {})})


def _attribute(value: Any) -> Any:
    """Read an attribute as protocol buffers write it in JSON: integers as text, texts in base 64."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, inner),) = value.items()
    if kind == "i" and isinstance(inner, str | int) and re.fullmatch(r"-?[0-9]{1,10}", str(inner)):
        return int(inner)
    if kind == "s" and isinstance(inner, str):
        try:
            return base64.b64decode(inner, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return inner
    return inner if kind in {"b", "f", "type"} else None
