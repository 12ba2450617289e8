"""Other frameworks in tests: imported when asked for, and networks built again in them node by node."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress.encodings import decode
from refcompress.graph import Graph, Node
from refcompress.ops import infer_shapes

Array = NDArray[Any]


def framework(name: str) -> Any:
    """Import a framework, quietly, or skip the test."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            pytest.skip(f"needs {name}")


def _params(graph: Graph, node: Node) -> dict[str, Array]:
    return {role: decode(graph.params[name]) for role, name in node.params.items()}


def _symmetric(pads: tuple[int, ...]) -> bool:
    return pads[:2] == pads[2:]


def torch_module(graph: Graph) -> Any:
    """Build a network again as a PyTorch module, one functional call a node, each in a module of the node's name.

    Convolutions, dense layers, normalizations, pools, Relu, Softmax, Add, Dropout, Flatten; one input.
    """
    torch = framework("torch")

    class Step(torch.nn.Module):
        """One node."""

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__()
            self.function = function

        def forward(self, *inputs: Any) -> Any:
            return self.function(*inputs)

    class Network(torch.nn.Module):
        """All nodes in order; images have their channels first."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleDict(
                {_key(node): Step(_torch_step(torch, node, _params(graph, node))) for node in graph.nodes}
            )

        def forward(self, x: Any) -> Any:
            made = {graph.inputs[0].name: x}
            for node in graph.nodes:
                made[node.output] = self.steps[_key(node)](*(made[name] for name in node.inputs))
            return made[graph.outputs[0]]

    return Network().eval()


def _key(node: Node) -> str:
    return node.name.replace(".", "_")


def torch_names(graph: Graph) -> dict[str, str]:
    """Name of a module of :func:`torch_module` to that of its node."""
    return {f"steps.{_key(node)}": node.name for node in graph.nodes}


def _torch_step(torch: Any, node: Node, params: Mapping[str, Array]) -> Callable[..., Any]:
    functional, attrs = torch.nn.functional, node.attrs
    tensors = {role: torch.from_numpy(np.ascontiguousarray(array)) for role, array in params.items()}

    def padded(x: Any, value: float = 0.0) -> Any:
        top, left, bottom, right = attrs.pads
        return functional.pad(x, (left, right, top, bottom), value=value) if any(attrs.pads) else x

    if node.op == "Conv":
        weight = tensors["weight"].permute(3, 2, 0, 1).contiguous()
        rest = {"stride": attrs.strides, "dilation": attrs.dilations, "groups": attrs.group}
        if _symmetric(attrs.pads):
            return lambda x: functional.conv2d(x, weight, tensors.get("bias"), padding=attrs.pads[:2], **rest)
        return lambda x: functional.conv2d(padded(x), weight, tensors.get("bias"), **rest)
    if node.op == "Gemm":
        return lambda x: functional.linear(x, tensors["weight"].T.contiguous(), tensors.get("bias"))
    if node.op == "BatchNormalization":
        mean, var, scale, bias = (tensors.get(role) for role in ("mean", "var", "scale", "bias"))
        return lambda x: functional.batch_norm(x, mean, var, scale, bias, eps=attrs.epsilon)
    if node.op == "MaxPool":
        return lambda x: functional.max_pool2d(padded(x, -np.inf), attrs.kernel_shape, attrs.strides)
    if node.op == "AveragePool":
        assert not any(attrs.pads)
        return lambda x: functional.avg_pool2d(x, attrs.kernel_shape, attrs.strides)
    plain: dict[str, Callable[..., Any]] = {
        "Relu": functional.relu,
        "Softmax": lambda x: functional.softmax(x, -1),
        "Add": lambda a, b: a + b,
        "Dropout": lambda x: x,
        "Flatten": lambda x: (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1),
        "GlobalAveragePool": lambda x: x.mean((2, 3)),
    }
    return plain[node.op]


def onnx_model(graph: Graph) -> Any:
    """Build a network again as an ONNX model whose tensors have the names of the activations.

    Handles the operators of :func:`torch_module`; inputs are images with their channels first, or vectors.
    """
    onnx = framework("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    shapes = infer_shapes(graph)
    nodes, initializers = [], []

    def constant(name: str, array: Array) -> str:
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    for node in graph.nodes:
        nodes += _onnx_nodes(helper, node, _params(graph, node), constant, shapes)
    (spec,) = graph.inputs
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *_first(shapes[name])])
        for name in (spec.name, graph.outputs[0])
    ]
    model = helper.make_graph(nodes, "network", ends[:1], ends[1:], initializers)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


def _onnx_nodes(
    helper: Any,
    node: Node,
    params: Mapping[str, Array],
    constant: Callable[[str, Array], str],
    shapes: Mapping[str, Any],
) -> list[Any]:
    attrs, inputs = node.attrs, list(node.inputs)

    def make(op: str, extra: list[str] | None = None, **fields: Any) -> list[Any]:
        return [helper.make_node(op, [*inputs, *(extra or [])], [node.output], node.name, **fields)]

    def values(*roles: str) -> list[str]:
        return [constant(f"{node.name}:{role}", params[role]) for role in roles if role in params]

    if node.op == "Conv":
        weight = constant(f"{node.name}:weight", params["weight"].transpose(3, 2, 0, 1))
        rest = {"strides": attrs.strides, "dilations": attrs.dilations, "group": attrs.group}
        return make("Conv", [weight, *values("bias")], pads=attrs.pads, **rest)
    if node.op == "Gemm":
        return make("Gemm", values("weight", "bias"))
    if node.op == "BatchNormalization":
        channels = len(params["mean"])
        scale = constant(f"{node.name}:scale", params.get("scale", np.ones(channels, np.float32)))
        bias = constant(f"{node.name}:bias", params.get("bias", np.zeros(channels, np.float32)))
        return make(node.op, [scale, bias, *values("mean", "var")], epsilon=attrs.epsilon)
    if node.op in {"MaxPool", "AveragePool"}:
        return make(node.op, kernel_shape=attrs.kernel_shape, strides=attrs.strides, pads=attrs.pads)
    if node.op == "GlobalAveragePool":
        return make("ReduceMean", axes=[2, 3], keepdims=0)
    if node.op == "Flatten" and len(shapes[inputs[0]]) == 3:
        turned = f"{node.output}:turned"
        return [
            helper.make_node("Transpose", inputs, [turned], perm=[0, 2, 3, 1]),
            helper.make_node("Flatten", [turned], [node.output], node.name, axis=1),
        ]
    plain = {"Dropout": "Identity", "Softmax": "Softmax", "Relu": "Relu", "Add": "Add", "Flatten": "Flatten"}
    return make(plain[node.op], **({"axis": -1} if node.op == "Softmax" else {}))
